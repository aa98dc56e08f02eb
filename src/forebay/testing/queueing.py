"""The contract of the queue: a run that waits for room is taken once, and somebody hears of it."""

import asyncio
from collections.abc import Sequence

import pytest

from forebay.core.clock import Millis
from forebay.core.errors import RunFinished, StaleAttempt
from forebay.core.events import RunFailed, RunStarted
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Lease

from .database import Database, DatabaseTests
from .following import HeardRuns, Process
from .runs import (
    HOLDER,
    LEASE_SECONDS,
    NOW,
    TAKER,
    a_lease,
    admission,
    admit,
    admit_all,
    answer,
    append,
    cancel,
    chunks,
    found,
    kept,
    new_run,
    queued_run,
    requeue,
    success,
    wait,
    write,
    written,
)


class QueueingContract(DatabaseTests):
    """What lease and held promise, and queued() of a listener."""

    async def test_a_leased_run_begins_its_first_attempt(self, storage: Storage) -> None:
        run = queued_run(metadata={"a": 1}, session="s", deadline=Millis(NOW + 1))
        number = await admit(storage, admission(run))

        (leased,) = await storage.lease(a_lease())

        assert leased == await found(storage, run)
        assert (leased.status, leased.attempt, leased.last) == ("running", 1, 2)
        assert (leased.holder, leased.started) == (TAKER, NOW + 60_000)
        assert (leased.id, leased.number, leased.metadata) == (run.id, number, {"a": 1})
        (started,) = await storage.read(number, after=1)
        assert (started.number, started.attempt, started.time) == (2, 1, NOW + 60_000)
        assert started.event == RunStarted("local", TAKER)
        assert await written(storage, chunks(number, 3, "here")) == 3

    async def test_a_run_leased_again_began_when_it_first_did(self, storage: Storage) -> None:
        run = queued_run()
        number = await admit(storage, admission(run))
        await storage.lease(a_lease())
        await written(storage, requeue(number, 3))

        (again,) = await storage.lease(a_lease(holder="another", time=Millis(NOW + 90_000)))

        assert (again.attempt, again.last, again.holder) == (2, 4, "another")
        assert again.started == NOW + 60_000
        assert [entry.attempt for entry in await storage.read(number)] == [1, 1, 0, 2]

    async def test_only_queued_runs_are_leased(self, storage: Storage) -> None:
        waiting, done, *_ = await admit_all(storage, *(new_run() for _ in range(3)))
        await written(storage, wait(waiting, 3))
        await written(storage, success(done, 3))
        await admit(storage, kept("x"))

        assert await storage.lease(a_lease()) == []

    async def test_a_run_is_leased_once(self, storage: Storage, other: Storage) -> None:
        await admit(storage, admission(queued_run()))

        assert len(await storage.lease(a_lease())) == 1
        assert await other.lease(a_lease()) == []
        assert await storage.lease(a_lease()) == []

    async def test_the_most_urgent_runs_are_leased_first_and_of_equals_the_oldest(
        self, storage: Storage
    ) -> None:
        agents = {1: "a", 2: "b"}
        runs = [
            queued_run(priority=priority, agent=agents[1 + at % 2])
            for at, priority in enumerate([0, 5, -1, 5, 0, 9])
        ]
        await admit_all(storage, *runs)

        order: list[RunId] = []
        while leased := await storage.lease(a_lease(agents=["a", "b"], limit=2)):
            order += [run.id for run in leased]

        assert order == [runs[at].id for at in (5, 1, 3, 0, 4, 2)]

    async def test_only_runs_of_these_agents_are_leased(self, storage: Storage) -> None:
        theirs, ours, also_ours = [queued_run(agent=name) for name in ("theirs", "a", "b")]
        await admit_all(storage, theirs, ours, also_ours)

        assert await storage.lease(a_lease(agents=[])) == []
        assert await storage.lease(a_lease(agents=["nobody's"])) == []
        leased = await storage.lease(a_lease(agents=["a", "b", "c"]))

        assert [run.id for run in leased] == [ours.id, also_ours.id]
        assert (await found(storage, theirs)).status == "submitted"

    async def test_no_more_runs_are_leased_than_asked_for(self, storage: Storage) -> None:
        await admit_all(storage, *(queued_run() for _ in range(5)))

        assert [len(await storage.lease(a_lease(limit=limit))) for limit in (2, 1, 9, 9)] == [
            *(2, 1, 2, 0)
        ]

    async def test_of_many_who_lease_at_once_each_gets_others(
        self, storage: Storage, other: Storage
    ) -> None:
        runs = [queued_run(agent="ab"[at % 2]) for at in range(90)]
        await storage.write([admission(run) for run in runs])
        takers = [a_lease(holder=f"taker {at}", agents=["a", "b"], limit=7) for at in range(4)]

        taken = await asyncio.gather(
            *(self._all(each, taker) for each in (storage, other) for taker in takers)
        )

        assert sorted(run.id for some in taken for run in some) == sorted(run.id for run in runs)
        for run in (run for some in taken for run in some):
            assert run == await found(storage, run)
            assert run.number is not None
            assert [entry.number for entry in await storage.read(run.number)] == [1, 2]

    async def test_a_large_queue_is_leased_at_once(self, storage: Storage) -> None:
        runs = [queued_run() for _ in range(700)]
        await storage.write([admission(run) for run in runs])

        leased = await storage.lease(a_lease(limit=1_000))

        assert [run.id for run in leased] == [run.id for run in runs]
        numbers = [run.number for run in leased if run.number is not None]
        logs = await storage.read_many(dict.fromkeys(numbers, 1))
        assert [entry.number for number in numbers for entry in logs[number]] == [2] * 700

    async def test_a_wish_to_cancel_that_came_before_stands_before_the_start(
        self, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage, admission(queued_run()))
        await written(other, cancel(number, 2))

        (leased,) = await storage.lease(a_lease())

        assert leased.last == 3
        types = [entry.type for entry in await storage.read(number)]
        assert types == ["run.submitted", "run.cancel_requested", "run.started"]

    async def test_a_run_that_ended_in_the_queue_is_not_leased(self, storage: Storage) -> None:
        number = await admit(storage, admission(queued_run()))
        await written(storage, append(number, 2, RunFailed("deadline", "too late"), attempt=0))

        assert await storage.lease(a_lease()) == []

    async def test_a_lease_that_was_taken_runs_out_and_is_renewed_like_any_other(
        self, database: Database, storage: Storage
    ) -> None:
        run = queued_run()
        await admit(storage, admission(run))
        await storage.lease(a_lease())

        await database.pass_time(LEASE_SECONDS - 1)
        assert await storage.lost(10) == []
        assert await storage.renew(TAKER, LEASE_SECONDS) == 1
        await database.pass_time(LEASE_SECONDS - 1)
        assert await storage.lost(10) == []
        await database.pass_time(2)

        assert [lost.id for lost in await storage.lost(10)] == [run.id]

    async def _all(self, storage: Storage, lease: Lease) -> Sequence[Run]:
        taken: list[Run] = []
        while some := await storage.lease(lease):
            assert len(some) <= lease.limit
            assert all(run.holder == lease.holder for run in some)
            taken += some
        return taken

    # --- back into the queue --------------------------------------------------------------------

    async def test_a_requeued_run_is_held_by_nobody(
        self, database: Database, storage: Storage
    ) -> None:
        run = new_run()
        number = await admit(storage, admission(run))

        await written(storage, requeue(number, 3))

        again = await found(storage, run)
        assert (again.status, again.attempt, again.holder) == ("submitted", 1, None)
        assert (again.started, again.finished) == (run.started, None)
        assert await storage.renew(HOLDER, LEASE_SECONDS) == 0
        assert await storage.held("", 10) == []
        await database.pass_time(LEASE_SECONDS + 1)
        assert await storage.lost(10) == []
        assert (await found(storage, run)).status == "submitted"

    async def test_an_attempt_whose_run_was_requeued_is_refused(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, requeue(number, 3))
        end = RunFailed("agent_error", "late")

        for _ in range(2):  # in the queue, and under its next attempt
            last = (await storage.read(number))[-1].number
            assert isinstance(await write(storage, chunks(number, 3, "late")), StaleAttempt)
            assert isinstance(await write(storage, chunks(number, last + 1, "late")), StaleAttempt)
            assert isinstance(await write(storage, append(number, last + 1, end)), StaleAttempt)
            assert isinstance(await write(storage, success(number, last + 1)), StaleAttempt)
            await storage.lease(a_lease())

        assert await written(storage, chunks(number, 5, "in time", attempt=2)) == 5

    async def test_what_an_attempt_wrote_before_stands_once_when_sent_again_after_it(
        self, storage: Storage
    ) -> None:
        number = await admit(storage)
        said = chunks(number, 3, "a", "b")
        await written(storage, said)
        await written(storage, requeue(number, 5))
        assert await written(storage, said) == 3
        await storage.lease(a_lease())

        assert await written(storage, said) == 3
        assert len(await storage.read(number)) == 6

    async def test_a_run_is_requeued_once(self, storage: Storage, other: Storage) -> None:
        number = await admit(storage)

        outcomes = await asyncio.gather(
            *(write(each, requeue(number, 3)) for each in (storage, other, storage))
        )

        assert sum(isinstance(outcome, StaleAttempt) for outcome in outcomes) == 2
        assert len(await storage.read(number)) == 3

    async def test_a_finished_run_is_not_requeued(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, success(number, 3))

        guarded = requeue(number, 4, only_if_held_by=HOLDER)

        assert isinstance(await write(storage, guarded), RunFinished)

    async def test_only_the_runs_of_this_holder_are_requeued(self, storage: Storage) -> None:
        ours = await admit(storage)
        theirs, moved = [await admit(storage, admission(new_run(holder="they"))) for _ in range(2)]
        await written(storage, chunks(moved, 3, "meanwhile"))

        outcomes = await storage.write(
            [
                requeue(ours, 3, only_if_held_by="they"),
                requeue(theirs, 3, only_if_held_by="they"),
                requeue(moved, 3, only_if_held_by="they"),
            ]
        )

        assert isinstance(outcomes[0], StaleAttempt)
        assert [type(outcome).__name__ for outcome in outcomes[1:]] == ["Appended"] * 2
        again = requeue(theirs, 4, only_if_held_by="they")
        assert isinstance(await write(storage, again), StaleAttempt)

    async def test_runs_are_held_under_the_beginning_of_a_holders_name(
        self, storage: Storage
    ) -> None:
        names = ["host/1/a", "host/1/b", "host/12/a", "host/2/a", "hos", "host/1"]
        runs = {name: new_run(holder=name) for name in names}
        numbers = await admit_all(storage, *runs.values())
        await admit(storage, admission(queued_run()))

        assert await self._held(storage, "host/1/") == ["host/1/a", "host/1/b"]
        assert await self._held(storage, "host/1") == ["host/1", *names[:3]]
        assert await self._held(storage, "host/1/a") == ["host/1/a"]
        assert await self._held(storage, "elsewhere") == []
        assert len(await storage.held("host/", 2)) == 2
        await written(storage, success(numbers[0], 3))
        await written(storage, wait(numbers[1], 3))

        assert await self._held(storage, "host/1/") == []

    async def _held(self, storage: Storage, prefix: str) -> list[str]:
        return sorted(run.holder or "" for run in await storage.held(prefix, 100))

    # --- hearing of it --------------------------------------------------------------------------

    async def test_leased_runs_appear_to_followers_here_and_elsewhere(
        self, storage: Storage, other: Storage
    ) -> None:
        processes = [Process(storage)] if other is storage else [Process(storage), Process(other)]
        runs = [queued_run() for _ in range(3)]
        numbers = await admit_all(storage, *runs)
        followers: list[asyncio.Task[list[int]]] = []
        for process in processes:
            process.follower.start()
            for run, number in zip(runs, numbers, strict=True):
                followers.append(await process.attach(run, number))

        await storage.lease(a_lease())
        for run, number in zip(runs, numbers, strict=True):
            await processes[0].append(run.id, success(number, 3))

        assert await asyncio.gather(*followers) == [[1, 2, 3]] * len(followers)
        for process in processes:
            await process.follower.aclose()

    async def test_a_listener_hears_of_every_run_that_was_leased_here(
        self, storage: Storage
    ) -> None:
        heard = HeardRuns()
        storage.listen(heard)
        numbers = await admit_all(storage, queued_run(), queued_run())
        heard.waits_for = dict.fromkeys(numbers, 1)

        await storage.lease(a_lease())

        for number in numbers:
            await heard.heard(number, 2)

    async def test_a_listener_hears_of_what_others_than_the_attempt_wrote_here(
        self, storage: Storage
    ) -> None:
        heard = HeardRuns()
        storage.listen(heard)
        number = await admit(storage)
        heard.waits_for[number] = 2

        await written(storage, requeue(number, 3))

        await heard.heard(number, 3)

    @pytest.mark.parametrize("how", ["admitted", "requeued", "answered"])
    @pytest.mark.parametrize("where", ["here", "elsewhere", "silently"])
    async def test_whoever_takes_runs_hears_that_one_was(
        self, database: Database, storage: Storage, other: Storage, how: str, where: str
    ) -> None:
        number = await admit(storage)
        if how == "answered":
            await written(storage, wait(number, 3))
        heard = HeardRuns()
        heard.takes_runs = True
        storage.listen(heard)

        queueing = {
            "admitted": admission(queued_run()),
            "requeued": requeue(number, 3),
            "answered": answer(number, 5),
        }[how]
        if where == "silently":
            await database.write_silently([queueing])
        else:
            await (storage if where == "here" else other).write([queueing])

        await heard.heard_of_queue()
        assert len(await storage.lease(a_lease())) == 1

    async def test_whoever_takes_no_runs_is_not_told(
        self, storage: Storage, other: Storage
    ) -> None:
        heard = HeardRuns()
        storage.listen(heard)
        followed = await admit(other)
        heard.waits_for[followed] = 2
        await admit(other, admission(queued_run()))
        await admit(storage, admission(queued_run()))

        await written(other, chunks(followed, 3, "x"))
        await heard.heard(RunNumber(followed), 3)

        assert heard.times_queued == 0
