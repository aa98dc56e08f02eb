"""PostgreSQL against the storage contract."""

import pytest

from forebay.testing.storage import Database, StorageContract

from .databases import PostgresDatabase
from .two_processes import SharedDatabase, TwoProcessesContract

pytestmark = pytest.mark.postgres


class TestPostgresStorage(StorageContract):
    @pytest.fixture
    async def database(self, postgres_database: PostgresDatabase) -> Database:
        return postgres_database


class TestTwoProcessesOnPostgres(TwoProcessesContract):
    @pytest.fixture
    async def shared(self, postgres_database: PostgresDatabase) -> SharedDatabase:
        return postgres_database
