"""Pages of a log: bounded in count and bytes, the final entry always shown."""

from collections.abc import Sequence

from .codec import Entry
from .events import FINAL_TYPES

PAGE_ENTRIES = 1_000
PAGE_BYTES = 1024 * 1024


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
