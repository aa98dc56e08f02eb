"""SqliteStorage: the two ports over two threads (one writes, one reads) and a doorbell."""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from forebay.core.clock import Clock, Millis
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable, DiskFull
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES
from forebay.core.run import Run
from forebay.ports.log import Listener
from forebay.ports.store import Crowd, Lease, Outcome, RunQuery, Write
from forebay.storage.telling import tell

from .connection import Connection, make_folder, refuse_foreign_file, translated_errors
from .doorbell import Doorbell
from .forgetting import Forgetter
from .leasing import Leaser
from .migrate import migrate
from .reading import Reader
from .writing import Writer, Written

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SAFETY_POLL_SECONDS = 0.5
_SPARE_DISK_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SqliteStats:
    """Figures of the file."""

    size_bytes: int
    oldest_run: int | None


class SqliteStorage:
    """Runs and their log in one file."""

    name = "sqlite"

    def __init__(self, path: Path, clock: Clock, *, hears: bool = True) -> None:
        """Who does not hear of what others write is not woken by it."""
        self.path = path
        self._hears = hears
        self._clock = clock
        self._writing = ThreadPoolExecutor(1, "forebay-sqlite-write")
        self._reading = ThreadPoolExecutor(1, "forebay-sqlite-read")
        self._connections: list[Connection] = []
        self._listener: Listener | None = None
        self._doorbell: Doorbell | None = None
        self._poll_timer: asyncio.TimerHandle | None = None
        self._tail = 0

    @property
    def degraded(self) -> list[str]:
        return []

    # --- its life -------------------------------------------------------------------------------

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._open)
        self._tail = await self._read(self._reader.tail)
        self._doorbell = Doorbell(self.path)
        if self._hears:
            self._doorbell.listen(self._look)
            self._poll()

    def _open(self) -> None:
        refuse_foreign_file(self.path)
        make_folder(self.path)
        with translated_errors():
            write = Connection(self.path)
            write.wait_ourselves()
            migrate(write, self.path, self._clock.now())
            read = Connection(self.path)
            look = Connection(self.path)
            look.wait_ourselves()
        self._connections = [write, read, look]
        self._writer = Writer(write, self._clock)
        self._leaser = Leaser(write, self._writer, self._clock)
        self._forgetter = Forgetter(write)
        self._reader = Reader(read, self._clock)
        self._looker = Reader(look, self._clock)

    async def ping(self) -> None:
        await self._read(self._reader.tail)
        free = shutil.disk_usage(self.path.parent).free
        if free < _SPARE_DISK_BYTES:
            raise DiskFull(f"Only {free // 2**20} MiB are left on the disk of {self.path}.")

    async def stats(self) -> SqliteStats:
        size = await self._read(self._reader.size)
        return SqliteStats(size, await self._read(self._reader.oldest_run))

    async def aclose(self) -> None:
        if self._poll_timer:
            self._poll_timer.cancel()
        if self._doorbell:
            self._doorbell.close()
        self._reading.shutdown()
        self._writing.shutdown()
        while self._connections:
            self._connections.pop().close()

    # --- RunStore -------------------------------------------------------------------------------

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        written = await self._write(self._write_and_ring, batch)
        if written.before == self._tail:
            self._tail = written.tail  # nobody else wrote in between: no need to look at our own
        if self._listener:
            tell(self._listener, batch, written.outcomes)
        return written.outcomes

    async def find(self, run: RunId) -> Run | None:
        return await self._read(self._reader.find, run)

    async def list(self, query: RunQuery) -> Sequence[Run]:
        return await self._read(self._reader.list, query)

    async def renew(self, holder: str, seconds: float) -> int:
        return await self._write(self._leaser.renew, holder, seconds)

    async def lease(self, lease: Lease) -> Sequence[Run]:
        runs = await self._write(self._lease_and_ring, lease)
        if runs:
            self._look_at_entries()  # nobody hands these to the followers
        return runs

    async def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        return await self._read(self._reader.earlier, run, limit)

    async def ahead(self, run: Run, limit: int) -> int:
        return await self._read(self._reader.ahead, run, limit)

    async def crowd(self, besides: str = "") -> Crowd:
        return await self._read(self._reader.crowd, besides)

    async def lost(self, limit: int) -> Sequence[Run]:
        return await self._read(self._reader.lost, limit)

    async def held(self, holder: str, limit: int) -> Sequence[Run]:
        return await self._read(self._reader.held, holder, limit)

    async def due(self, now: Millis, limit: int) -> Sequence[Run]:
        return await self._read(self._reader.due, now, limit)

    async def last_attempt_that_spoke(self, run: RunNumber) -> int:
        return await self._read(self._reader.last_attempt_that_spoke, run)

    async def delete(self, run: RunId) -> bool:
        return await self._write(self._forgetter.delete, run)

    async def expire(self, now: Millis, limit: int) -> int:
        return await self._write(self._forgetter.expire, now, limit)

    async def read_object(self, run: RunNumber, object_id: str) -> bytes | None:
        return await self._read(self._reader.object, run, object_id)

    # --- EventLog -------------------------------------------------------------------------------

    async def read(
        self,
        run: RunNumber,
        *,
        after: int = 0,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        return await self._read(self._reader.read, run, after, limit, types)

    async def read_many(
        self, cursors: Mapping[RunNumber, int]
    ) -> Mapping[RunNumber, Sequence[Entry]]:
        return await self._read(self._reader.read_many, cursors)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def _poll(self) -> None:
        self._look()
        loop = asyncio.get_running_loop()
        self._poll_timer = loop.call_later(_SAFETY_POLL_SECONDS, self._poll)

    def _look(self) -> None:
        self._look_at_entries()
        listener = self._listener
        if listener and listener.takes_runs:
            with suppress(DatabaseUnavailable), translated_errors():
                if self._looker.has_queued():
                    listener.queued()

    def _look_at_entries(self) -> None:
        # On the event loop: what is read was written a moment ago and is in memory, and the way to
        # a thread and back would cost several times the query.
        with suppress(DatabaseUnavailable), translated_errors():  # the next look begins here too
            if not self._listener or not self._listener.interested:
                self._tail = self._looker.tail()
                return
            moved = self._looker.moved(self._tail)
            self._tail = moved.tail
            if moved.runs:
                self._listener.moved(moved.runs)

    # --- threads --------------------------------------------------------------------------------

    def _lease_and_ring(self, lease: Lease) -> Sequence[Run]:
        runs = self._leaser.lease(lease)
        if runs and self._doorbell:
            self._doorbell.ring()
        return runs

    def _write_and_ring(self, batch: Sequence[Write]) -> Written:
        written = self._writer.write(batch)
        if self._doorbell:
            self._doorbell.ring()
        return written

    async def _write(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await _in(self._writing, partial(call, *args, **kwargs))

    async def _read(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await _in(self._reading, partial(call, *args, **kwargs))


async def _in(thread: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    with translated_errors():
        return await asyncio.get_running_loop().run_in_executor(thread, call)
