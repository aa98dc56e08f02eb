"""A storage that fails as databases do: away for a while, before or after it has committed."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from forebay.core.clock import Millis
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable, ForebayError
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES
from forebay.core.run import Run
from forebay.ports.log import Listener
from forebay.ports.storage import Storage, StorageStats
from forebay.ports.store import Crowd, Lease, Outcome, RunQuery, Write


class Fault(NamedTuple):
    """What goes wrong with a write, and whether it was committed nevertheless."""

    error: ForebayError | None
    committed: bool = False


FINE = Fault(None)


class FaultyStorage:
    """Another storage, with faults on order."""

    def __init__(self, storage: Storage, audience: "Audience | None" = None) -> None:
        self._storage = storage
        self._audience = audience
        self.name = storage.name
        self.away: ForebayError | None = None
        """Every verb raises this."""
        self.ping_error: ForebayError | None = None
        """What `ping` raises, and nothing else."""
        self.faults: list[Fault] = []
        """What happens to the next writes, one each."""
        self.mistake: Exception | None = None
        """What writes raise that no storage should ever raise."""
        self.paused = asyncio.Event()
        """Clear it, and writes wait."""
        self.paused.set()
        self.reads_paused = asyncio.Event()
        """Clear it, and what was read is given out only when it is set again."""
        self.reads_paused.set()
        self.batches: list[Sequence[Write]] = []
        self.writes_begun = 0
        self.reads = 0

    def go_away(self) -> None:
        """Nobody reaches the database any more."""
        self.away = DatabaseUnavailable()

    def come_back(self) -> None:
        """It is there again."""
        self.away = None

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        self.writes_begun += 1
        await self.paused.wait()
        if self.mistake is not None:
            raise self.mistake
        self._check()
        fault = self.faults.pop(0) if self.faults else FINE
        if fault.error is not None and not fault.committed:
            raise fault.error
        outcomes = await self._storage.write(batch)
        self.batches.append(batch)
        if fault.error is not None:
            raise fault.error
        return outcomes

    def _check(self) -> None:
        if self.away is not None:
            raise self.away

    # --- the rest of the port -------------------------------------------------------------------

    @property
    def degraded(self) -> list[str]:
        return []

    async def open(self) -> None:
        self._check()
        await self._storage.open()

    async def ping(self) -> None:
        self._check()
        if self.ping_error is not None:
            raise self.ping_error
        await self._storage.ping()

    async def stats(self) -> StorageStats:
        self._check()
        return await self._storage.stats()

    async def aclose(self) -> None:
        await self._storage.aclose()

    async def find(self, run: RunId) -> Run | None:
        self._check()
        return await self._storage.find(run)

    async def list(self, query: RunQuery) -> Sequence[Run]:
        self._check()
        found = await self._storage.list(query)
        await self.reads_paused.wait()
        return found

    async def renew(self, holder: str, seconds: float) -> int:
        self._check()
        return await self._storage.renew(holder, seconds)

    async def lease(self, lease: Lease) -> Sequence[Run]:
        self._check()
        return await self._storage.lease(lease)

    async def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        self._check()
        return await self._storage.earlier(run, limit)

    async def ahead(self, run: Run, limit: int) -> int:
        self._check()
        return await self._storage.ahead(run, limit)

    async def crowd(self, besides: str = "") -> Crowd:
        self._check()
        return await self._storage.crowd(besides)

    async def lost(self, limit: int) -> Sequence[Run]:
        self._check()
        return await self._storage.lost(limit)

    async def held(self, holder: str, limit: int) -> Sequence[Run]:
        self._check()
        return await self._storage.held(holder, limit)

    async def due(self, now: Millis, limit: int) -> Sequence[Run]:
        self._check()
        return await self._storage.due(now, limit)

    async def last_attempt_that_spoke(self, run: RunNumber) -> int:
        self._check()
        return await self._storage.last_attempt_that_spoke(run)

    async def delete(self, run: RunId) -> bool:
        self._check()
        return await self._storage.delete(run)

    async def expire(self, now: Millis, limit: int) -> int:
        self._check()
        return await self._storage.expire(now, limit)

    async def read_object(self, run: RunNumber, object_id: str) -> bytes | None:
        self._check()
        return await self._storage.read_object(run, object_id)

    async def read(
        self,
        run: RunNumber,
        *,
        after: int = 0,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        self.reads += 1
        self._check()
        found = await self._storage.read(run, after=after, limit=limit, types=types)
        await self.reads_paused.wait()
        return found

    async def read_many(
        self, cursors: Mapping[RunNumber, int]
    ) -> Mapping[RunNumber, Sequence[Entry]]:
        self.reads += 1
        self._check()
        found = await self._storage.read_many(cursors)
        await self.reads_paused.wait()
        return found

    def listen(self, listener: Listener) -> None:
        if self._audience is None:
            self._storage.listen(listener)
        else:
            self._audience.add(listener)


class Audience:
    """Several listeners of one log, as if each were a process of its own."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    @property
    def interested(self) -> bool:
        return any(listener.interested for listener in self._listeners)

    def add(self, listener: Listener) -> None:
        """One more listens."""
        self._listeners.append(listener)

    def followed(self) -> Mapping[RunNumber, int]:
        return {run: last for each in self._listeners for run, last in each.followed().items()}

    @property
    def takes_runs(self) -> bool:
        return any(listener.takes_runs for listener in self._listeners)

    def queued(self) -> None:
        for listener in self._listeners:
            listener.queued()

    def moved(self, runs: Mapping[RunNumber, int]) -> None:
        for listener in self._listeners:
            listener.moved(runs)

    def missed(self) -> None:
        for listener in self._listeners:
            listener.missed()
