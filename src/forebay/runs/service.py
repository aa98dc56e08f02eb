"""Runs: starting, finding, following, cancelling and forgetting them. What the desk talks to."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

import msgspec

from forebay.core.caller import Caller
from forebay.core.clock import Clock
from forebay.core.codec import Entry, pack, restore, unpack
from forebay.core.codec import Object as StoredObject
from forebay.core.errors import (
    Conflict,
    DatabaseUnavailable,
    ForebayError,
    ObjectNotFound,
    RunFinished,
    RunNotFound,
    RunUnfinished,
    Stopping,
)
from forebay.core.events import CancelRequested, Event, RunInterrupted, RunStarted, RunSubmitted
from forebay.core.grant import Grant
from forebay.core.ids import RunId, RunNumber, new_run_id
from forebay.core.json import Json
from forebay.core.paging import PAGE_ENTRIES, page
from forebay.core.run import Fold, Run, Status, move_of
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
    RunQuery,
)

from .attempt import Attempt, Order, cancelled_by
from .commit import Committer
from .execute import Execution
from .follow import Follower, Page, Topic
from .recorder import DurableRecorder, LightRecorder

LEASE_SECONDS = 9.0
_PROMOTION_RETRY_SECONDS = 0.5
_STOP_SECONDS = 10.0

log = logging.getLogger("forebay.runs")


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


class View(NamedTuple):
    """A run, and what its log adds up to."""

    run: Run
    fold: Fold


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
            attempt.interrupt(RunInterrupted("server_stopped", "the server was stopped"))

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
            joined = await self._admit(attempt, recorder, start.key, folded=start.folded)
            if joined is not None:
                return joined
        self._live[run.id] = attempt
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
        while True:
            try:
                await self._admit(attempt, light, None, folded=True)
            except DatabaseUnavailable:
                await self._clock.sleep(_PROMOTION_RETRY_SECONDS)
            else:
                return

    async def _admit(
        self, attempt: Attempt, light: LightRecorder, key: IdempotencyKey | None, *, folded: bool
    ) -> RunId | None:
        run = msgspec.structs.replace(attempt.order.run, durable=True, last=light.last)
        recorder = DurableRecorder(
            run.id,
            1,
            light.last,
            clock=self._clock,
            committer=self.committer,
            follower=self.follower,
            fold=attempt.fold() if folded else None,
        )
        attempt.recorder = recorder
        try:
            outcome = await self.committer.write(
                Admit(run, light.entries(), key, LEASE_SECONDS, light.objects)
            )
        except DatabaseUnavailable:
            attempt.recorder = light
            raise
        if isinstance(outcome, Joined):
            return outcome.run
        assert isinstance(outcome, Admitted)
        if light.is_followed:
            self.follower.adopt(run.id, outcome.number, light.topic)
        self.follower.attend(outcome.number, attempt)
        recorder.admitted(outcome.number)
        return None

    # --- under way ------------------------------------------------------------------------------

    async def _execute(self, attempt: Attempt) -> None:
        ending = await self._execution(attempt)
        attempt.is_closing = True
        if attempt.promotion is not None:
            await attempt.promotion
        recorder = attempt.recorder
        with suppress(Conflict):  # somebody else may have ended the run meanwhile
            recorder.record(ending, getattr(ending, "reason", None))
        if isinstance(recorder, DurableRecorder):
            await recorder.ended.wait()
            if recorder.number is not None:
                self.follower.leave(recorder.number)
        del self._live[attempt.order.run.id]
        attempt.is_ended = True
        run = attempt.run
        self.ended[run.status] += 1
        if self._on_end is not None:
            self._on_end(run, attempt.trace)
        if isinstance(recorder, LightRecorder) and self._keeps_light:
            self.committer.keep(Keep(run, pack(recorder.log), recorder.objects))

    # --- reading --------------------------------------------------------------------------------

    def live(self, run: RunId) -> Attempt | None:
        """The attempt at this run that is under way in this process."""
        return self._live.get(run)

    async def find(self, run: RunId) -> Run:
        """The run with this id. Raises RunNotFound."""
        attempt = self._live.get(run)
        if attempt is not None and attempt.promotion is not None:
            await asyncio.shield(attempt.promotion)  # it has no number yet
        if attempt is not None and isinstance(attempt.recorder, LightRecorder):
            return attempt.run
        keep = self.committer.keeping(run)
        found = keep.run if keep is not None else await self._storage.find(run)
        if found is None:
            raise RunNotFound
        return found

    async def view(self, run: Run) -> View:
        """The run, with what its log adds up to now."""
        fold, last = Fold(), 0
        while entries := await self.read(run, after=last):
            for entry in entries:
                fold.apply(await self._whole(run, entry))
            last = entries[-1].number
        return View(run, fold)

    async def read(
        self,
        run: Run,
        *,
        after: int,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        """A page of a run's entries."""
        light, keep = self._light(run.id), self.committer.keeping(run.id)
        if light is not None:
            return page(light.entries(after), limit, types)
        if keep is not None:
            return page(unpack(keep.log)[after:], limit, types)
        return await self._storage.read(
            await self._number(run), after=after, limit=limit, types=types
        )

    async def follow(
        self, run: Run, after: int, types: Sequence[str] | None = None
    ) -> AsyncGenerator[Page]:
        """The run's entries after a number, as they come. Close the generator when done."""
        light, keep = self._light(run.id), self.committer.keeping(run.id)
        if light is not None:
            where = light.topic
        elif keep is not None:
            where = Topic.of(unpack(keep.log))
        else:
            where = await self._number(run)
        async with aclosing(self.follower.follow(run.id, where, after, types)) as pages:
            async for page in pages:
                yield page

    async def read_object(self, run: Run, object_id: str) -> bytes:
        """A value that stands beside the run's log, as JSON. Raises ObjectNotFound."""
        near = self._light(run.id) or self.committer.keeping(run.id)
        if near is not None:
            found = next((each.data for each in near.objects if each.id == object_id), None)
        else:
            found = await self._storage.read_object(await self._number(run), object_id)
        if found is None:
            raise ObjectNotFound
        return found

    async def list(self, query: RunQuery) -> Sequence[Run]:
        """A page of runs, newest first; light ones that are not written yet included."""
        here = [  # before the database is asked: meanwhile they may be written
            attempt.run
            for attempt in self._live.values()
            if isinstance(attempt.recorder, LightRecorder)
        ]
        here.extend(keep.run for keep in self.committer.all_keeping())
        stored = await self._storage.list(query)
        known = {run.id for run in stored}
        light = [run for run in here if run.id not in known and query.matches(run)]
        if not light:
            return stored
        merged = sorted([*stored, *light], key=lambda run: run.id, reverse=True)
        return merged[: query.limit]

    async def _whole(self, run: Run, entry: Entry) -> Event:
        event = entry.event
        stored = getattr(event, "stored", None)
        if stored is None:
            return event
        data = await self.read_object(run, stored.object)
        return restore(event, StoredObject(stored.object, data))

    async def _number(self, run: Run) -> RunNumber:
        if run.number is not None:
            return run.number
        stored = await self._storage.find(run.id)  # it was light, and has been written since
        if stored is None or stored.number is None:
            raise RunNotFound
        return stored.number

    def _light(self, run: RunId) -> LightRecorder | None:
        attempt = self._live.get(run)
        recorder = attempt.recorder if attempt else None
        return recorder if isinstance(recorder, LightRecorder) else None

    # --- ending ---------------------------------------------------------------------------------

    async def cancel(self, run: Run, by: str) -> None:
        """Ask a run to end. Raises RunFinished."""
        if run.is_finished:
            raise RunFinished
        request = CancelRequested(by)
        attempt, light = self._live.get(run.id), self._light(run.id)
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
        reason = getattr(events[-1], "reason", None)
        append = Append(
            await self._number(run),
            CONTROL,
            entries,
            move_of(events),
            reason,
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

    async def delete(self, run: Run) -> None:
        """Forget a finished run. Raises RunUnfinished."""
        if not run.is_finished:
            raise RunUnfinished
        await self.committer.kept(run.id)
        await self._storage.delete(run.id)
