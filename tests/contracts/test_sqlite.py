"""SQLite against the storage contract."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from forebay.core.ids import RunId
from forebay.ports.storage import Storage
from forebay.ports.store import Write
from forebay.storage.migrations import migrations
from forebay.storage.sqlite.connection import APPLICATION_ID, Connection
from forebay.storage.sqlite.storage import SqliteStorage
from forebay.storage.sqlite.writing import Writer
from forebay.testing.clock import ManualClock
from forebay.testing.runs import a_lease, admission, admit, found, queued_run
from forebay.testing.storage import Database, StorageContract

from .two_processes import SharedDatabase, TwoProcessesContract


class SqliteFile:
    """A file, and the storages that were opened on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path)
        self.clock = ManualClock()
        self._opened: list[SqliteStorage] = []

    async def open(self) -> Storage:
        storage = SqliteStorage(self.path, self.clock)
        await storage.open()
        self._opened.append(storage)
        return storage

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def write_silently(self, batch: Sequence[Write]) -> None:
        connection = Connection(self.path)
        Writer(connection, self.clock).write(batch)
        connection.close()

    async def aclose(self) -> None:
        """Close everything."""
        for storage in self._opened:
            await storage.aclose()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncGenerator[SqliteFile]:
    file = SqliteFile(tmp_path / "test.db")
    yield file
    await file.aclose()


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    async def database(self, file: SqliteFile) -> Database:
        return file


async def test_looking_for_queued_runs_needs_no_lock(file: SqliteFile) -> None:
    storage = await file.open()
    await admit(storage, admission(queued_run(agent="another")))
    writer = Connection(file.path)

    with writer.transaction():  # of somebody who takes his time
        async with asyncio.timeout(3):
            assert await storage.lease(a_lease()) == []

    writer.close()


async def test_a_file_of_an_older_schema_keeps_its_runs(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    first, *_ = migrations("sqlite")
    old = Connection(path)
    with old.transaction():
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("CREATE TABLE migration (number INTEGER PRIMARY KEY, name, applied_at)")
        old.execute("INSERT INTO migration VALUES (1, 'runs', 0)")
        old.execute(first.sql)
        for number, status in enumerate(("running", "submitted"), 1):
            old.execute(
                "INSERT INTO run (id, tenant, caller, agent, status, durable, last, attempt, "
                "holder, created, expiry_seconds) "
                "VALUES (?, 'default', 'anonymous', 'echo', ?, 1, 0, ?, 'somebody', 0, 60)",
                (bytes([number] * 16), status, number - 1),
            )
    old.close()
    file = SqliteFile(path)

    storage = await file.open()

    assert [run.number for run in await storage.held("some", 10)] == [1]
    assert [run.number for run in await storage.lease(a_lease())] == [2]
    assert (await found(storage, RunId(bytes([1] * 16)))).deadline is None
    assert path.with_name("old.db.before-0002").exists()
    await file.aclose()


class TestTwoProcessesOnSqlite(TwoProcessesContract):
    @pytest.fixture
    async def shared(self, file: SqliteFile) -> SharedDatabase:
        return file
