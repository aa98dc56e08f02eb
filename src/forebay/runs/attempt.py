"""Attempt: one execution of one run in this process, from its order to its end.

It may end without its run: handed back, or because the run waits for answers and shall occupy
nobody. Another attempt then goes on from the log.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from forebay.core.caller import Caller
from forebay.core.clock import Clock
from forebay.core.codec import Entry
from forebay.core.errors import Conflict, ForebayError
from forebay.core.events import (
    FINAL_TYPES,
    TYPES,
    CancelRequested,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunInterrupted,
    RunRequeued,
    RunStarted,
    RunWaiting,
)
from forebay.core.grant import Grant
from forebay.core.run import MOVES, Fold, Run, reason_of
from forebay.ports.agent import Agent

from .commit import NOT_WRITTEN
from .journal import Journal
from .recorder import DurableRecorder, LightRecorder

Parting: TypeAlias = RunInterrupted | RunRequeued | RunWaiting
"""Why an attempt ends from outside."""

_OTHERS_TURNS = 3  # of the event loop: what runs beside a question may begin a step
_LOOK_AGAIN_SECONDS = 0.02
_TAKEN_OVER = frozenset({TYPES[RunRequeued], TYPES[RunStarted]})


class Order(msgspec.Struct, frozen=True):
    """Everything an execution needs to know."""

    run: Run
    agent: Agent
    value: object
    caller: Caller
    grant: Grant


class House(Protocol):
    """What an attempt needs of the process it is executed in."""

    @property
    def clock(self) -> Clock: ...

    async def make_durable(self, attempt: "Attempt") -> None:
        """Turn a light run into a durable one."""
        ...

    async def read_object(self, run: Run, object_id: str) -> bytes:
        """A value beside the log of a run."""
        ...

    async def expire(self, run: Run, question: str) -> None:
        """Say in the run's log that nobody has answered in time."""
        ...

    def look_for(self, attempt: "Attempt") -> None:
        """Let the attempt hear what others have written into its log since it last heard."""
        ...


