"""Runs: starting them, queueing them, going on with them, and what is under way in this process."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from forebay.core.clock import Clock
from forebay.core.codec import pack
from forebay.core.errors import (
    Conflict,
    ForebayError,
    NotFound,
    SessionBusy,
    Stopping,
    TooManyRuns,
)
from forebay.core.events import (
    CodeChanged,
    RunInterrupted,
    RunRequeued,
    RunStarted,
    RunWaiting,
)
from forebay.core.holders import LEASE_SECONDS
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Run, Status
from forebay.ports.executor import Executor
from forebay.ports.storage import Storage
from forebay.ports.store import (
    CONTROL,
    Admit,
    Admitted,
    IdempotencyKey,
    Joined,
    Keep,
)

from .attempt import Attempt, Order, cancelled_by
from .commit import NOT_WRITTEN, Committer
from .controls import Controls
from .crowding import Crowding, Limits
from .execute import Execution
from .follow import Follower
from .past import Past
from .reader import RunReader
from .recorder import DurableRecorder, LightRecorder
from .starting import Start

_PROMOTION_RETRY_SECONDS = 0.5
_STOP_SECONDS = 10.0

_HANDED_BACK = RunRequeued("handed_back", "the process that executed it was stopped")
_SERVER_STOPPED = RunInterrupted("server_stopped", "the server was stopped")

log = logging.getLogger("forebay.runs")


class Place(NamedTuple):
    """Where runs are executed, as it stands in their logs."""

    executor: str
    holder: str
    code: str = ""


class Runs:
    """The runs of this database, and the attempts under way in this process."""

    def __init__(  # noqa: PLR0913 -- the parts it is made of, once
        self,
        storage: Storage,
        executor: Executor,
        execution: Execution,
        *,
        clock: Clock,
        place: Place,
        keep_light: bool = True,
        resume: bool = True,
        limits: Limits = Limits(),  # noqa: B008 -- it cannot be changed
        on_end: Callable[[Run, str | None], None] | None = None,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._execution = execution
        self.clock = clock
        self.place = place
        self._resumes = resume
        self.started = RunStarted(*place)
        self._keeps_light = keep_light
        self._on_end = on_end
        self._live: dict[RunId, Attempt] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # asking for it is a system call
        self.closed_by: ForebayError | None = None
        """Why no run may be started now."""
        self.committer = Committer(storage, clock)
        self.follower = Follower(storage, clock)
        self.reader = RunReader(storage, self.committer, self.follower, self._live)
        self.controls = Controls(
            storage, self.committer, self.follower, self.reader, self._live, clock
        )
        self._admitting: dict[RunId, Run] = {}
        self.crowding = Crowding(
            storage, clock, limits=limits, holder=place.holder, here=self._runs_here
        )
        self.on_room: Callable[[], None] | None = None
        """Told that an attempt has ended."""
        self.ended: Counter[Status] = Counter()

    # --- its life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to write and to listen."""
        self._loop = asyncio.get_running_loop()
        self.committer.start()
        self.follower.start()

    async def aclose(self) -> None:
        """End every attempt under way here, write everything down, stop."""
        self.stop()
        tasks = [attempt.task for attempt in self._live.values() if attempt.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            if late:
                log.warning("%d runs did not end in time", len(late))
        await self.committer.aclose()
        await self.follower.aclose()

    def stop(self) -> None:
        """Take no more runs; hand durable ones back, and end the others."""
        self.closed_by = Stopping()
        for attempt in list(self._live.values()):
            self._stop(attempt)

    def _stop(self, attempt: Attempt) -> None:
        durable = isinstance(attempt.recorder, DurableRecorder)
        attempt.interrupt(_HANDED_BACK if durable and self._resumes else _SERVER_STOPPED)

    @property
    def _is_stopping(self) -> bool:
        return isinstance(self.closed_by, Stopping)

    @property
    def under_way(self) -> int:
        """Runs that this process executes now."""
        return len(self._live)

    @property
    def holds_leases(self) -> bool:
        """Whether durable runs are under way here."""
        return any(isinstance(attempt.recorder, DurableRecorder) for attempt in self._live.values())

    # --- starting -------------------------------------------------------------------------------

    async def start(self, start: Start) -> Attempt | Run | RunId:
        """Admit a run.

        An attempt is to be executed by whoever asked; a run was queued, for others to execute. A
        run id means: the key named this one.
        """
        if self.closed_by is not None:
            raise self.closed_by
        if start.queued or await self._is_full(start):
            return await self._enqueue(start)
        try:
            return await self._begin(start)
        except SessionBusy:
            if start.session_policy == "reject":
                raise
            return await self._enqueue(start)

    async def _is_full(self, start: Start) -> bool:
        is_full = await self.crowding.is_full(start.caller.tenant, start.agent.name)
        if is_full and not start.durable:
            raise TooManyRuns
        return is_full

    async def _begin(self, start: Start) -> Attempt | RunId:
        run = start.begun_run(self.clock.now(), self.place.holder)
        recorder = LightRecorder(self.clock, 1)
        recorder.record(start.submitted())
        recorder.say(1, self.started)
        order = Order(run, start.agent, start.value, start.caller, start.grant)
        attempt = Attempt(order, recorder, self, trace=start.trace)
        attempt.stays = start.stays
        if start.durable:
            admit = self._admission(attempt, recorder, start.key, alone=start.minds_its_session)
            self._admitting[run.id] = run
            try:
                joined = await self._admit(attempt, recorder, admit, folded=start.folded)
            except NOT_WRITTEN:
                self._doubt(run, start)
                raise
            finally:
                del self._admitting[run.id]
            if joined is not None:
                return joined
        self._live[run.id] = attempt
        if self._is_stopping:  # meanwhile
            self._stop(attempt)
        return attempt

    async def _enqueue(self, start: Start) -> Run | RunId:
        await self.crowding.enter_queue(start.caller.tenant)
        run = start.queued_run(self.clock.now())
        recorder = LightRecorder(self.clock, CONTROL)
        recorder.record(start.submitted())
        admit = Admit(
            run,
            recorder.entries(),
            start.key,
            objects=tuple(recorder.objects),
            only_if_alone=start.minds_its_session and start.session_policy == "reject",
        )
        try:
            outcome = await self.committer.write(admit)
        except NOT_WRITTEN:
            if start.key is None:  # else he sends it again, and joins it: it stays queued
                self._doubt(run, start)
            raise
        if isinstance(outcome, Joined):
            return outcome.run
        assert isinstance(outcome, Admitted)
        run = msgspec.structs.replace(run, number=outcome.number)
        if start.minds_its_session and start.session_policy == "interrupt":
            await self.controls.replace_earlier(run)
        return run

    def _doubt(self, run: Run, start: Start) -> None:
        # It may have been committed all the same.
        self.controls.doubt(run.id, goes_on=start.key is not None and self._resumes)

    def go_on(self, run: Run, number: RunNumber, order: Order, past: Past) -> None:
        """Execute the next attempt at a run that this process holds."""
        recorder = self._durable_recorder(run, number)
        attempt = Attempt(order, recorder, self, past.journal, past.submitted.trace)
        recorder.when_refused = attempt.be_ended_elsewhere
        self._live[run.id] = attempt
        self.follower.attend(number, attempt)
        self.look_for(attempt)
        if past.code not in (None, self.place.code):
            recorder.record(CodeChanged(past.code or "", self.place.code))
        if past.cancelled is not None:
            attempt.interrupt(cancelled_by(past.cancelled))
        if self._is_stopping:  # meanwhile
            self._stop(attempt)
        self.launch(attempt)

    def _runs_here(self) -> Iterator[Run]:
        yield from (attempt.order.run for attempt in self._live.values())
        yield from self._admitting.values()

    def knows(self, run: RunId) -> bool:
        """Whether this process executes a run, or may be about to."""
        return run in self._live or run in self._admitting or run in self.controls.doubted

    def launch(self, attempt: Attempt) -> None:
        """Execute an attempt in a task of its own."""
        attempt.task = self._executor.launch(self._execute(attempt))

    async def execute_here(self, attempt: Attempt) -> None:
        """Execute an attempt in the task of whoever waits for it; returns when it has ended."""
        attempt.task = asyncio.current_task(self._loop)
        await self._execute(attempt)

    async def make_durable(self, attempt: Attempt) -> None:
        """Turn a light run into a durable one: it lasts, it is large, or somebody needs it to."""
        if attempt.promotion is None and not attempt.is_closing:
            if isinstance(attempt.recorder, DurableRecorder):
                return
            attempt.promotion = asyncio.create_task(self._promote(attempt), name="make-durable")
        if attempt.promotion is not None:
            await asyncio.shield(attempt.promotion)

    async def _promote(self, attempt: Attempt) -> None:
        light = attempt.recorder
        if not isinstance(light, LightRecorder):
            return
        light.hold_back()
        admit = self._admission(attempt, light, None)  # the same each time: it may be there already
        while True:
            try:
                await self._admit(attempt, light, admit, folded=True)
            except NOT_WRITTEN:
                await self.clock.sleep(_PROMOTION_RETRY_SECONDS)
            else:
                return

    def _admission(
        self,
        attempt: Attempt,
        light: LightRecorder,
        key: IdempotencyKey | None,
        *,
        alone: bool = False,
    ) -> Admit:
        run = msgspec.structs.replace(attempt.order.run, durable=True, last=light.last)
        objects = tuple(light.objects)
        return Admit(run, light.entries(), key, LEASE_SECONDS, objects, only_if_alone=alone)

    async def _admit(
        self, attempt: Attempt, light: LightRecorder, admit: Admit, *, folded: bool
    ) -> RunId | None:
        outcome = await self.committer.write(admit)
        if isinstance(outcome, Joined):
            return outcome.run
        assert isinstance(outcome, Admitted)
        recorder = self._durable_recorder(admit.run, outcome.number)
        recorder.when_refused = attempt.be_ended_elsewhere
        recorder.fold = attempt.fold() if folded else None
        if light.is_followed:
            self.follower.adopt(admit.run.id, outcome.number, light.topic)
        attempt.recorder = recorder
        recorder.take_over(light.log[admit.run.last :], light.objects[len(admit.objects) :])
        self.follower.attend(outcome.number, attempt)
        return None

    def _durable_recorder(self, run: Run, number: RunNumber) -> DurableRecorder:
        return DurableRecorder(
            run,
            number,
            clock=self.clock,
            committer=self.committer,
            follower=self.follower,
            frees=run.session is not None or self.crowding.limits.running,
        )

    # --- under way ------------------------------------------------------------------------------

    async def _execute(self, attempt: Attempt) -> None:
        ending = await self._execution(attempt)
        attempt.close()
        if attempt.promotion is not None:
            await attempt.promotion
        recorder = attempt.recorder
        if isinstance(recorder, LightRecorder) and isinstance(ending, RunRequeued):
            ending = _SERVER_STOPPED
        if not isinstance(ending, RunWaiting):  # which stands in the log already
            with suppress(Conflict, NotFound):  # somebody else may have ended the run meanwhile
                recorder.end(ending)
        if isinstance(recorder, DurableRecorder):
            await recorder.ended.wait()
            self.follower.leave(recorder.number, attempt)
        if self._live.get(attempt.order.run.id) is attempt:  # else the next one is here already
            del self._live[attempt.order.run.id]
        if self.on_room is not None:
            self.on_room()
        if not isinstance(ending, RunWaiting | RunRequeued):  # then the run goes on without us
            self._count(attempt)

    def _count(self, attempt: Attempt) -> None:
        recorder, run = attempt.recorder, attempt.run
        if recorder.final is None:  # somebody else has ended it, and his entry is not ours
            run = msgspec.structs.replace(run, status="interrupted", finished=self.clock.now())
        self.ended[run.status] += 1
        if self._on_end is not None:
            self._on_end(run, attempt.trace)
        if isinstance(recorder, LightRecorder) and self._keeps_light:
            self.committer.keep(Keep(run, pack(recorder.log), recorder.objects))

    # --- what an attempt asks of its house ------------------------------------------------------

    def look_for(self, attempt: Attempt) -> None:
        """Let an attempt hear what others have written into its log since it last heard."""
        if isinstance(attempt.recorder, DurableRecorder):
            self.follower.look_at(attempt.recorder.number, attempt.last)

    async def read_object(self, run: Run, object_id: str) -> bytes:
        """A value beside the log of a run. Raises ObjectNotFound."""
        return await self.reader.read_object(run, object_id)

    async def expire(self, run: Run, question: str) -> None:
        """Say that nobody has answered in time."""
        await self.controls.expire(run, question)
