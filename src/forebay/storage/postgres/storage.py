"""PostgresStorage: the two ports over a few connections, and one that listens."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress

from forebay.core.clock import Clock, Millis, SystemClock
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable, DiskFull
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES
from forebay.core.run import Run
from forebay.ports.log import Listener
from forebay.ports.store import Crowd, Lease, Outcome, RunQuery, Write
from forebay.storage.telling import appended, queues, tell

from . import forgetting, leasing, reading
from .connection import Connections, fetch
from .doorbell import Doorbell, NotHeard
from .migrate import migrate, refuse_other_schema
from .writing import write_batch

_WRITERS = 1
_READERS = 4
_POLL_SECONDS = 0.5
_SAFETY_POLL_SECONDS = 2.0
_RECONNECT_SECONDS = 0.5
_NOT_HEARD_SECONDS = 60.0


class PostgresStorage:
    """Runs and their log in the schema `forebay` of one PostgreSQL database.

    `direct_url` leads around a transaction pooler that `url` may lead through; LISTEN and
    migrations need that. Behind a pooler nothing is prepared, whatever `prepare` says. One that
    does not hear of what others write is not woken by it.
    """

    name = "postgres"

    def __init__(
        self,
        url: str,
        *,
        direct_url: str | None = None,
        prepare: bool = True,
        auto_migrate: bool = False,
        hears: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.hears = asyncio.Event()
        """Set while rings of other processes arrive here."""
        self._direct_url = direct_url or url
        self._auto_migrate = auto_migrate
        self._is_deaf = not hears
        self._clock = clock or SystemClock()
        self._writing = Connections(url, _WRITERS, prepare=prepare)
        self._reading = Connections(url, _READERS, prepare=prepare)
        self._doorbell = Doorbell(self._reading, self._clock)
        self._listener: Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._look = asyncio.Event()
        self._deaf: str | None = None

    # --- its life -------------------------------------------------------------------------------

    async def open(self) -> None:
        if self._auto_migrate:
            await migrate(self._direct_url)
        async with self._writing.one() as connection:
            await refuse_other_schema(connection)
        self._doorbell.start()
        if self._is_deaf:
            return
        self._tasks = [
            asyncio.create_task(self._hear(), name="postgres-hear"),
            asyncio.create_task(self._poll(), name="postgres-poll"),
        ]

    async def ping(self) -> None:
        async with self._reading.one() as connection:
            rows = await fetch(connection, b"SELECT pg_is_in_recovery()")
        if rows[0][0]:
            raise DatabaseUnavailable("PostgreSQL: this server is a standby and takes no writes.")

    async def stats(self) -> reading.Size:
        async with self._reading.one() as connection:
            return await reading.size(connection)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._doorbell.aclose()
        await self._writing.aclose()
        await self._reading.aclose()

    @property
    def degraded(self) -> list[str]:
        """What works, but not as well as it could."""
        return [self._deaf] if self._deaf else []

    # --- RunStore -------------------------------------------------------------------------------

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        async with self._writing.one() as connection:
            outcomes = await write_batch(connection, batch)
        self._doorbell.ring(appended(batch, outcomes), queued=queues(batch, outcomes))
        if self._listener:
            tell(self._listener, batch, outcomes)
        return outcomes

    async def find(self, run: RunId) -> Run | None:
        async with self._reading.one() as connection:
            return await reading.find(connection, run)

    async def list(self, query: RunQuery) -> Sequence[Run]:
        async with self._reading.one() as connection:
            return await reading.list_runs(connection, query)

    async def renew(self, holder: str, seconds: float) -> int:
        async with self._reading.one() as connection:
            return await leasing.renew(connection, holder, seconds)

    async def lease(self, lease: Lease) -> Sequence[Run]:
        async with self._reading.one() as connection:
            runs = await leasing.lease(connection, lease)
        moved = {run.number: run.last for run in runs if run.number is not None}
        self._doorbell.ring(moved)
        if moved and self._listener and self._listener.interested:
            self._listener.moved(moved)  # nobody hands these entries to the followers
        return runs

    async def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        async with self._reading.one() as connection:
            return await reading.earlier(connection, run, limit)

    async def ahead(self, run: Run, limit: int) -> int:
        async with self._reading.one() as connection:
            return await reading.ahead(connection, run, limit)

    async def crowd(self, besides: str = "") -> Crowd:
        async with self._reading.one() as connection:
            return await reading.crowd(connection, besides)

    async def lost(self, limit: int) -> Sequence[Run]:
        async with self._reading.one() as connection:
            return await reading.lost(connection, limit)

    async def held(self, holder: str, limit: int) -> Sequence[Run]:
        async with self._reading.one() as connection:
            return await reading.held(connection, holder, limit)

    async def due(self, now: Millis, limit: int) -> Sequence[Run]:
        async with self._reading.one() as connection:
            return await reading.due(connection, now, limit)

    async def last_attempt_that_spoke(self, run: RunNumber) -> int:
        async with self._reading.one() as connection:
            return await reading.last_attempt_that_spoke(connection, run)

    async def delete(self, run: RunId) -> bool:
        async with self._reading.one() as connection:
            return await forgetting.delete(connection, run)

    async def expire(self, now: Millis, limit: int) -> int:
        async with self._reading.one() as connection:
            return await forgetting.expire(connection, now, limit)

    async def read_object(self, run: RunNumber, object_id: str) -> bytes | None:
        async with self._reading.one() as connection:
            return await reading.read_object(connection, run, object_id)

    # --- EventLog -------------------------------------------------------------------------------

    async def read(
        self,
        run: RunNumber,
        *,
        after: int = 0,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        async with self._reading.one() as connection:
            return await reading.read(connection, run, after, limit, types)

    async def read_many(
        self, cursors: Mapping[RunNumber, int]
    ) -> Mapping[RunNumber, Sequence[Entry]]:
        async with self._reading.one() as connection:
            return await reading.read_many(connection, cursors)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    # --- hearing of others ----------------------------------------------------------------------

    async def _hear(self) -> None:
        while True:
            pause = _RECONNECT_SECONDS
            try:
                await self._hear_until_lost()
            except NotHeard:
                self._deaf = _POOLER
                pause = _NOT_HEARD_SECONDS
            except (DatabaseUnavailable, DiskFull) as error:
                self._deaf = f"Following polls: the connection for LISTEN is lost. {error.message}"
                await self._reading.drop_idle()
                await self._writing.drop_idle()
            finally:
                self.hears.clear()
            await self._clock.sleep(pause)

    async def _hear_until_lost(self) -> None:
        async with aclosing(self._doorbell.hear(self._direct_url)) as rings:
            async for ring in rings:
                if not self.hears.is_set():
                    self._deaf = None
                    self.hears.set()
                    if self._listener:
                        self._listener.missed()
                elif ring.runs is None:
                    self._look.set()
                elif self._listener:
                    self._listener.moved(ring.runs)
                if ring.queued:
                    self._say_queued()

    async def _poll(self) -> None:
        while True:
            seconds = _SAFETY_POLL_SECONDS if self.hears.is_set() else _POLL_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._look.wait()
            self._look.clear()
            self._say_queued()
            if self._listener and self._listener.interested:
                with suppress(DatabaseUnavailable, DiskFull):
                    await self._look_at_all(self._listener)

    def _say_queued(self) -> None:
        if self._listener and self._listener.takes_runs:
            self._listener.queued()

    async def _look_at_all(self, listener: Listener) -> None:
        async with self._reading.one() as connection:
            moved = await reading.moved(connection, listener.followed())
        if moved:
            listener.moved(moved)


_POOLER = (
    "Following polls every 500 ms: notifications do not arrive through this database URL, which "
    "is that of a transaction pooler. Set FOREBAY_DB_DIRECT_URL to one that leads around it."
)
