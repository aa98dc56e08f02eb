"""PostgreSQL: hearing of what others commit, through LISTEN, and without it."""

import asyncio

import pytest

from forebay.core.ids import RunNumber
from forebay.ports.store import Admitted
from forebay.storage.postgres.doorbell import Ring, read_ring, rings
from forebay.testing.following import HeardRuns, Process
from forebay.testing.runs import (
    a_lease,
    admission,
    admit,
    chunks,
    new_run,
    queued_run,
    requeue,
    success,
)
from tests.support.waiting import until

from .databases import PostgresDatabase

pytestmark = pytest.mark.postgres

_PATIENCE_SECONDS = 20.0


async def _hears(hears: asyncio.Event) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await hears.wait()


def _cut_listeners(database: PostgresDatabase) -> int:
    with database.cluster.connect(database.name) as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        ).rowcount


async def test_rings_arrive_long_before_the_safety_poll(
    postgres_database: PostgresDatabase,
) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    here.listen(heard)
    await _hears(here.hears)
    number = await admit(there)
    heard.waits_for[number] = 2

    for last in range(3, 43):
        await there.write([chunks(number, last, "x")])
        await heard.heard(number, last)

    # Forty rings one after the other: a poll each would have taken longer than a test may.
    assert heard.told == {number: 42}


async def test_rings_for_queued_runs_arrive_long_before_the_safety_poll(
    postgres_database: PostgresDatabase,
) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    heard.takes_runs = True
    here.listen(heard)
    await _hears(here.hears)

    # Forty rings one after the other: a poll each would have taken longer than a test may.
    for _ in range(20):
        times = heard.times_queued
        await there.write([admission(queued_run())])
        await heard.heard_of_queue(times + 1)
        (run,) = await here.lease(a_lease())
        assert run.number is not None
        times = heard.times_queued
        await there.write([requeue(run.number, run.last + 1)])
        await heard.heard_of_queue(times + 1)
        assert len(await here.lease(a_lease())) == 1


async def test_whoever_takes_runs_is_not_told_of_every_ring(
    postgres_database: PostgresDatabase,
) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    heard.takes_runs = True
    here.listen(heard)
    await _hears(here.hears)
    number = await admit(there)
    heard.waits_for[number] = 2

    for last in range(3, 43):
        await there.write([chunks(number, last, "x")])
        await heard.heard(number, last)

    assert heard.times_queued <= 5  # when it began to listen, and by a safety poll


async def test_a_process_is_not_told_of_what_it_has_written_itself(
    postgres_database: PostgresDatabase,
) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    here.listen(heard)
    await _hears(here.hears)
    own, of_another = [await admit(there) for _ in range(2)]
    heard.waits_for |= {own: 1_000, of_another: 2}  # looking for the first finds nothing new

    for last in range(3, 23):
        await here.write([chunks(own, last, "x")])
        await there.write([chunks(of_another, last, "x")])
        await heard.heard(of_another, last)

    assert own not in heard.told


async def test_nobody_rings_where_nobody_else_listens(
    postgres_database: PostgresDatabase,
) -> None:
    here = await postgres_database.open()
    await _hears(here.hears)
    number = await admit(here)
    with postgres_database.cluster.connect(postgres_database.name) as stranger:
        stranger.execute("LISTEN forebay")
        for last in range(3, 13):
            await here.write([chunks(number, last, "unheard")])

        there = await postgres_database.open()
        await _hears(there.hears)
        heard = HeardRuns()
        there.listen(heard)
        heard.waits_for[number] = 12
        await here.write([chunks(number, 13, "heard")])
        await heard.heard(number, 13)

        rings = [read_ring(each.payload).runs for each in stranger.notifies(timeout=0.1)]

    assert {last for runs in rings if runs for last in runs.values()} <= {13}


