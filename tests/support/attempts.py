"""Attempts in memory: an agent is executed, its log is cut as a crash would, and it is resumed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from forebay.authoring import FunctionAgent, agent_in
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.caller import ANONYMOUS
from forebay.core.clock import Clock, Millis
from forebay.core.codec import Object, Said, encode_event
from forebay.core.events import (
    Emission,
    Event,
    OutputRestarted,
    Prompt,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    StepFinished,
    StepRestarted,
    StepStarted,
)
from forebay.core.grant import UNLIMITED, Grant
from forebay.core.ids import RunId, as_uuid
from forebay.core.json import Json
from forebay.core.run import Fold, Run, scope_around
from forebay.runs.attempt import Attempt, Order
from forebay.runs.execute import Ending, Execution
from forebay.runs.journal import Journal
from forebay.runs.recorder import LightRecorder
from forebay.testing.clock import ManualClock

from .asgi import PATIENCE_SECONDS

RUN = RunId(bytes(range(16)))
UUID = as_uuid(RUN)


@dataclass(slots=True)
class Log:
    """What stands in the log of the run, and beside it."""

    said: list[Said] = field(default_factory=list[Said])
    objects: list[Object] = field(default_factory=list[Object])
    ending: Ending | None = None

    @property
    def events(self) -> list[Event]:
        return [said.event for said in self.said]

    def of(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]

    def cut(self, length: int) -> "Log":
        """What is left of it after a crash."""
        return Log(self.said[:length], list(self.objects))

    @property
    def fold(self) -> Fold:
        recorder = LightRecorder(ManualClock(), 1)
        recorder.log, recorder.objects = list(self.said), list(self.objects)
        return recorder.fold()

    def unvoided(self) -> list[Emission]:
        """What was said and still holds, in order. Written without looking at how others do it."""
        outer: dict[str, str | None] = {}
        said: dict[int, Emission] = {}

        def lies_in(within: str | None, step: str) -> bool:
            while within is not None and within != step:
                within = outer[within] if within in outer else scope_around(within)
            return within == step

        for number, event in enumerate(self.events, 1):
            match event:
                case Emission():
                    said[number] = event
                case StepStarted():
                    outer[event.step] = event.within
                case StepRestarted(step=step):
                    said = {n: each for n, each in said.items() if not lies_in(each.within, step)}
                case OutputRestarted(after=after, within=within):
                    said = {
                        n: each for n, each in said.items() if n <= after or each.within != within
                    }
                case _:
                    pass
        return list(said.values())

    def finished(self) -> dict[str, Json]:
        """The results of the steps that have one."""
        found: dict[str, Json] = {}
        for event in self.events:
            if isinstance(event, StepFinished):
                assert event.step not in found, "a step has finished twice"
                found[event.step] = event.result
        return found


def said_in(emissions: Iterable[Emission]) -> dict[str | None, list[bytes]]:
    """What was said, scope by scope."""
    found: dict[str | None, list[bytes]] = {}
    for event in emissions:
        found.setdefault(event.within, []).append(encode_event(event))
    return found


@dataclass(slots=True)
class InMemory:
    """Where attempts are executed: no database, and a person who answers at once."""

    clock: Clock = field(default_factory=ManualClock)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    answer: Callable[[Prompt], Json] = lambda prompt: "yes"
    grant: Grant = UNLIMITED
    attempts: int = 0
    last: "_Attempt | None" = None
    models: ModelCatalogue = field(default_factory=ModelCatalogue)
    tools: ToolCatalogue = field(default_factory=ToolCatalogue)

    @property
    def execution(self) -> Execution:
        """How agents are called here."""
        return Execution(self.clock, self.threads, self.models, self.tools)

    async def attempt(self, agent: object, before: Log | None = None, value: object = "") -> Log:
        """Execute an agent, after what stands in this log; returns the log as it is then."""
        attempt = self.prepare(agent, before, value)
        recorder = attempt.recorder
        assert isinstance(recorder, LightRecorder)
        attempt.task = asyncio.current_task()
        async with asyncio.timeout(PATIENCE_SECONDS):
            ending = await self.execution(attempt)
        attempt.close()
        recorder.end(ending)
        assert attempt.steps_in_flight == 0 or attempt.parting is not None
        return Log(recorder.log, recorder.objects, ending)

    def prepare(self, agent: object, before: Log | None = None, value: object = "") -> "_Attempt":
        """An attempt that is not executed yet."""
        self.attempts += 1
        recorder = LightRecorder(self.clock, self.attempts)
        journal = Journal()
        if before is not None:
            recorder.log, recorder.objects = list(before.said), list(before.objects)
            for entry in recorder.entries():
                journal.add(entry)
            recorder.record(RunRequeued("lost", "it is gone"))
        else:
            recorder.record(RunSubmitted("a", None, "native", grant=self.grant))
        recorder.record(RunStarted("inline", "here"))
        made = agent if isinstance(agent, FunctionAgent) else agent_in(agent)
        assert made is not None, "a test has to bring an agent"
        run = Run(RUN, "a", "default", "ada", Millis(1), "running", attempt=self.attempts)
        order = Order(run, made, value, ANONYMOUS, self.grant)
        self.last = _Attempt(order, recorder, _House(self, recorder), journal)
        self.last.person = self
        return self.last


class _Attempt(Attempt):
    """An attempt whose questions are answered at once."""

    person: InMemory
    commit: Callable[[], Awaitable[None]] | None = None
    """What commits, if that does not happen at once."""
    thinks: Callable[[], Awaitable[None]] | None = None
    """What people do before they answer."""

    async def committed(self) -> None:
        if self.commit is not None:
            await self.commit()

    async def ask(self, asked: QuestionAsked) -> QuestionAnswered | QuestionExpired:
        if self.journal.asked(asked.question) is None:
            self.recorder.record(asked)
            self.journal.remember(asked)
        if self.thinks is not None:
            await self.thinks()
        answer = self.person.answer(asked.prompt)
        outcome = (
            QuestionExpired(asked.question)
            if answer is None
            else QuestionAnswered(asked.question, answer, "ada")
        )
        self.recorder.record(outcome)
        return outcome


class _House:
    def __init__(self, memory: InMemory, recorder: LightRecorder) -> None:
        self.clock = memory.clock
        self._recorder = recorder

    async def make_durable(self, attempt: Attempt) -> None:
        del attempt

    async def read_object(self, run: Run, object_id: str) -> bytes:
        del run
        await asyncio.sleep(0)
        return next(each.data for each in self._recorder.objects if each.id == object_id)

    async def expire(self, run: Run, question: str) -> None:
        raise NotImplementedError

    def look_for(self, attempt: Attempt) -> None:
        raise NotImplementedError


def events_of(log: Sequence[Said]) -> list[dict[str, object]]:
    """Events as they are written, for a look at what went wrong."""
    return [msgspec.json.decode(encode_event(said.event)) for said in log]
