"""Database: what the conformance suite needs of a database under test."""

from collections.abc import Sequence
from typing import Protocol

import pytest

from forebay.ports.storage import Storage
from forebay.ports.store import Write


class Database(Protocol):
    """One empty database, made for one test. Whoever made it closes what was opened."""

    async def open(self) -> Storage:
        """Another storage on it, open. Where there can only be one, always the same."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass for every lease."""
        ...

    async def write_silently(self, batch: Sequence[Write]) -> None:
        """Commit a batch as a process does that dies before it can tell anybody. Where a storage
        can only tell of all it writes, it may do that."""
        ...


class DatabaseTests:
    """The fixtures of every test in here."""

    @pytest.fixture
    async def database(self) -> Database:
        """The database under test. Every implementation of the contract brings its own."""
        raise NotImplementedError

    @pytest.fixture
    async def storage(self, database: Database) -> Storage:
        """A storage on the database."""
        return await database.open()

    @pytest.fixture
    async def other(self, database: Database, storage: Storage) -> Storage:
        """Another storage on the same database, as another process has it."""
        del storage  # the first one is opened first
        return await database.open()
