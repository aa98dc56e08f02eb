"""Runs: starting, finding, following, cancelling and forgetting them. What the desk talks to."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import msgspec

from forebay.core.caller import Caller
from forebay.core.clock import Clock
from forebay.core.codec import Entry, pack
from forebay.core.errors import (
    Conflict,
    ForebayError,
    NotFound,
    RunFinished,
    RunUnfinished,
    Stopping,
)
from forebay.core.events import CancelRequested, Event, RunInterrupted, RunStarted, RunSubmitted
from forebay.core.grant import Grant
from forebay.core.ids import RunId, new_run_id
from forebay.core.json import Json
from forebay.core.run import Run, Status, move_of, reason_of
from forebay.ports.agent import Agent
from forebay.ports.executor import Executor
from forebay.ports.storage import Storage
from forebay.ports.store import (
    CONTROL,
    Admit,
    Admitted,
    Append,
    Appended,
    IdempotencyKey,
    Joined,
    Keep,
)

from .attempt import Attempt, Order, cancelled_by
from .commit import NOT_WRITTEN, Committer
from .execute import Execution
from .follow import Follower
from .reader import RunReader
from .recorder import DurableRecorder, LightRecorder

LEASE_SECONDS = 9.0
_PROMOTION_RETRY_SECONDS = 0.5
_STOP_SECONDS = 10.0

_SERVER_STOPPED = RunInterrupted("server_stopped", "the server was stopped")

log = logging.getLogger("forebay.runs")

_NOT_BEGUN = RunInterrupted("not_begun", "the database went away while the run was admitted")


class Start(msgspec.Struct, frozen=True):
    """A run that somebody may start: everything was checked."""

    agent: Agent
    input: Json
    value: object
    caller: Caller
    grant: Grant
    dialect: str
    durable: bool
    expiry_seconds: int
    session: str | None = None
    metadata: dict[str, Json] | None = None
    trace: str | None = None
    key: IdempotencyKey | None = None
    folded: bool = False
    """Whether this process should keep what the log adds up to, because somebody waits for it."""


class Runs:
    """The runs of this database, and the attempts under way in this process."""

    def __init__(  # noqa: PLR0913 -- the parts it is made of, once
        self,
        storage: Storage,
        executor: Executor,
        execution: Execution,
        *,
        clock: Clock,
        holder: str,
        keep_light: bool = True,
        on_end: Callable[[Run, str | None], None] | None = None,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._execution = execution
        self._clock = clock
        self._holder = holder
        self._started = RunStarted(executor.name, holder)
        self._keeps_light = keep_light
        self._on_end = on_end
        self._live: dict[RunId, Attempt] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # asking for it is a system call
        self.closed_by: ForebayError | None = None
        """Why no run may be started now."""
        self.committer = Committer(storage, clock)
        self.follower = Follower(storage, clock)
        self.reader = RunReader(storage, self.committer, self.follower, self._live)
        self._unsure: set[RunId] = set()
        self.ended: Counter[Status] = Counter()

    # --- its life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to write and to listen."""
        self._loop = asyncio.get_running_loop()
        self.committer.start()
        self.follower.start()

    async def aclose(self) -> None:
        """End every run under way here, write everything down, stop."""
        self.stop()
        tasks = [attempt.task for attempt in self._live.values() if attempt.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            if late:
                log.warning("%d runs did not end in time", len(late))
        await self.committer.aclose()
        await self.follower.aclose()

    def stop(self) -> None:
        """Take no more runs, and ask those under way to end."""
        self.closed_by = Stopping()
        for attempt in list(self._live.values()):
            attempt.interrupt(_SERVER_STOPPED)

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

    async def start(self, start: Start) -> Attempt | RunId:
        """Admit a run, which is then to be executed. A run id means: the key named this one."""
        if self.closed_by is not None:
            raise self.closed_by
        now = self._clock.now()
        run = Run(
            id=new_run_id(now),
            agent=start.agent.name,
            tenant=start.caller.tenant,
            caller=start.caller.name,
            created=now,
            status="running",
            last=2,
            attempt=1,
            session=start.session,
            durable=start.durable,
            metadata=start.metadata or {},
            started=now,
            expiry_seconds=start.expiry_seconds,
            holder=self._holder,
        )
        recorder = LightRecorder(self._clock, 1)
        recorder.record(
            RunSubmitted(
                start.agent.name,
                start.input,
                start.dialect,
                start.caller,
                start.grant,
                start.session,
                run.metadata,
                start.trace,
            )
        )
        recorder.say(1, self._started)
        order = Order(run, start.agent, start.value, start.caller, start.grant)
        attempt = Attempt(order, recorder, self.make_durable, start.trace)
        if start.durable:
            admit = self._admission(attempt, recorder, start.key)
            try:
                joined = await self._admit(attempt, recorder, admit, folded=start.folded)
            except NOT_WRITTEN:
                self._unsure.add(run.id)  # it may have been committed all the same
                raise
            if joined is not None:
                return joined
        self._live[run.id] = attempt
        if self._is_stopping:  # meanwhile
            attempt.interrupt(_SERVER_STOPPED)
        return attempt

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
                await self._clock.sleep(_PROMOTION_RETRY_SECONDS)
            else:
                return

    def _admission(
        self, attempt: Attempt, light: LightRecorder, key: IdempotencyKey | None
    ) -> Admit:
        run = msgspec.structs.replace(attempt.order.run, durable=True, last=light.last)
        return Admit(run, light.entries(), key, LEASE_SECONDS, tuple(light.objects))

    async def _admit(
        self, attempt: Attempt, light: LightRecorder, admit: Admit, *, folded: bool
    ) -> RunId | None:
        outcome = await self.committer.write(admit)
        if isinstance(outcome, Joined):
            return outcome.run
        assert isinstance(outcome, Admitted)
        recorder = DurableRecorder(
            admit.run,
            outcome.number,
            clock=self._clock,
            committer=self.committer,
            follower=self.follower,
            when_refused=attempt.be_ended_elsewhere,
            fold=attempt.fold() if folded else None,
        )
        if light.is_followed:
            self.follower.adopt(admit.run.id, outcome.number, light.topic)
        attempt.recorder = recorder
        recorder.take_over(light.log[admit.run.last :], light.objects[len(admit.objects) :])
        self.follower.attend(outcome.number, attempt)
        return None

    # --- under way ------------------------------------------------------------------------------

    async def _execute(self, attempt: Attempt) -> None:
        ending = await self._execution(attempt)
        attempt.is_closing = True
        if attempt.promotion is not None:
            await attempt.promotion
        recorder = attempt.recorder
        with suppress(Conflict, NotFound):  # somebody else may have ended the run meanwhile
            recorder.record(ending)
        if isinstance(recorder, DurableRecorder):
            await recorder.ended.wait()
            self.follower.leave(recorder.number)
        del self._live[attempt.order.run.id]
        run = attempt.run
        if recorder.final is None:  # somebody else has ended it, and his entry is not ours
            run = msgspec.structs.replace(run, status="interrupted", finished=self._clock.now())
        self.ended[run.status] += 1
        if self._on_end is not None:
            self._on_end(run, attempt.trace)
        if isinstance(recorder, LightRecorder) and self._keeps_light:
            self.committer.keep(Keep(run, pack(recorder.log), recorder.objects))

    # --- ending ---------------------------------------------------------------------------------

    async def cancel(self, run: Run, by: str) -> None:
        """Ask a run to end. Raises RunFinished."""
        if run.is_finished:
            raise RunFinished
        request = CancelRequested(by)
        attempt, light = self._live.get(run.id), self.reader.light(run.id)
        if attempt is not None and light is not None:
            if attempt.is_closing:
                raise RunFinished
            light.say(CONTROL, request)
            attempt.interrupt(cancelled_by(by))
            return
        await self.control(run, request)

    async def control(self, run: Run, *events: Event, only_if_lost: bool = False) -> None:
        """Write into a run's log without being its attempt. Raises RunFinished, StaleAttempt."""
        now = self._clock.now()
        entries = [
            Entry(number, CONTROL, now, event=event)
            for number, event in enumerate(events, run.last + 1)
        ]
        append = Append(
            await self.reader.number(run),
            CONTROL,
            entries,
            move_of(events),
            reason_of(events[-1]),
            only_if_lost=only_if_lost,
        )
        outcome = await self.committer.write(append)
        assert isinstance(outcome, Appended)
        for number, entry in enumerate(entries, outcome.first):
            entry.number = number
        self.follower.deliver(run.id, entries)
        attempt = self._live.get(run.id)
        if attempt is not None:
            attempt.hear(entries)

    async def end_unsure(self) -> None:
        """End runs that turn out to be admitted, though their callers were told otherwise."""
        for run_id in list(self._unsure):
            run = await self._storage.find(run_id)
            if run is not None:
                with suppress(Conflict, NotFound):
                    await self.control(run, _NOT_BEGUN)
            self._unsure.discard(run_id)

    async def delete(self, run: Run) -> None:
        """Forget a finished run. Raises RunUnfinished."""
        if not run.is_finished:
            raise RunUnfinished
        await self.committer.kept(run.id)
        await self._storage.delete(run.id)
