"""The contract of waiting: for an answer that wakes a run once, and for times that come."""

import asyncio

from forebay.core.clock import Millis
from forebay.core.errors import RunFinished, StaleAttempt
from forebay.core.events import (
    CodeChanged,
    OutputChunk,
    QuestionExpired,
    RunFailed,
    RunStarted,
    StepRestarted,
    StepStarted,
)
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Appended

from .database import Database, DatabaseTests
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
    loss,
    new_run,
    queued_run,
    requeue,
    success,
    wait,
    write,
    written,
)

_WAKE = Millis(NOW + 5_000)


class WaitingContract(DatabaseTests):
    """What `waiting`, `wake`, `only_if_last`, due and last_attempt_that_spoke promise."""

    async def test_a_run_that_waits_is_held_by_nobody(
        self, database: Database, storage: Storage
    ) -> None:
        run, number = await self._waiting(storage)

        waiting = await found(storage, run)
        assert (waiting.status, waiting.holder, waiting.wake) == ("waiting", None, _WAKE)
        assert (waiting.attempt, waiting.last) == (1, 4)
        assert await storage.renew(HOLDER, LEASE_SECONDS) == 0
        await database.pass_time(LEASE_SECONDS + 1)
        assert await storage.lost(10) == []
        assert isinstance(await write(storage, chunks(number, 5, "late")), StaleAttempt)
        assert isinstance(await write(storage, success(number, 5)), StaleAttempt)

    async def test_who_saw_a_run_lost_that_waits_now_does_not_end_it(
        self, database: Database, storage: Storage
    ) -> None:
        run, number = await self._waiting(storage)
        await database.pass_time(LEASE_SECONDS + 1)

        assert isinstance(await write(storage, loss(number, 3)), StaleAttempt)
        assert isinstance(await write(storage, loss(number, 5)), StaleAttempt)
        assert (await found(storage, run)).status == "waiting"

    async def test_an_answer_queues_a_run_that_waits_once(self, storage: Storage) -> None:
        run, number = await self._waiting(storage)

        assert await written(storage, answer(number, 5)) == 5
        woken = await found(storage, run)
        assert (woken.status, woken.wake, woken.holder) == ("submitted", None, None)
        assert await written(storage, answer(number, 6)) == 6
        assert (await found(storage, run)).status == "submitted"

        (leased,) = await storage.lease(a_lease())
        assert (leased.attempt, leased.last) == (2, 7)
        assert await storage.lease(a_lease()) == []

    async def test_an_answer_wakes_though_somebody_wrote_before_it(
        self, storage: Storage, other: Storage
    ) -> None:
        run, number = await self._waiting(storage)
        await written(other, cancel(number, 5))
        assert (await found(storage, run)).wake == _WAKE

        outcomes = await storage.write([answer(number, 5), answer(number, 5)])

        assert outcomes == [Appended(6), Appended(7)]
        woken = await found(storage, run)
        assert (woken.status, woken.wake) == ("submitted", None)

    async def test_a_question_that_nobody_answered_wakes_too(self, storage: Storage) -> None:
        run, number = await self._waiting(storage)

        await written(storage, append(number, 5, QuestionExpired("q"), attempt=0))

        assert (await found(storage, run)).status == "submitted"

    async def test_an_answer_to_a_run_that_does_not_wait_changes_nothing_else(
        self, storage: Storage
    ) -> None:
        run = queued_run()
        number = await admit(storage, admission(run))
        await written(storage, answer(number, 2))
        assert (await found(storage, run)).status == "submitted"
        await storage.lease(a_lease())

        await written(storage, answer(number, 4))

        running = await found(storage, run)
        assert (running.status, running.holder, running.attempt) == ("running", TAKER, 1)
        assert await storage.renew(TAKER, LEASE_SECONDS) == 1
        assert await written(storage, chunks(number, 5, "goes on")) == 5
        assert await storage.lease(a_lease()) == []

    async def test_of_two_answers_that_would_be_the_only_one_one_stands(
        self, storage: Storage, other: Storage
    ) -> None:
        for _ in range(5):
            _, number = await self._waiting(storage)

            outcomes = await asyncio.gather(
                *(write(each, answer(number, 5, only_if_last=True)) for each in (storage, other))
            )

            assert outcomes.count(Appended(5)) == 1
            assert sum(isinstance(outcome, StaleAttempt) for outcome in outcomes) == 1

    async def test_a_run_that_waited_can_wait_again(self, storage: Storage) -> None:
        run, number = await self._waiting(storage)
        await written(storage, answer(number, 5))
        await storage.lease(a_lease())

        await written(storage, wait(number, 7, attempt=2))

        waiting = await found(storage, run)
        assert (waiting.status, waiting.wake, waiting.holder) == ("waiting", None, None)

    async def test_a_run_that_ended_while_it_waited_waits_for_nothing(
        self, storage: Storage
    ) -> None:
        run, number = await self._waiting(storage)

        await written(storage, append(number, 5, RunFailed("deadline", "too late"), attempt=0))

        ended = await found(storage, run)
        assert (ended.status, ended.reason, ended.wake) == ("failure", "deadline", None)
        assert isinstance(await write(storage, answer(number, 6)), RunFinished)
        assert await storage.due(Millis(NOW + 10_000), 10) == []

    async def _waiting(self, storage: Storage) -> tuple[Run, RunNumber]:
        run = new_run()
        number = await admit(storage, admission(run))
        await written(storage, wait(number, 3, wake=_WAKE))
        return run, number

    # --- only if nobody else wrote in between ---------------------------------------------------

    async def test_a_run_does_not_begin_to_wait_after_an_answer_it_has_not_seen(
        self, storage: Storage, other: Storage
    ) -> None:
        run = new_run()
        number = await admit(storage, admission(run))
        await written(other, answer(number, 3))

        refused = await write(storage, wait(number, 3, only_if_last=True))

        assert isinstance(refused, StaleAttempt)
        assert (await found(storage, run)).status == "running"
        assert await written(storage, wait(number, 4, only_if_last=True)) == 4
        assert (await found(storage, run)).status == "waiting"

    async def test_what_had_to_be_last_stands_once_when_sent_again(
        self, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage)
        waiting = wait(number, 3, only_if_last=True)
        await written(storage, waiting)
        await written(other, answer(number, 5))

        assert await written(storage, waiting) == 3
        assert len(await storage.read(number)) == 5

    async def test_what_has_to_be_last_leaves_its_neighbours_alone(self, storage: Storage) -> None:
        first, second = await admit(storage), await admit(storage)

        outcomes = await storage.write(
            [cancel(first, 3), wait(first, 3, only_if_last=True), chunks(second, 3, "x")]
        )

        assert outcomes[0] == outcomes[2] == Appended(3)
        assert isinstance(outcomes[1], StaleAttempt)

    # --- times that come ------------------------------------------------------------------------

    async def test_a_run_is_due_when_its_deadline_has_passed(self, storage: Storage) -> None:
        soon, late = Millis(NOW + 1_000), Millis(NOW + 2_000)
        runs = [queued_run(deadline=soon), new_run(deadline=soon), new_run(deadline=late)]
        numbers = await admit_all(storage, *runs, new_run(), queued_run())
        await written(storage, wait(numbers[2], 3))

        assert await self._due(storage, NOW + 999) == set()
        assert await self._due(storage, NOW + 1_000) == {runs[0].id, runs[1].id}
        assert await self._due(storage, NOW + 9_000) == {run.id for run in runs}
        assert len(await storage.due(Millis(NOW + 9_000), 2)) == 2
        await written(storage, success(numbers[1], 3))

        assert await self._due(storage, NOW + 1_000) == {runs[0].id}

    async def test_a_run_is_due_when_its_question_expires(self, storage: Storage) -> None:
        run, number = await self._waiting(storage)
        await self._waiting(storage)

        assert await self._due(storage, _WAKE - 1) == set()
        assert len(await self._due(storage, _WAKE)) == 2
        assert (await storage.due(_WAKE, 1))[0].wake == _WAKE
        await written(storage, answer(number, 5))

        assert run.id not in await self._due(storage, _WAKE)

    async def test_a_run_is_due_once_for_two_reasons(self, storage: Storage) -> None:
        number = await admit(storage, admission(new_run(deadline=_WAKE)))
        await written(storage, wait(number, 3, wake=_WAKE))

        assert len(await storage.due(_WAKE, 10)) == 1

    async def _due(self, storage: Storage, now: int) -> set[RunId]:
        return {run.id for run in await storage.due(Millis(now), 10)}

    # --- attempts that got somewhere ------------------------------------------------------------

    async def test_an_attempt_has_spoken_when_it_said_what_the_next_one_need_not_say_again(
        self, storage: Storage
    ) -> None:
        number = await admit(storage, admission(queued_run()))
        spoke = [await storage.last_attempt_that_spoke(number)]
        last = 1
        for attempt in range(1, 5):
            await storage.lease(a_lease())
            in_step = (StepStarted("a", "a"), OutputChunk("x", within="a"), StepRestarted("a"))
            begun = append(number, last + 2, CodeChanged("a", "b"), *in_step, attempt=attempt)
            await written(storage, begun)
            if attempt == 2:
                await written(storage, chunks(number, last + 6, "x", attempt=attempt))
            if attempt == 3:
                said = append(number, last + 6, OutputChunk("x", within=".a"), attempt=attempt)
                await written(storage, said)
            last = await written(storage, requeue(number, last + 6))
            await written(storage, cancel(number, last + 1))
            last += 1
            spoke.append(await storage.last_attempt_that_spoke(number))

        assert spoke == [0, 0, 2, 3, 3]

    async def test_a_run_that_nobody_started_has_no_attempt_that_spoke(
        self, storage: Storage
    ) -> None:
        run = new_run(last=1)
        silent = append(await admit(storage, admission(run)), 2, RunStarted("inline", HOLDER))
        assert isinstance(await write(storage, silent), StaleAttempt)

        assert await storage.last_attempt_that_spoke(RunNumber(4_711)) == 0
        assert await storage.last_attempt_that_spoke(await admit(storage, kept("x"))) == 0

    async def test_an_attempt_that_spoke_long_ago_is_found(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, chunks(number, 3, *["x"] * 1_500))
        for attempt in range(2, 12):
            last = (await storage.read(number, after=1_500))[-1].number
            await written(storage, requeue(number, last + 1))
            await storage.lease(a_lease())
            assert await storage.last_attempt_that_spoke(number) == 1
            assert (await storage.read(number, after=1_500))[-1].attempt == attempt

        spoken = append(number, 1_523, OutputChunk("at last"), attempt=11)
        await written(storage, spoken)

        assert await storage.last_attempt_that_spoke(number) == 11
