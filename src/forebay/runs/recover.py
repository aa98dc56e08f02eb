"""Recovery: leases are renewed, and what nobody executes any more is queued again or ended.

A sweeper works on a storage alone, so that a supervisor process can be one. One that has itself not
run for a lease's time (a laptop that slept) has proof of nothing: it waits one lease before it
takes anything.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from forebay.core.clock import Clock, Millis
from forebay.core.codec import Entry
from forebay.core.errors import ForebayError
from forebay.core.events import (
    TYPES,
    CancelRequested,
    Event,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunFailed,
    RunInterrupted,
    RunRequeued,
)
from forebay.core.holders import LEASE_SECONDS, home, is_gone
from forebay.core.ids import as_uuid
from forebay.core.run import FINISHED, Run, move_of, reason_of
from forebay.core.tasks import start_essential
from forebay.ports.storage import Storage
from forebay.ports.store import CONTROL, Append

from .attempt import cancelled_by
from .commit import NOT_WRITTEN

if TYPE_CHECKING:  # a supervisor sweeps too, and executes nothing
    from .service import Runs

log = logging.getLogger("forebay.runs")

TURN_SECONDS = 1.0
_RENEW_MILLIS = LEASE_SECONDS * 1000 / 3
_SWEEP_RUNS = 500
_OVERDUE_MILLIS = 5_000  # an executor ends its runs by itself when their time is up
_QUESTIONS = tuple(TYPES[kind] for kind in (QuestionAsked, QuestionAnswered, QuestionExpired))

SERVER_LOST = RunInterrupted(
    "server_lost", "the server that executed this run stopped without ending it"
)


class Sweeper:
    """Finds runs that nobody executes any more, or whose time is up."""

    def __init__(
        self, storage: Storage, clock: Clock, *, max_attempts: int = 10, resume: bool = True
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._max_attempts = max_attempts
        self._resume = resume
        self._last = self._patient_until = clock.boot()
        self._renewed: Millis | None = None

    async def turn(self, holders: Sequence[str] = ()) -> int:
        """Renew the leases of these holders when it is time, then sweep; tells what it moved."""
        now = self._clock.boot()
        if now - self._last > LEASE_SECONDS * 1000:
            self._patient_until = Millis(now + int(LEASE_SECONDS * 1000))
        if self._renewed is None or now - self._renewed >= _RENEW_MILLIS or now < self._last:
            for holder in holders:
                await self._storage.renew(holder, LEASE_SECONDS)
            self._renewed = now
        moved = await self._sweep_due()
        moved += await self._sweep_gone()
        if now >= self._patient_until:
            moved += await self._sweep_lost()
        self._last = now  # not before: while the database was away, nobody could renew
        return moved

    async def lose(self, holder: str, why: str = "the process that executed it ended") -> int:
        """Queue again what this holder had under way; it has ended, and cannot come back."""
        moved = 0
        while runs := await self._storage.held(holder, _SWEEP_RUNS):
            lost = [await self._after_loss(run, why) for run in runs]
            done = await self._write(runs, lost, held=True)
            moved += done
            if not done:
                break
        return moved

    # --- finding --------------------------------------------------------------------------------

    async def _sweep_gone(self) -> int:
        """Runs of processes of this machine that exist no more."""
        held = await self._storage.held(home(), _SWEEP_RUNS)
        gone = {holder for holder in {run.holder for run in held} if holder and is_gone(holder)}
        runs = [run for run in held if run.holder in gone]
        lost = [await self._after_loss(run, "its process was gone") for run in runs]
        return await self._write(runs, lost, held=True)

    async def _sweep_lost(self) -> int:
        """Runs whose lease has run out, wherever their process is."""
        runs = await self._storage.lost(_SWEEP_RUNS)
        lost = [await self._after_loss(run, "its lease had run out") for run in runs]
        return await self._write(runs, lost)

    async def _sweep_due(self) -> int:
        """Runs whose deadline has passed, and questions that nobody has answered in time."""
        now = self._clock.now()
        moved = 0
        for run in await self._storage.due(now, _SWEEP_RUNS):
            event = await self._when_due(run, now)
            if event is not None:
                moved += await self._write([run], [event])
        return moved

    # --- judging --------------------------------------------------------------------------------

    async def _after_loss(self, run: Run, why: str) -> Event:
        assert run.number is not None, "it comes from the database"
        asked = await self._storage.read(run.number, types=[TYPES[CancelRequested]])
        cancels = [entry.event for entry in asked if isinstance(entry.event, CancelRequested)]
        if cancels:
            return cancelled_by(cancels[0])
        if not self._resume:
            return SERVER_LOST
        fruitless = run.attempt - await self._storage.last_attempt_that_spoke(run.number)
        if fruitless >= self._max_attempts:
            return RunFailed(
                "attempts_spent",
                f"{fruitless} attempts in a row were lost before they got anywhere; "
                f"of the last one, {why}",
            )
        return RunRequeued("lost", f"attempt {run.attempt} was lost: {why}")

    async def _when_due(self, run: Run, now: Millis) -> Event | None:
        if run.deadline is not None and run.deadline <= now:
            overdue = now - run.deadline > _OVERDUE_MILLIS
            if run.status != "running" or overdue:
                took = (run.deadline - run.created) / 1000
                return RunFailed("deadline", f"The run took longer than {took:g} s.")
        if run.status == "waiting" and run.wake is not None and run.wake <= now:
            return await self._expired_question(run, now)
        return None

    async def _expired_question(self, run: Run, now: Millis) -> Event | None:
        assert run.number is not None, "it comes from the database"
        due: dict[str, int] = {}
        for entry in await self._storage.read(run.number, types=_QUESTIONS):
            event = entry.event
            if isinstance(event, QuestionAsked) and event.due is not None:
                due[event.question] = event.due
            elif isinstance(event, QuestionAnswered | QuestionExpired):
                due.pop(event.question, None)
        return next((QuestionExpired(name) for name, at in due.items() if at <= now), None)

    # --- writing --------------------------------------------------------------------------------

    async def _write(
        self, runs: Sequence[Run], events: Sequence[Event], *, held: bool = False
    ) -> int:
        if not runs:
            return 0
        now = self._clock.now()
        appends = [
            Append(
                run.number,
                CONTROL,
                [Entry(run.last + 1, CONTROL, now, event=event)],
                move_of([event]),
                reason_of(event),
                only_if_held_by=run.holder if held else None,
                only_if_lost=not held and run.status == "running" and not _is_deadline(event),
                frees=move_of([event]).leads_to in FINISHED,
            )
            for run, event in zip(runs, events, strict=True)
            if run.number is not None
        ]
        outcomes = await self._storage.write(appends)
        moved = 0
        for run, event, outcome in zip(runs, events, outcomes, strict=True):
            if isinstance(outcome, ForebayError):
                continue  # renewed, ended or deleted since we looked
            moved += 1
            uuid = as_uuid(run.id)
            log.warning("run %s: %s", uuid, _told(event), extra={"run": uuid})
        return moved


class Recovery:
    """Sweeps for this process, which has no supervisor that does it."""

    def __init__(self, sweeper: Sweeper | None, runs: "Runs", clock: Clock) -> None:
        self._sweeper = sweeper
        self._runs = runs
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = start_essential(self._run(), "recovery")

    async def aclose(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(*NOT_WRITTEN):  # nobody can take our runs meanwhile either
                await self.turn()
            await self._clock.sleep(TURN_SECONDS)

    async def turn(self) -> int:
        """Renew and sweep, if that is ours; tells how many runs were moved."""
        await self._runs.controls.settle_doubted()
        if self._sweeper is None:
            return 0
        holders = [self._runs.place.holder] if self._runs.holds_leases else []
        return await self._sweeper.turn(holders)


def _is_deadline(event: Event) -> bool:
    return isinstance(event, RunFailed) and event.reason == "deadline"


def _told(event: Event) -> str:
    if isinstance(event, RunRequeued | RunFailed | RunInterrupted):
        return event.message
    return "nobody has answered its question in time"