class Attempt:
    """An order under way: its recorder, its task, and the wish that it may end."""

    def __init__(
        self,
        order: Order,
        recorder: LightRecorder | DurableRecorder,
        house: House,
        journal: Journal | None = None,
        trace: str | None = None,
    ) -> None:
        self.trace = trace
        self.order = order
        self.recorder = recorder
        self.journal = journal or Journal()
        self.is_closing = False
        self.has_begun = False
        self.parting: Parting | None = None
        self.promotion: asyncio.Task[None] | None = None
        self.task: asyncio.Task[object] | None = None
        self.steps_in_flight = 0
        self.calls: set[asyncio.Timeout] = set()
        """The calls of models under way, and what ends each."""
        self.stays = False
        """Whether it goes on while its questions are open."""
        self._house = house
        self._ended_run: Run | None = None
        self._open: dict[str, _Question] = {}
        self._leaving: asyncio.Task[None] | None = None

    # --- ending it from outside -----------------------------------------------------------------

    def interrupt(self, why: RunInterrupted | RunRequeued) -> None:
        """End the execution at its next await; the log will say why. The first reason counts."""
        self._part(why)

    def be_ended_elsewhere(self) -> None:
        """The run's log is closed to us: its agent may stop."""
        self._part(RunInterrupted("ended_elsewhere", "somebody else ended the run"))

    def close(self) -> None:
        """The agent has ended; whatever it has left behind is not listened to any more."""
        self.is_closing = True
        now = asyncio.get_running_loop().time()
        while self.calls:
            self.calls.pop().reschedule(now)

    def _part(self, why: Parting) -> None:
        if self.parting is None and not self.is_closing:
            self.parting = why
            for question in self._open.values():
                question.answer.cancel()
            if self.task and self.has_begun:  # a task cancelled earlier would never run at all
                self.task.cancel()

    # --- its log --------------------------------------------------------------------------------

    async def make_room(self) -> None:
        """Wait until the recorder takes more. A light run that has grown large becomes durable."""
        if isinstance(self.recorder, LightRecorder) and not self.recorder.has_room:
            await self._house.make_durable(self)
        if isinstance(self.recorder, DurableRecorder):
            await self.recorder.room()

    async def committed(self) -> None:
        """Wait until all that was said is in the log. Raises why it takes no more from us."""
        if self.promotion is not None:
            await asyncio.shield(self.promotion)
        if isinstance(self.recorder, DurableRecorder):
            await self.recorder.committed()

    async def read_object(self, object_id: str) -> bytes:
        """A value that stands beside the log."""
        return await self._house.read_object(self.run, object_id)

    @property
    def run(self) -> Run:
        """The run as this process knows it."""
        if self._ended_run is not None:
            return self._ended_run
        recorder = self.recorder
        durable = isinstance(recorder, DurableRecorder)
        number = recorder.number if durable else None
        final = recorder.final
        if final is None:
            return msgspec.structs.replace(
                self.order.run, last=recorder.last, durable=durable, number=number
            )
        self._ended_run = msgspec.structs.replace(
            self.order.run,
            last=recorder.last,
            durable=durable,
            number=number,
            status=MOVES[type(final.event)].leads_to or "running",
            reason=reason_of(final.event),
            finished=final.time,
            holder=None,
        )
        return self._ended_run

    def fold(self) -> Fold | None:
        """What the log adds up to, if this process has it in memory."""
        recorder = self.recorder
        return recorder.fold if isinstance(recorder, DurableRecorder) else recorder.fold()

    # --- asking people --------------------------------------------------------------------------

    async def ask(self, asked: QuestionAsked) -> QuestionAnswered | QuestionExpired:
        """Ask, and return what came of it, if somebody is quick.

        Else the attempt ends as soon as nothing else of it is under way: the run waits, and the
        attempt after the answer comes here again and finds it in the journal.
        """
        await self._house.make_durable(self)
        if self.journal.asked(asked.question) is None:
            self.recorder.record(asked)
            self.journal.remember(asked)
        known = self.journal.answer(asked.question)
        if known is not None:  # meanwhile
            return known
        question = _Question(asked, asyncio.get_running_loop().create_future())
        self._open[asked.question] = question
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name="wait-for-answers")
        try:
            return await question.answer
        finally:
            self._open.pop(asked.question, None)

    async def _leave(self) -> None:
        # Once there are open questions and nothing else is under way, let the run wait.
        try:
            while self._open and self.parting is None and not self.is_closing:
                for _ in range(_OTHERS_TURNS):
                    await self._house.clock.sleep(0)
                may_leave = self.steps_in_flight == 0 and not self.stays
                with suppress(*NOT_WRITTEN):  # then we look again
                    if may_leave and await self._let_the_run_wait():
                        return
                    await self._expire_what_is_due()
                await self._house.clock.sleep(_LOOK_AGAIN_SECONDS)
        except ForebayError as error:
            for question in self._open.values():
                if not question.answer.done():
                    question.answer.set_exception(error)
        finally:
            self._leaving = None

    async def _let_the_run_wait(self) -> bool:
        recorder = self.recorder
        assert isinstance(recorder, DurableRecorder), "asking made it durable"
        dues = [question.asked.due for question in self._open.values() if question.asked.due]
        waiting = RunWaiting(sorted(self._open))
        try:
            left = await recorder.wait_for_answers(waiting, min(dues, default=None))
        except Conflict:
            return True  # somebody else has ended the run
        if left:
            self._part(waiting)
        else:
            self._house.look_for(self)
        return left

    async def _expire_what_is_due(self) -> None:
        now = self._house.clock.now()
        for name, question in list(self._open.items()):
            if question.asked.due is not None and question.asked.due <= now:
                await self._house.expire(self.run, name)

    # --- as the follower sees it ----------------------------------------------------------------

    @property
    def last(self) -> int:
        return self.recorder.last

    def hear(self, entries: Sequence[Entry]) -> None:
        own = self.order.run.attempt
        for entry in entries:
            if entry.attempt == own or entry.number <= self.order.run.last:
                continue  # what was said before we began may be heard late
            if isinstance(entry.event, CancelRequested):
                self.interrupt(cancelled_by(entry.event))
            elif isinstance(entry.event, QuestionAnswered | QuestionExpired):
                self.journal.add(entry)  # the agent may not have come to its question yet
                question = self._open.get(entry.event.question)
                if question is not None and not question.answer.done():
                    question.answer.set_result(entry.event)
            elif entry.type in FINAL_TYPES or entry.type in _TAKEN_OVER:
                self.be_ended_elsewhere()
        if isinstance(self.recorder, DurableRecorder):
            self.recorder.heard(entries[-1].number)


class _Question(NamedTuple):
    asked: QuestionAsked
    answer: "asyncio.Future[QuestionAnswered | QuestionExpired]"


CANCELLED = "cancelled"
REPLACED = "replaced"
"""Why a run is asked to end whose place in its session a newer one takes."""


def cancelled_by(request: CancelRequested) -> RunInterrupted:
    """How the log of a run ends that was asked to."""
    if request.reason == REPLACED:
        return RunInterrupted(REPLACED, "a newer run of its session has replaced it")
    return RunInterrupted(CANCELLED, f"cancelled by {request.by}")
