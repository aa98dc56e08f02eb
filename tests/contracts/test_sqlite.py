"""SQLite against the storage contract."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from forebay.ports.storage import Storage
from forebay.ports.store import Write
from forebay.storage.sqlite.connection import Connection
from forebay.storage.sqlite.storage import SqliteStorage
from forebay.storage.sqlite.writing import Writer
from forebay.testing.clock import ManualClock
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


class TestTwoProcessesOnSqlite(TwoProcessesContract):
    @pytest.fixture
    async def shared(self, file: SqliteFile) -> SharedDatabase:
        return file
