"""Storage: one database that keeps runs and their log, from its opening to its closing."""

from typing import Protocol

from .log import EventLog
from .store import RunStore


class Storage(RunStore, EventLog, Protocol):
    """A database. Both ports on one connection; nothing else opens a transaction on run tables."""

    name: str
    """How `/health`, the banner and errors call it: `sqlite`, `postgres`, `memory`."""

    @property
    def degraded(self) -> list[str]:
        """What works less well than it could, for `/ready`."""
        ...

    async def open(self) -> None:
        """Connect, check the schema, bring it up to date where that is safe.

        Raises DatabaseUnavailable while it cannot be reached (call again), MigrationNeeded,
        NewerSchema or ForeignDatabase when it never will be like this.
        """
        ...

    async def ping(self) -> None:
        """Return if the database answers. Raises DatabaseUnavailable, or DiskFull when no more
        writes should be accepted."""
        ...

    async def stats(self) -> "StorageStats":
        """Figures for `/metrics`."""
        ...

    async def aclose(self) -> None:
        """Let go of everything. Nothing is written after this."""
        ...


class StorageStats(Protocol):
    """How large the database is and how far back it goes."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def oldest_run(self) -> int | None: ...
