"""Memory against the storage contract."""

from collections.abc import Sequence

import pytest

from forebay.ports.storage import Storage
from forebay.ports.store import Write
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from forebay.testing.storage import Database, StorageContract


class InMemory:
    """One storage: nobody else can reach what it holds."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._storage = MemoryStorage(self._clock)

    async def open(self) -> Storage:
        return self._storage

    async def pass_time(self, seconds: float) -> None:
        self._clock.advance(seconds)

    async def write_silently(self, batch: Sequence[Write]) -> None:
        await self._storage.write(batch)


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    async def database(self) -> Database:
        return InMemory()
