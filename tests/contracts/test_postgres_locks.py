"""PostgreSQL with transactions of others in between: late commits, lock orders, newest versions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from forebay.core.clock import Millis
from forebay.core.errors import Invalid, RunFinished, RunNotFound, StaleAttempt
from forebay.core.ids import RunNumber
from forebay.ports.store import Admitted, Append, Appended, Outcome, RunQuery, Write
from forebay.storage.postgres import leasing
from forebay.storage.postgres.connection import Connection, connect, execute
from forebay.storage.postgres.storage import PostgresStorage
from forebay.storage.postgres.writing import write_batch
from forebay.testing.following import Process
from forebay.testing.runs import (
    HOLDER,
    NOW,
    a_lease,
    admission,
    admit,
    admit_all,
    cancel,
    chunks,
    key,
    loss,
    new_run,
    queued_run,
    success,
    write,
    written,
)
from tests.support.waiting import until

from .databases import PostgresDatabase

pytestmark = pytest.mark.postgres


@pytest.fixture
async def storage(postgres_database: PostgresDatabase) -> PostgresStorage:
    return await postgres_database.open()


@asynccontextmanager
async def transaction(
    database: PostgresDatabase, *, gives_up: bool = False
) -> AsyncGenerator[Connection]:
    """Somebody who takes his time: what he writes is committed at the end of the block, or not."""
    connection = await connect(database.url)
    try:
        async with connection.transaction(force_rollback=gives_up):
            yield connection
    finally:
        await connection.close()


async def blocked(database: PostgresDatabase, count: int = 1) -> None:
    """Wait until so many connections wait for a lock."""
    with database.cluster.connect(database.name) as connection:

        def waiting() -> bool:
            rows = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            row = rows.fetchone()
            return row is not None and row[0] >= count

        await until(waiting)


# --- the newest version of a run counts, though the statement began before it -------------------


async def test_an_append_that_waited_is_numbered_after_what_it_waited_for(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    number = await admit(storage)

    async with transaction(postgres_database) as other:
        assert await write_batch(other, [cancel(number, 3), cancel(number, 4)]) == [
            Appended(3),
            Appended(4),
        ]
        waiting = asyncio.create_task(written(storage, chunks(number, 3, "a", "b")))
        await blocked(postgres_database)

    assert await waiting == 5
    log = await storage.read(number)
    assert [entry.number for entry in log] == [1, 2, 3, 4, 5, 6]


async def test_an_append_that_waited_for_nothing_is_written_as_expected(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    number = await admit(storage)

    async with transaction(postgres_database, gives_up=True) as other:
        await write_batch(other, [cancel(number, 3)])
        waiting = asyncio.create_task(written(storage, chunks(number, 3, "a", "b")))
        await blocked(postgres_database)

    assert await waiting == 3
    assert [entry.number for entry in await storage.read(number)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("meanwhile", "refusal"),
    [
        (b"UPDATE forebay.run SET attempt = 2", StaleAttempt),
        (b"UPDATE forebay.run SET status = 'success', finished = 1", RunFinished),
        (b"DELETE FROM forebay.run", RunNotFound),
    ],
)
async def test_what_happened_while_an_append_waited_refuses_it(
    postgres_database: PostgresDatabase,
    storage: PostgresStorage,
    meanwhile: bytes,
    refusal: type[Exception],
) -> None:
    number = await admit(storage)

    async with transaction(postgres_database) as other:
        await execute(other, meanwhile)
        waiting = asyncio.create_task(write(storage, chunks(number, 3, "late")))
        await blocked(postgres_database)

    assert isinstance(await waiting, refusal)
    assert len(await storage.read(number)) == 2


async def test_a_lease_renewed_while_its_end_was_written_saves_the_run(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    number = await admit(storage)
    await postgres_database.pass_time(60)

    async with transaction(postgres_database) as other:
        await execute(other, b"UPDATE forebay.run SET lease_until = now() + interval '1 minute'")
        waiting = asyncio.create_task(write(storage, loss(number, 3)))
        await blocked(postgres_database)

    assert isinstance(await waiting, StaleAttempt)


async def test_neighbours_of_an_append_that_waited_are_written_once(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    first, second, third = [await admit(storage) for _ in range(3)]
    batch = [chunks(number, 3, "a") for number in (third, first, second)]

    async with transaction(postgres_database) as other:
        await write_batch(other, [cancel(second, 3)])
        waiting = asyncio.create_task(storage.write([*batch, admission()]))
        await blocked(postgres_database)

    outcomes = await waiting
    assert outcomes[:3] == [Appended(3), Appended(3), Appended(4)]
    assert isinstance(outcomes[3], Admitted)
    assert [len(await storage.read(number)) for number in (first, second, third)] == [3, 4, 3]


async def test_a_batch_sent_again_while_its_first_try_is_under_way_stands_once(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    number = await admit(storage)
    batch: list[Write] = [chunks(number, 3, "a", "b"), admission(key=key()), admission()]

    async with transaction(postgres_database) as other:
        first = await write_batch(other, batch)
        again = asyncio.create_task(storage.write(batch))
        await blocked(postgres_database)

    assert await again == first
    assert len(await storage.read(number)) == 4
    assert len(await storage.list(RunQuery("default"))) == 3


async def test_a_lease_leaves_to_others_what_they_have_locked(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    runs = [queued_run(agent=name) for name in "aaab"]
    first, _, third, fourth = await admit_all(storage, *runs)

    async with transaction(postgres_database) as other:
        await write_batch(other, [cancel(first, 2), cancel(third, 2)])
        leased = await storage.lease(a_lease(agents=["a", "b"]))
        assert [run.id for run in leased] == [runs[1].id, runs[3].id]
        assert await storage.lease(a_lease(agents=["a", "b"])) == []

    leased = await storage.lease(a_lease(agents=["a", "b"]))
    assert [(run.number, run.last) for run in leased] == [(first, 3), (third, 3)]
    assert fourth not in {run.number for run in leased}


async def test_a_lease_locks_no_more_than_it_takes(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    await admit_all(storage, *(queued_run(agent=name) for name in "abababab"))
    lease = a_lease(agents=["a", "b"], limit=2)

    async with transaction(postgres_database) as other:
        taken = await leasing.lease(other, lease)
        others = await storage.lease(lease)

    assert len({run.id for run in [*taken, *others]}) == 4
    assert len(await storage.lease(a_lease(agents=["a", "b"]))) == 4


async def test_what_waited_for_a_lease_is_written_after_it(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    run = queued_run()
    number = await admit(storage, admission(run))

    async with transaction(postgres_database) as other:
        assert len(await leasing.lease(other, a_lease())) == 1
        ending = asyncio.create_task(write(storage, loss(number, 2)))
        cancelling = asyncio.create_task(write(storage, cancel(number, 2)))
        await blocked(postgres_database)

    assert isinstance(await ending, StaleAttempt)
    assert await cancelling == Appended(3)
    assert [entry.type for entry in await storage.read(number)] == [
        "run.submitted",
        "run.started",
        "run.cancel_requested",
    ]


# --- late commits -------------------------------------------------------------------------------


async def test_nobody_misses_what_was_numbered_first_and_committed_last(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    here, there = Process(storage), await postgres_database.open()
    runs = [new_run(), new_run()]
    late, early = [await admit(storage, admission(run)) for run in runs]
    here.follower.start()
    followers = [
        await here.attach(run, number) for run, number in zip(runs, (late, early), strict=True)
    ]

    async with transaction(postgres_database) as other:
        await write_batch(other, [chunks(late, 3, "a"), success(late, 4)])
        await written(there, success(early, 3))
        assert await followers[1] == [1, 2, 3]

    assert await followers[0] == [1, 2, 3, 4]
    await here.follower.aclose()


async def test_a_run_admitted_first_and_committed_last_is_found_by_everybody(
    postgres_database: PostgresDatabase, storage: PostgresStorage
) -> None:
    late, early = admission(), admission()

    async with transaction(postgres_database) as other:
        await write_batch(other, [late])
        await admit(storage, early)
        assert [run.id for run in await storage.list(RunQuery("default"))] == [early.run.id]

    assert [run.id for run in await storage.list(RunQuery("default"))] == [
        early.run.id,
        late.run.id,
    ]


# --- opposite orders ----------------------------------------------------------------------------


async def test_batches_in_opposite_orders_do_not_block_each_other(
    postgres_database: PostgresDatabase,
) -> None:
    storages = [await postgres_database.open() for _ in range(3)]
    numbers = [await admit(storages[0]) for _ in range(12)]

    async def appends(storage: PostgresStorage, order: Sequence[RunNumber]) -> list[Outcome]:
        batches: list[list[Append]] = [[cancel(each, 3) for each in order] for _ in range(25)]
        return [outcome for batch in batches for outcome in await storage.write(batch)]

    async def leases() -> list[Outcome]:
        for at in range(25):
            assert await storages[2].renew(HOLDER, 60) == len(numbers)
            await storages[2].expire(Millis(NOW + at), 10)
        return []

    async with asyncio.timeout(40):
        told = await asyncio.gather(
            appends(storages[0], numbers),
            appends(storages[1], list(reversed(numbers))),
            appends(storages[2], numbers[6:] + numbers[:6]),
            leases(),
        )

    assert all(isinstance(outcome, Appended) for some in told for outcome in some)
    for number in numbers:
        log = await storages[0].read(number)
        assert [entry.number for entry in log] == list(range(1, 2 + 75 + 1))


# --- what PostgreSQL cannot store ---------------------------------------------------------------


async def test_a_text_that_cannot_be_stored_fails_alone(storage: PostgresStorage) -> None:
    number = await admit(storage)
    impossible = admission(new_run(session="a \0 in it"))

    outcomes = await storage.write([chunks(number, 3, "x"), impossible, admission()])

    assert outcomes[0] == Appended(3)
    assert isinstance(outcomes[1], Invalid)
    assert isinstance(outcomes[2], Admitted)
    assert len(await storage.read(number)) == 3
    assert len(await storage.list(RunQuery("default"))) == 2