@pytest.mark.parametrize("together", [True, False])
async def test_processes_hear_each_other_in_whatever_order_they_start(
    postgres_database: PostgresDatabase, together: bool
) -> None:
    storages = [postgres_database.storage() for _ in range(3)]
    heard = [HeardRuns() for _ in storages]
    for storage in () if together else storages:
        await storage.open()
        await _hears(storage.hears)
    if together:
        await asyncio.gather(*(storage.open() for storage in storages))
    number = await admit(storages[0])
    for storage, listener in zip(storages, heard, strict=True):
        await _hears(storage.hears)
        storage.listen(listener)
        listener.waits_for[number] = 2

    for last in range(3, 43):
        speaker = last % len(storages) if together else -1  # the newest alone
        await storages[speaker].write([chunks(number, last, "x")])
        for at, listener in enumerate(heard):
            if at != speaker % len(storages):
                await listener.heard(number, last)


async def test_a_follower_misses_nothing_when_its_connection_is_cut(
    postgres_database: PostgresDatabase,
) -> None:
    storage = await postgres_database.open()
    here, run = Process(storage), new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    follower = await here.attach(run, number)

    last = 2
    for _ in range(3):
        await _hears(storage.hears)
        assert _cut_listeners(postgres_database) == 1
        last += 1
        await postgres_database.write_silently([chunks(number, last, "while nobody listened")])
        await until(lambda: not storage.hears.is_set())
        last += 1
        await postgres_database.write_silently([chunks(number, last, "still nobody")])
    await _hears(storage.hears)
    await postgres_database.write_silently([success(number, last + 1)])

    assert await follower == list(range(1, last + 2))
    assert storage.degraded == []
    await here.follower.aclose()


async def test_a_process_that_does_not_hear_says_so(postgres_database: PostgresDatabase) -> None:
    elsewhere = postgres_database.cluster.url("forebay_nowhere")
    storage = postgres_database.storage(direct_url=elsewhere)
    await storage.open()
    here, run = Process(storage), new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    follower = await here.attach(run, number)

    await until(lambda: storage.degraded != [])
    await postgres_database.write_silently([chunks(number, 3, "polled"), success(number, 4)])

    assert await follower == [1, 2, 3, 4]
    assert "LISTEN" in storage.degraded[0]
    await here.follower.aclose()


async def test_a_batch_of_very_many_runs_is_heard_of(postgres_database: PostgresDatabase) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    here.listen(heard)
    await _hears(here.hears)
    outcomes = await there.write([admission() for _ in range(2_500)])
    numbers = [outcome.number for outcome in outcomes if isinstance(outcome, Admitted)]
    heard.waits_for.update(dict.fromkeys(numbers, 2))

    await there.write([chunks(number, 3, "x") for number in numbers])

    for number in numbers:
        await heard.heard(number, 3)


async def test_nobody_looks_for_what_nobody_follows(postgres_database: PostgresDatabase) -> None:
    here, there = await postgres_database.open(), await postgres_database.open()
    heard = HeardRuns()
    here.listen(heard)
    await _hears(here.hears)
    followed, unfollowed = [await admit(there) for _ in range(2)]
    heard.waits_for[followed] = 2

    await postgres_database.write_silently([chunks(followed, 3, "x"), chunks(unfollowed, 3, "x")])
    await heard.heard(followed, 3)

    assert heard.told == {followed: 3}


def test_a_ring_fits_into_a_notification() -> None:
    moved = {RunNumber(10**12 + at): 10**6 + at for at in range(2_000)}

    payloads = rings("a name", moved)

    assert all(len(payload) < 8_000 for payload in payloads)
    read = [read_ring(payload).runs or {} for payload in payloads]
    assert {number: last for some in read for number, last in some.items()} == moved


def test_too_many_runs_for_rings_are_one_ring() -> None:
    moved = {RunNumber(at): 3 for at in range(2_001)}

    (payload,) = rings("a name", moved)

    assert read_ring(payload) == Ring("a name", None, queued=True)


@pytest.mark.parametrize("count", [0, 1, 2_000])
def test_a_ring_says_that_there_are_queued_runs(count: int) -> None:
    moved = {RunNumber(10**12 + at): 10**6 + at for at in range(count)}

    payloads = rings("a name", moved, queued=True)

    assert all(len(payload) < 8_000 for payload in payloads)
    read = [read_ring(payload) for payload in payloads]
    assert [ring.queued for ring in read] == [True] + [False] * (len(read) - 1)
    assert {number: last for ring in read for number, last in (ring.runs or {}).items()} == moved
