"""Databases of PostgreSQL for the tests in here."""

from collections.abc import AsyncGenerator

import pytest

from .cluster import PostgresCluster
from .databases import PostgresDatabase


@pytest.fixture
async def postgres_database(postgres: PostgresCluster) -> AsyncGenerator[PostgresDatabase]:
    """A database with the schema in it, and nothing else."""
    database = PostgresDatabase(postgres)
    yield database
    await database.aclose()


@pytest.fixture
async def empty_database(postgres: PostgresCluster) -> AsyncGenerator[PostgresDatabase]:
    """A database that nobody has migrated."""
    database = PostgresDatabase(postgres, migrated=False)
    yield database
    await database.aclose()
