"""PostgreSQL behind a transaction pooler: the same contract, with and without a way around it."""

from collections.abc import AsyncGenerator, Iterator

import pytest

from forebay.core.errors import DatabaseUnavailable
from forebay.storage.migrations import migrations
from forebay.storage.postgres.connection import connect
from forebay.storage.postgres.migrate import migrate
from forebay.storage.postgres.storage import PostgresStorage
from forebay.testing.following import Process
from forebay.testing.runs import admission, admit, chunks, new_run, success, written
from forebay.testing.storage import Database, StorageContract
from tests.support.waiting import until

from .bouncer import Bouncer, bouncing
from .cluster import PostgresCluster
from .databases import PostgresDatabase

pytestmark = [pytest.mark.postgres, pytest.mark.needs_pgbouncer]


@pytest.fixture(scope="module")
def bouncer(postgres: PostgresCluster) -> Iterator[Bouncer]:
    with bouncing(postgres, connections=3) as bouncer:
        yield bouncer


class PooledDatabase(PostgresDatabase):
    """A database whose storages reach it through the pool, and listen around it."""

    def __init__(self, cluster: PostgresCluster, bouncer: Bouncer) -> None:
        super().__init__(cluster)
        self._bouncer = bouncer

    async def open(self) -> PostgresStorage:
        storage = self.storage(self._bouncer.url(self.url), direct_url=self.url)
        await storage.open()
        return storage


class TestPostgresStorageBehindAPooler(StorageContract):
    @pytest.fixture
    async def database(
        self, postgres: PostgresCluster, bouncer: Bouncer
    ) -> AsyncGenerator[Database]:
        database = PooledDatabase(postgres, bouncer)
        yield database
        await database.aclose()


async def test_without_a_way_around_the_pooler_following_polls_and_says_so(
    postgres_database: PostgresDatabase, bouncer: Bouncer
) -> None:
    storage = postgres_database.storage(bouncer.url(postgres_database.url))
    await storage.open()
    here, there = Process(storage), await postgres_database.open()
    run = new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    follower = await here.attach(run, number)
    await until(lambda: storage.degraded != [])

    await written(there, chunks(number, 3, "polled"))
    await written(there, success(number, 4))

    assert await follower == [1, 2, 3, 4]
    assert "FOREBAY_DB_DIRECT_URL" in storage.degraded[0]
    assert not storage.hears.is_set()
    await here.follower.aclose()


async def test_a_direct_way_is_not_degraded(
    postgres_database: PostgresDatabase, bouncer: Bouncer
) -> None:
    url = postgres_database.url
    storage = postgres_database.storage(bouncer.url(url), direct_url=url)
    await storage.open()

    await until(storage.hears.is_set)

    assert storage.degraded == []


async def test_a_database_is_migrated_through_the_pooler(
    empty_database: PostgresDatabase, bouncer: Bouncer
) -> None:
    url = bouncer.url(empty_database.url)

    assert await migrate(url) == list(migrations("postgres"))
    assert await migrate(url) == []


async def test_nothing_is_prepared_through_a_pooler(
    postgres_database: PostgresDatabase, bouncer: Bouncer
) -> None:
    through = await connect(bouncer.url(postgres_database.url), prepare=True)
    around = await connect(postgres_database.url, prepare=True)
    neither = await connect(postgres_database.url, prepare=False)

    thresholds = [each.prepare_threshold for each in (through, around, neither)]

    assert thresholds == [None, 0, None]
    for connection in (through, around, neither):
        await connection.close()


async def test_a_pooler_that_is_gone_is_a_database_that_is_gone(
    postgres_database: PostgresDatabase, postgres: PostgresCluster
) -> None:
    with bouncing(postgres, connections=2) as bouncer:
        storage = postgres_database.storage(bouncer.url(postgres_database.url))
        await storage.open()

    with pytest.raises(DatabaseUnavailable):
        await storage.ping()
