"""The contract of turns: the runs of a session begin one after the other, whoever executes them."""

import asyncio
from collections.abc import Sequence

import pytest

from forebay.core.errors import SessionBusy
from forebay.core.ids import RunId
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Admit, Admitted, Joined, RunQuery

from .database import DatabaseTests
from .following import HeardRuns
from .runs import (
    a_lease,
    admission,
    admit,
    admit_all,
    answer,
    found,
    key,
    new_run,
    queued_run,
    requeue,
    success,
    wait,
    write,
    written,
)


class TurnsContract(DatabaseTests):
    """What `in_turn`, `only_if_alone`, `earlier` and `frees` promise."""

    async def test_the_runs_of_a_session_are_leased_one_after_the_other(
        self, storage: Storage, other: Storage
    ) -> None:
        runs = [_next("s") for _ in range(3)]
        numbers = await admit_all(storage, *runs)

        for run, number in zip(runs, numbers, strict=True):
            assert await _leased(storage) == [run.id]
            assert await _leased(other) == []
            await written(storage, success(number, 3))

        assert await _leased(storage) == []

    async def test_an_urgent_run_does_not_overtake_its_session(self, storage: Storage) -> None:
        first, urgent, stranger = _next("s"), _next("s", priority=9), _next("t", priority=1)
        await admit_all(storage, first, urgent, stranger)

        assert await _leased(storage) == [stranger.id, first.id]

    async def test_what_is_far_behind_keeps_nobody_from_being_leased(
        self, storage: Storage
    ) -> None:
        await admit_all(storage, *(_next("s") for _ in range(5)))
        last = _next("t")
        await admit(storage, admission(last))

        assert len(await _leased(storage, limit=1)) == 1
        assert await _leased(storage, limit=1) == [last.id]

    async def test_only_runs_of_the_same_tenant_and_session_wait_for_each_other(
        self, storage: Storage
    ) -> None:
        runs = [_next("s"), _next("t"), _next("s", tenant="another"), queued_run()]
        await admit_all(storage, *runs)

        assert await _leased(storage) == [run.id for run in runs]

    async def test_a_run_that_is_not_in_turn_waits_for_nobody_but_is_waited_for(
        self, storage: Storage
    ) -> None:
        first, beside, after = _next("s"), queued_run(session="s"), _next("s")
        (number, _, _) = await admit_all(storage, first, beside, after)

        assert await _leased(storage) == [first.id, beside.id]
        await written(storage, success(number, 3))
        assert await _leased(storage) == []
        assert (await found(storage, after)).status == "submitted"

    @pytest.mark.parametrize("status", ["running", "waiting", "queued again", "answered"])
    async def test_a_run_waits_for_an_earlier_one_that_is(
        self, storage: Storage, status: str
    ) -> None:
        first = new_run(session="s", agent="another")
        number = await admit(storage, admission(first))
        if status == "queued again":
            await written(storage, requeue(number, 3))
        if status in ("waiting", "answered"):
            await written(storage, wait(number, 3))
        if status == "answered":
            await written(storage, answer(number, 5))
        await admit(storage, admission(_next("s")))

        assert await _leased(storage) == []

    async def test_a_requeued_run_is_before_those_that_came_after_it(
        self, storage: Storage
    ) -> None:
        first, second = _next("s"), _next("s")
        number, _ = await admit_all(storage, first, second)
        await _leased(storage)
        await written(storage, requeue(number, 3))

        assert await _leased(storage) == [first.id]

    async def test_of_many_who_lease_at_once_nobody_gets_two_of_a_session(
        self, storage: Storage, other: Storage
    ) -> None:
        runs = [_next(f"s{at % 5}") for at in range(30)]
        await storage.write([admission(run) for run in runs])
        order: list[RunId] = []

        while True:
            takers = [(storage, other)[at % 2] for at in range(6)]
            taken = await asyncio.gather(*(each.lease(a_lease(limit=3)) for each in takers))
            leased = [run for some in taken for run in some]
            if not leased:
                break
            assert len({run.session for run in leased}) == len(leased)
            order += [run.id for run in leased]
            await _end(storage, leased)

        assert sorted(order) == sorted(run.id for run in runs)

    async def test_of_many_admitted_at_once_each_is_before_or_after_each_other(
        self, storage: Storage, other: Storage
    ) -> None:
        runs = [_next("s") for _ in range(20)]

        await asyncio.gather(
            *(write((storage, other)[at % 2], admission(run)) for at, run in enumerate(runs))
        )

        for _ in runs:
            (leased,) = await storage.lease(a_lease())
            assert await other.lease(a_lease()) == []
            await _end(storage, [leased])
        assert await storage.lease(a_lease()) == []

    # --- alone or not at all --------------------------------------------------------------------

    @pytest.mark.parametrize("status", ["submitted", "running", "waiting"])
    async def test_a_run_is_refused_that_would_not_be_alone(
        self, storage: Storage, status: str
    ) -> None:
        first = queued_run(session="s") if status == "submitted" else new_run(session="s")
        number = await admit(storage, admission(first))
        if status == "waiting":
            await written(storage, wait(number, 3))

        assert isinstance(await write(storage, _alone("s")), SessionBusy)
        assert isinstance(await write(storage, _alone("s", queued_run(session="s"))), SessionBusy)
        assert isinstance(await write(storage, _alone("t")), Admitted)
        assert isinstance(
            await write(storage, _alone("s", new_run(session="s", tenant="another"))), Admitted
        )
        assert len(await storage.list(RunQuery("default", session="s"))) == 1

    async def test_a_run_is_admitted_alone_when_the_others_have_ended(
        self, storage: Storage
    ) -> None:
        number = await admit(storage, admission(new_run(session="s")))
        await written(storage, success(number, 3))

        assert isinstance(await write(storage, _alone("s")), Admitted)

    async def test_a_refused_run_leaves_its_neighbours_alone(self, storage: Storage) -> None:
        await admit(storage, admission(new_run(session="s")))
        neighbours = [admission(), admission(new_run(session="s")), admission(key=key())]

        outcomes = await storage.write([neighbours[0], _alone("s"), *neighbours[1:]])

        assert isinstance(outcomes[1], SessionBusy)
        assert all(isinstance(outcomes[at], Admitted) for at in (0, 2, 3))

    async def test_of_two_in_one_batch_one_is_alone(self, storage: Storage) -> None:
        outcomes = await storage.write([_alone("s"), _alone("t"), _alone("s")])

        assert [type(outcome) for outcome in outcomes] == [Admitted, Admitted, SessionBusy]

    async def test_of_many_at_once_one_is_alone(self, storage: Storage, other: Storage) -> None:
        outcomes = await asyncio.gather(
            *(write((storage, other)[at % 2], _alone("s")) for at in range(20))
        )

        assert sum(isinstance(outcome, Admitted) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, SessionBusy) for outcome in outcomes) == 19

    async def test_a_key_is_known_before_its_session_is_busy(self, storage: Storage) -> None:
        first = admission(new_run(session="s"), key=key(), only_if_alone=True)
        await admit(storage, first)

        again = admission(new_run(session="s"), key=key(), only_if_alone=True)

        assert await write(storage, again) == Joined(first.run.id)

    async def test_a_run_sent_again_is_not_in_its_own_way(self, storage: Storage) -> None:
        batch = [_alone("s"), admission(_next("s")), admission(_next("t"), key=key())]
        first = await storage.write(batch)

        assert all(isinstance(outcome, Admitted) for outcome in first)
        assert await storage.write(batch) == first
        assert len(await storage.list(RunQuery("default"))) == 3

    async def test_turns_and_keys_claimed_in_opposite_orders_do_not_block_each_other(
        self, storage: Storage, other: Storage
    ) -> None:
        for turn in range(10):
            names = [f"{turn}-{at}" for at in range(6)]
            there = [admission(_next(name), key=key(name)) for name in names]
            back = [admission(_next(name), key=key(name)) for name in reversed(names)]

            outcomes = await asyncio.gather(storage.write(there), other.write(back))

            admitted = [isinstance(each, Admitted) for batch in outcomes for each in batch]
            assert sum(admitted) == 6

    # --- who is before, and hearing of it -------------------------------------------------------

    async def test_the_unfinished_runs_before_one_are_told_oldest_first(
        self, storage: Storage
    ) -> None:
        runs = [queued_run(session="s") for _ in range(5)]
        await admit(storage, admission(queued_run(session="t")))
        await admit(storage, admission(queued_run(session="s", tenant="another")))
        numbers = await admit_all(storage, *runs)
        await storage.lease(a_lease(limit=4))
        await written(storage, success(numbers[1], 3))
        third = await found(storage, runs[3])

        before = await storage.earlier(third, 10)

        assert [run.id for run in before] == [runs[0].id, runs[2].id]
        assert before[0] == await found(storage, runs[0])
        assert [run.id for run in await storage.earlier(third, 1)] == [runs[0].id]
        assert await storage.earlier(await found(storage, runs[0]), 10) == []

    @pytest.mark.parametrize("where", ["here", "elsewhere"])
    async def test_whoever_takes_runs_hears_that_a_turn_may_have_come(
        self, storage: Storage, other: Storage, where: str
    ) -> None:
        first, second = _next("s"), _next("s")
        number, _ = await admit_all(storage, first, second)
        await _leased(storage)
        assert await _leased(storage) == []
        heard = HeardRuns()
        heard.takes_runs = True
        storage.listen(heard)

        await (storage if where == "here" else other).write([success(number, 3, frees=True)])

        await heard.heard_of_queue()
        assert await _leased(storage) == [second.id]


def _next(session: str, **changes: object) -> Run:
    return queued_run(session=session, in_turn=True, **changes)


def _alone(session: str, run: Run | None = None) -> Admit:
    return admission(run or new_run(session=session), only_if_alone=True)


async def _leased(storage: Storage, **changes: object) -> list[RunId]:
    return [run.id for run in await storage.lease(a_lease(**changes))]


async def _end(storage: Storage, runs: Sequence[Run]) -> None:
    for run in runs:
        assert run.number is not None
        await written(storage, success(run.number, run.last + 1))
