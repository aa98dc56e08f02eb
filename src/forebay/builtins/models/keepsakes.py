"""Keepsakes: what a provider wants back with a tool call, though it is no business of ours.

Sealed thoughts, that is. They are kept in memory and not in the log: after a restart a provider
gets its conversation without them, which it takes, but may think a thought twice.
"""

from collections import OrderedDict

from forebay.core.json import Json

_MOST = 1000


class Keepsakes:
    """The newest ones, by the id of the call they belong to."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Json] = OrderedDict()

    def keep(self, call: str, value: Json) -> None:
        """Remember this for as long as there is room."""
        self._kept[call] = value
        self._kept.move_to_end(call)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def of(self, call: str) -> Json:
        """What belongs to this call; None if nothing does."""
        return self._kept.get(call)
