"""What known models cost. The figures, their date and where they are from stand in prices.json."""

import re
from functools import lru_cache
from pathlib import Path

import msgspec

from forebay.ports.models import Price

_FILE = Path(__file__).with_name("prices.json")
_EDITION = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


class _Row(msgspec.Struct, frozen=True):
    model: str
    input: float
    output: float


class PriceList(msgspec.Struct, frozen=True):
    """What the file says."""

    written: str
    about: str
    sources: tuple[str, ...]
    prices: tuple[_Row, ...]


def price_of(model: str) -> Price | None:
    """What this model costs; None if nobody has told. A dated edition costs what its model does."""
    return _by_model().get(_EDITION.sub("", model))


@lru_cache(maxsize=1)
def price_list() -> PriceList:
    """The file, read once."""
    return msgspec.json.decode(_FILE.read_bytes(), type=PriceList)


@lru_cache(maxsize=1)
def _by_model() -> dict[str, Price]:
    return {row.model: Price(row.input, row.output) for row in price_list().prices}
