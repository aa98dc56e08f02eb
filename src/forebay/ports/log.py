"""EventLog: reading the entries of runs, and hearing that there are more."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from forebay.core.codec import Entry
from forebay.core.ids import RunNumber
from forebay.core.paging import PAGE_ENTRIES


class Listener(Protocol):
    """Told, on the event loop, that runs have new entries."""

    @property
    def interested(self) -> bool:
        """Whether anybody here waits for entries; if not, nobody needs to look."""
        ...

    def followed(self) -> Mapping[RunNumber, int]:
        """The runs that somebody here waits for, each with the last entry that is known of it."""
        ...

    @property
    def takes_runs(self) -> bool:
        """Whether somebody here takes queued runs and wants to hear of them."""
        ...

    def queued(self) -> None:
        """There may be queued runs (queued here or anywhere else)."""
        ...

    def moved(self, runs: Mapping[RunNumber, int]) -> None:
        """These runs have entries up to these numbers (written here or anywhere else)."""
        ...

    def missed(self) -> None:
        """Rings may have been lost: look at everything that is followed."""
        ...


class EventLog(Protocol):
    """The entries of every run. Reads raise DatabaseUnavailable when the database is away."""

    async def read(
        self,
        run: RunNumber,
        *,
        after: int = 0,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        """The next entries after a number, in order.

        At most `limit` entries, and no more than fit into PAGE_BYTES (but at least one). With
        `types`, entries of other types are left out, but never the final one.
        """
        ...

    async def read_many(
        self, cursors: Mapping[RunNumber, int]
    ) -> Mapping[RunNumber, Sequence[Entry]]:
        """The next entries of several runs, each after its own number; each at most a page."""
        ...

    def listen(self, listener: Listener) -> None:
        """Ring this listener from now on. One listener per log."""
        ...
