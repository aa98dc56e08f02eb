"""A page of a log that is all in memory: bounded in count and bytes, the final entry always shown."""

from collections.abc import Sequence

from forebay.core.codec import Entry
from forebay.core.events import FINAL_TYPES
from forebay.ports.log import PAGE_BYTES


def page(entries: Sequence[Entry], limit: int, types: Sequence[str] | None) -> list[Entry]:
    """A page of entries that are all in memory."""
    shown: list[Entry] = []
    size = 0
    for entry in entries:
        if types is not None and entry.type not in types and entry.type not in FINAL_TYPES:
            continue
        shown.append(entry)
        size += len(entry.data)
        if len(shown) == limit or size > PAGE_BYTES:
            break
    return shown
