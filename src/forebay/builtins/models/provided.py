"""What a model and an embedder have in common: a provider, a line to it, and a look at both."""

from collections.abc import Sequence

from forebay.ports.components import Parts
from forebay.ports.models import Finding, Price

from .line import Line
from .source import Source
from .tokens import TokenCounter
from .validating import validate


class Provided:
    """Something that a provider has."""

    def __init__(self, source: Source, parts: Parts) -> None:
        self._source = source
        self._parts = parts
        self._line = Line(source, parts)
        self._counter = TokenCounter(source.model)

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def provider(self) -> str:
        return self._source.provider

    @property
    def price(self) -> Price | None:
        return self._source.price

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        """Look at it. Raises no ModelError."""
        return await validate(self._source, self._line, self._ping if dry_call else None)

    async def _ping(self) -> None:
        raise NotImplementedError
