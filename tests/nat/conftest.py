"""The probe plugin, and workflow files that NAT builds and runs in this process."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from forebay.builtins.agents.nat import NatWorkflow
from forebay.control.sources import import_modules
from forebay.control.workflow.reading import read_workflow
from forebay.core.caller import ANONYMOUS, Caller
from forebay.core.clock import Clock, SystemClock
from forebay.core.events import Emission, Event, OutputChunk, OutputValue, Prompt
from forebay.core.grant import UNLIMITED, Grant
from forebay.core.json import Json
from forebay.ports.agent import Agent
from forebay.runs.attempt import Attempt
from forebay.runs.recorder import LightRecorder
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.attempts import InMemory, Log
from tests.support.strict import no_task_dies_unheard

from . import signals

__all__ = ["no_task_dies_unheard"]

ROOT = Path(__file__).parent.parent / "nat_echo"
CONFIGS = ROOT / "configs"
PLUGINS = ("nat_echo.register", "tests.nat.plugin")


@dataclass(slots=True)
class Asked:
    """How a run is started, and what becomes of it."""

    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    caller: Caller = ANONYMOUS
    session: str | None = None
    grant: Grant = UNLIMITED
    answer: Callable[[Prompt], Json] = lambda prompt: "yes"
    before: Log | None = None


class Bench:
    """Opens workflow files, and runs their agents as a server does."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    def workflow(
        self,
        config: str | Mapping[str, Json],
        *,
        overrides: Sequence[tuple[str, str]] = (),
        clock: Clock | None = None,
        then: Callable[[], None] = lambda: None,
    ) -> NatWorkflow:
        """A workflow of a file of the probe's, or of what would stand in one."""
        data = config if not isinstance(config, str) else _read(config, overrides)
        source = config if isinstance(config, str) else "w.yml"

        def prepare() -> None:
            import_modules(PLUGINS)
            then()

        made = NatWorkflow(data, source, clock or SystemClock(), prepare=prepare)
        self._stack.push_async_callback(made.aclose)
        return made

    async def run(
        self,
        workflow: NatWorkflow,
        value: Json,
        agent: str = "workflow",
        asked: Asked | None = None,
    ) -> Log:
        """Run an agent to the end of the attempt."""
        attempt = self.attempt(workflow, value, agent, asked)
        attempt.task = asyncio.current_task()
        async with asyncio.timeout(PATIENCE_SECONDS):
            ending = await self.memory.execution(attempt)
        attempt.is_closing = True
        assert isinstance(attempt.recorder, LightRecorder)
        attempt.recorder.record(ending)
        return Log(attempt.recorder.log, attempt.recorder.objects, ending)

    def attempt(
        self,
        workflow: NatWorkflow,
        value: Json,
        agent: str = "workflow",
        asked: Asked | None = None,
    ) -> Attempt:
        """An attempt at a run that is not executed yet."""
        asked = asked or Asked()
        memory = self.memory = InMemory(SystemClock(), answer=asked.answer, grant=asked.grant)
        memory.attempts = asked.before is not None
        attempt = memory.prepare(named(workflow, agent), asked.before, value)
        run = msgspec.structs.replace(
            attempt.order.run, agent=agent, session=asked.session, metadata=dict(asked.metadata)
        )
        attempt.order = msgspec.structs.replace(attempt.order, run=run, caller=asked.caller)
        return attempt


def _read(config: str, overrides: Sequence[tuple[str, str]]) -> dict[str, Json]:
    return read_workflow(CONFIGS / config, {}, overrides).data


def named(workflow: NatWorkflow, name: str) -> Agent:
    """An agent of a workflow."""
    return next(agent for agent in workflow.agents if agent.name == name)


def told(log: Log) -> list[Event]:
    """What the workflow has said, without what else stands in the log."""
    return log.of(Emission)


def answer_of(log: Log) -> str:
    """The text of the answer."""
    return "".join(event.text for event in log.events if isinstance(event, OutputChunk))


def values_of(log: Log) -> list[Json]:
    """The values of the answer."""
    return [event.value for event in log.events if isinstance(event, OutputValue)]


@pytest_asyncio.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(sys, "path", [str(ROOT / "src"), *sys.path])
    signals.reset()
    async with AsyncExitStack() as stack:
        yield Bench(stack)
