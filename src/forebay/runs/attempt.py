"""Attempt: one execution of one run in this process, from its order to its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from forebay.core.caller import Caller
from forebay.core.codec import Entry
from forebay.core.events import FINAL_TYPES, CancelRequested, RunInterrupted
from forebay.core.grant import Grant
from forebay.core.run import MOVES, Fold, Run, reason_of
from forebay.ports.agent import Agent

from .recorder import DurableRecorder, LightRecorder


class Order(msgspec.Struct, frozen=True):
    """Everything an execution needs to know."""

    run: Run
    agent: Agent
    value: object
    caller: Caller
    grant: Grant


class Attempt:
    """An order under way: its recorder, its task, and the wish that it may end."""

    def __init__(
        self,
        order: Order,
        recorder: LightRecorder | DurableRecorder,
        make_durable: Callable[["Attempt"], Awaitable[None]],
        trace: str | None = None,
    ) -> None:
        self.trace = trace
        self.order = order
        self.recorder = recorder
        self.is_closing = False
        self.has_begun = False
        self.interruption: RunInterrupted | None = None
        self.promotion: asyncio.Task[None] | None = None
        self._make_durable = make_durable
        self.task: asyncio.Task[object] | None = None
        self._ended_run: Run | None = None

    def interrupt(self, why: RunInterrupted) -> None:
        """End the execution at its next await; the log will say why. The first reason counts."""
        if self.interruption is None and not self.is_closing:
            self.interruption = why
            if self.task and self.has_begun:  # a task cancelled earlier would never run at all
                self.task.cancel()

    def be_ended_elsewhere(self) -> None:
        """The run's log is closed to us: its agent may stop."""
        self.interrupt(RunInterrupted("ended_elsewhere", "somebody else ended the run"))

    async def make_room(self) -> None:
        """Wait until the recorder takes more. A light run that has grown large becomes durable."""
        if isinstance(self.recorder, LightRecorder) and not self.recorder.has_room:
            await self._make_durable(self)
        if isinstance(self.recorder, DurableRecorder):
            await self.recorder.room()

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

    # --- as the follower sees it ----------------------------------------------------------------

    @property
    def last(self) -> int:
        return self.recorder.last

    def hear(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(entry.event, CancelRequested):
                self.interrupt(cancelled_by(entry.event.by))
            elif entry.type in FINAL_TYPES and entry.attempt != self.order.run.attempt:
                self.be_ended_elsewhere()


def cancelled_by(name: str) -> RunInterrupted:
    """How the log of a cancelled run ends."""
    return RunInterrupted("cancelled", f"cancelled by {name}")
