"""PostgreSQL: opening, migrations, and a database that goes away and comes back."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from forebay.core.codec import Object
from forebay.core.errors import (
    DatabaseUnavailable,
    MigrationNeeded,
    NewerSchema,
    SettingError,
)
from forebay.core.events import OutputChunk
from forebay.ports.store import Admitted, Appended, Outcome, RunQuery, Write
from forebay.storage.migrations import migrations
from forebay.storage.postgres.migrate import migrate
from forebay.storage.postgres.storage import PostgresStorage
from forebay.testing.following import Process
from forebay.testing.runs import (
    admission,
    admit,
    append,
    chunks,
    kept,
    key,
    new_run,
    success,
    written,
)

from .cluster import PostgresCluster
from .databases import PostgresDatabase
from .proxy import Proxy

pytestmark = pytest.mark.postgres

_PATIENCE_SECONDS = 30.0
_ALL = list(migrations("postgres"))


# --- the schema -----------------------------------------------------------------------------------


async def test_an_empty_database_has_to_be_migrated(empty_database: PostgresDatabase) -> None:
    storage = empty_database.storage()
    with pytest.raises(MigrationNeeded):
        await storage.open()

    assert await migrate(empty_database.url) == _ALL

    await storage.open()
    await admit(storage)


async def test_a_migrated_database_is_left_as_it_is(postgres_database: PostgresDatabase) -> None:
    assert await migrate(postgres_database.url) == []


async def test_a_server_that_may_migrates_itself(empty_database: PostgresDatabase) -> None:
    await empty_database.storage(auto_migrate=True).open()
    await empty_database.storage(auto_migrate=True).open()

    await admit(await empty_database.open())


async def test_of_many_migrations_at_once_one_does_it(empty_database: PostgresDatabase) -> None:
    applied = await asyncio.gather(*(migrate(empty_database.url) for _ in range(6)))

    assert sorted(applied, key=len) == [[]] * 5 + [_ALL]


async def test_servers_that_start_together_migrate_once(empty_database: PostgresDatabase) -> None:
    storages = [empty_database.storage(auto_migrate=True) for _ in range(4)]

    await asyncio.gather(*(storage.open() for storage in storages))

    assert len({await admit(storage) for storage in storages}) == 4


async def test_a_newer_schema_is_refused(empty_database: PostgresDatabase) -> None:
    await migrate(empty_database.url)
    with empty_database.cluster.connect(empty_database.name) as connection:
        connection.execute("INSERT INTO forebay.migration VALUES (9999, 'of the future')")

    with pytest.raises(NewerSchema, match="9999"):
        await empty_database.storage().open()
    with pytest.raises(NewerSchema):
        await migrate(empty_database.url)


async def test_who_may_not_make_a_schema_migrates_the_one_that_was_made_for_him(
    empty_database: PostgresDatabase,
) -> None:
    role = f"role_of_{empty_database.name}"
    with empty_database.cluster.connect(empty_database.name) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(f"CREATE SCHEMA forebay AUTHORIZATION {role}".encode())
    url = empty_database.url.replace("postgres:@", f"{role}@")
    try:
        assert await migrate(url) == _ALL
        await admit(await _opened(empty_database.storage(url)))
    finally:
        with empty_database.cluster.connect(empty_database.name) as connection:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


# --- a database that cannot be reached ------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["postgresql://127.0.0.1:1/forebay", "postgresql:///forebay?host=/nowhere"]
)
async def test_a_database_that_cannot_be_reached_is_unavailable(url: str) -> None:
    storage = PostgresStorage(url)

    with pytest.raises(DatabaseUnavailable):
        await storage.open()
    with pytest.raises(DatabaseUnavailable):
        await migrate(url)
    await storage.aclose()


async def test_a_database_that_does_not_exist_is_unavailable(postgres: PostgresCluster) -> None:
    storage = PostgresStorage(postgres.url("forebay_nowhere"))

    with pytest.raises(DatabaseUnavailable, match="forebay_nowhere"):
        await storage.open()
    await storage.aclose()


async def test_an_address_that_is_none_is_refused() -> None:
    storage = PostgresStorage("postgresql://127.0.0.1/forebay?no_such_option=1")

    with pytest.raises(SettingError, match="no_such_option"):
        await storage.open()
    await storage.aclose()


async def test_a_closed_storage_answers_nobody(postgres_database: PostgresDatabase) -> None:
    storage = await postgres_database.open()
    await storage.aclose()

    with pytest.raises(DatabaseUnavailable):
        await storage.ping()
    with pytest.raises(DatabaseUnavailable):
        await storage.write([admission()])


# --- a connection that is cut ---------------------------------------------------------------------


@pytest.fixture
async def proxy(postgres: PostgresCluster) -> AsyncGenerator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:  # the path has to be short
        proxy = Proxy(Path(folder), postgres.socket_folder)
        await proxy.start()
        yield proxy
        await proxy.aclose()


async def test_what_was_committed_without_an_answer_stands_once_when_sent_again(
    postgres_database: PostgresDatabase, proxy: Proxy
) -> None:
    url = proxy.url(postgres_database.url)
    storage = await _opened(postgres_database.storage(url, prepare=False))  # one answer, not two
    await _hears(storage)  # so that no other answer can be lost than that to the batch
    number, ended = await admit(storage), await admit(storage)
    batch: list[Write] = [
        append(number, 3, OutputChunk("a"), OutputChunk("b"), objects=[Object("one", b"1")]),
        chunks(ended, 3, "c"),
        admission(key=key()),
        kept("d"),
        success(ended, 4),
    ]

    proxy.loses_answers = True
    with pytest.raises(DatabaseUnavailable):
        await storage.write(batch)
    proxy.loses_answers = False
    assert proxy.answers_lost
    assert len(await storage.read(number)) == 4  # it was committed

    again = await _written_in_the_end(storage, batch)

    assert [again[at] for at in (0, 1, 4)] == [Appended(3), Appended(3), Appended(4)]
    assert [type(again[at]) for at in (2, 3)] == [Admitted, Admitted]
    assert [len(await storage.read(run)) for run in (number, ended)] == [4, 4]
    assert len(await storage.list(RunQuery("default"))) == 4


async def test_a_connection_that_was_cut_while_nobody_used_it_is_not_used_again(
    postgres_database: PostgresDatabase, proxy: Proxy
) -> None:
    storage = await _opened(postgres_database.storage(proxy.url(postgres_database.url)))
    number = await admit(storage)
    await asyncio.gather(*(storage.read(number) for _ in range(4)))

    await proxy.cut()

    assert len(await storage.read(number)) == 2
    assert await written(storage, chunks(number, 3, "a")) == 3


async def test_after_a_cut_everything_goes_on(
    postgres_database: PostgresDatabase, proxy: Proxy
) -> None:
    storage = await _opened(postgres_database.storage(proxy.url(postgres_database.url)))
    here, run = Process(storage), new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    follower = await here.attach(run, number)

    last = 2
    for _ in range(5):
        await proxy.cut()
        last += 1
        await _written_in_the_end(storage, [chunks(number, last, "a")])
    await _written_in_the_end(storage, [success(number, last + 1)])

    assert await follower == list(range(1, last + 2))
    await here.follower.aclose()


# --- a server that is killed, and started again ---------------------------------------------------


@pytest.fixture
def own_cluster() -> Iterator[PostgresCluster]:
    cluster = PostgresCluster(f"{os.getpid()}-own")
    yield cluster
    cluster.close()


@pytest.mark.system
async def test_a_server_that_was_killed_and_started_again_is_used_again(
    own_cluster: PostgresCluster,
) -> None:
    database = PostgresDatabase(own_cluster, migrated=False)
    storage = await _opened(database.storage(auto_migrate=True))
    here, run = Process(storage), new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    follower = await here.attach(run, number)
    await _hears(storage)

    last = 2
    for _ in range(2):
        for _ in range(10):
            last = await here.append(run.id, chunks(number, last + 1, "a"))
        own_cluster.kill()
        with pytest.raises(DatabaseUnavailable):
            await storage.ping()
        with pytest.raises(DatabaseUnavailable):
            await storage.write([chunks(number, last + 1, "b")])
        with pytest.raises(DatabaseUnavailable):
            await storage.read(number)
        own_cluster.start()
        last += 1
        await _written_in_the_end(storage, [chunks(number, last, "b")])
    await _written_in_the_end(storage, [success(number, last + 1)])

    assert await follower == list(range(1, last + 2))
    await _hears(storage)
    assert storage.degraded == []
    await here.follower.aclose()
    await database.aclose()


@pytest.mark.system
async def test_a_storage_opens_when_its_server_has_come(own_cluster: PostgresCluster) -> None:
    database = PostgresDatabase(own_cluster, migrated=False)
    storage = database.storage(auto_migrate=True)
    own_cluster.kill()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await storage.open()
    own_cluster.start()

    await storage.open()

    await admit(storage)
    await database.aclose()


async def _hears(storage: PostgresStorage) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await storage.hears.wait()


async def _opened(storage: PostgresStorage) -> PostgresStorage:
    await storage.open()
    return storage


async def _written_in_the_end(storage: PostgresStorage, batch: list[Write]) -> list[Outcome]:
    """Send a batch until it was written, as the committer does."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                return list(await storage.write(batch))
            except DatabaseUnavailable:
                await asyncio.sleep(0.01)
