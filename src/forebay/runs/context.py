"""The Context that an agent is handed, on the event loop or in a thread."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

import msgspec

from forebay.authoring import as_json
from forebay.core.caller import Caller
from forebay.core.clock import rfc3339
from forebay.core.errors import RunFinished
from forebay.core.events import (
    AGENT_EVENTS,
    AgentEvent,
    Emission,
    ModelFinished,
    Option,
    OutputChunk,
    OutputValue,
    Prompt,
)
from forebay.core.grant import Grant
from forebay.core.ids import as_uuid, random_uuid
from forebay.core.json import Json

from .asking import ask, prompt_of
from .attempt import Attempt
from .bridge import Bridge
from .recorder import SMALL_CHARACTERS
from .running import AsyncCaller, BlockingCaller, LoopSteps, ThreadSteps, Workshop
from .saying import draw, emit, spend
from .scopes import SCOPE, Opened, Scope
from .steps import Call, Steps

_T = TypeVar("_T")


class _Inside:
    """What is the same on the event loop and in a thread."""

    def __init__(self, attempt: Attempt, workshop: Workshop) -> None:
        self._attempt = attempt
        self._order = attempt.order
        self._workshop = workshop
        self._root: Scope | None = None  # most runs need none

    @property
    def run_id(self) -> str:
        return as_uuid(self._order.run.id)

    @property
    def agent(self) -> str:
        return self._order.run.agent

    @property
    def caller(self) -> Caller:
        return self._order.caller

    @property
    def grant(self) -> Grant:
        return self._order.grant

    @property
    def session(self) -> str | None:
        return self._order.run.session

    @property
    def metadata(self) -> Mapping[str, Json]:
        return self._order.run.metadata

    @property
    def attempt(self) -> int:
        return self._order.run.attempt

    @property
    def cancelled(self) -> bool:
        return self._attempt.parting is not None or self._attempt.is_closing

    @property
    def idempotency_key(self) -> str:
        within_try = self._here().within_try
        if within_try is None:
            raise RuntimeError("There is an idempotency key inside a step only.")
        return f"{self.run_id}:{within_try.step}"

    # --- what it says ---------------------------------------------------------------------------

    def emit(self, event: AgentEvent) -> None:
        if type(event) not in AGENT_EVENTS:
            raise TypeError(f"An agent cannot emit {type(event).__name__}: the server says that.")
        if event.within is not None:
            event = msgspec.structs.replace(event, within=None)
        if isinstance(event, ModelFinished):
            self._say_at_length(event)
        else:
            self._say(event)

    def say(self, text: str) -> None:
        for at in range(0, len(text), SMALL_CHARACTERS):
            self._say(OutputChunk(text[at : at + SMALL_CHARACTERS]))

    def give(self, value: object) -> None:
        """Add what the agent yielded or returned to its answer."""
        if isinstance(value, str):
            self.say(value)
        elif value is not None:
            self._say(OutputValue(as_json(value)))

    def scope(self, name: str) -> AbstractContextManager[None]:
        return Opened(self._here().named(name))

    def _say(self, event: Emission) -> None:
        raise NotImplementedError

    def _say_at_length(self, event: Emission) -> None:
        scope = self._here()
        self._do(lambda: self._record(scope, event), scope)

    def _record(self, scope: Scope, event: Emission) -> None:
        if self._attempt.is_closing:
            raise RunFinished
        said = emit(self._attempt, scope, event)
        if said and isinstance(event, ModelFinished) and event.usage is not None:
            spend(self._attempt, self._order.grant, event.usage)

    # --- what it draws --------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.fromisoformat(
            self._draw("now", lambda: rfc3339(self._workshop.clock.now()))
        )

    def uuid(self) -> UUID:
        return UUID(self._draw("uuid", random_uuid))

    def random(self) -> float:
        return self._draw("random", random.random)

    def _draw(self, kind: str, make: Callable[[], _T]) -> _T:
        scope = self._here()

        def drawn() -> _T:
            if self._attempt.is_closing:
                raise RunFinished
            return cast(_T, draw(self._attempt, scope, kind, cast(Callable[[], Json], make)))

        return self._do(drawn, scope)

    # --- where it is ----------------------------------------------------------------------------

    def _here(self) -> Scope:
        scope = SCOPE.get()
        if scope is not None and scope.owner is self._attempt:
            return scope
        if self._root is None:
            self._root = Scope(self._attempt)
        return self._root

    def _do(self, call: Callable[[], _T], scope: Scope) -> _T:
        raise NotImplementedError

    async def _do_on_loop(self, call: Callable[[], _T]) -> _T:
        done = call()
        await self._attempt.make_room()
        return done


class RunContext(_Inside):
    """One run, seen from inside by code on the event loop."""

    def __init__(self, attempt: Attempt, workshop: Workshop) -> None:
        super().__init__(attempt, workshop)
        self._steps: LoopSteps | None = None

    @property
    def step(self) -> AsyncCaller:
        return AsyncCaller("step", self._run)

    @property
    def tool(self) -> AsyncCaller:
        return AsyncCaller("tool", self._run)

    @property
    def model(self) -> AsyncCaller:
        return AsyncCaller("model", self._run)

    async def ask(  # noqa: PLR0913 -- the fields of a prompt
        self,
        prompt: str | Prompt,
        *,
        kind: str = "text",
        options: Sequence[str | Option | Mapping[str, str]] = (),
        timeout_seconds: float | None = None,
        default: Json = None,
        placeholder: str | None = None,
        required: bool = True,
    ) -> Json:
        made = prompt_of(
            prompt, kind=kind, options=options, timeout_seconds=timeout_seconds,
            default=default, placeholder=placeholder, required=required,
        )  # fmt: skip
        return await ask(self._attempt, self._workshop.clock, self._here(), made)

    async def _run(self, call: Call) -> object:
        if self._steps is None:
            self._steps = LoopSteps(Steps(self._attempt), self._workshop)
        return await self._steps.run(call, self._here())

    def _say(self, event: Emission) -> None:
        attempt = self._attempt
        if attempt.is_closing:
            raise RunFinished
        if SCOPE.get() is None and not attempt.journal.repeats:  # nearly always
            attempt.recorder.record(event)
        else:
            self._say_at_length(event)

    def _do(self, call: Callable[[], _T], scope: Scope) -> _T:
        if scope.bridge is None:
            return call()
        return scope.bridge.call(self._do_on_loop(call))  # a plain function as a step


class ThreadContext(_Inside):
    """One run, seen from inside by code that blocks: what it does is recorded on the event loop."""

    def __init__(
        self, attempt: Attempt, workshop: Workshop, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(attempt, workshop)
        self._bridge = Bridge(loop)
        self._steps = ThreadSteps(Steps(attempt), workshop, self._bridge)

    def release(self) -> None:
        """Let go of its thread, wherever it waits for the event loop."""
        self._bridge.release()

    @property
    def step(self) -> BlockingCaller:
        return BlockingCaller("step", self._run)

    @property
    def tool(self) -> BlockingCaller:
        return BlockingCaller("tool", self._run)

    @property
    def model(self) -> BlockingCaller:
        return BlockingCaller("model", self._run)

    def ask(  # noqa: PLR0913 -- the fields of a prompt
        self,
        prompt: str | Prompt,
        *,
        kind: str = "text",
        options: Sequence[str | Option | Mapping[str, str]] = (),
        timeout_seconds: float | None = None,
        default: Json = None,
        placeholder: str | None = None,
        required: bool = True,
    ) -> Json:
        self._check()
        made = prompt_of(
            prompt, kind=kind, options=options, timeout_seconds=timeout_seconds,
            default=default, placeholder=placeholder, required=required,
        )  # fmt: skip
        return self._bridge.call(ask(self._attempt, self._workshop.clock, self._here(), made))

    def _run(self, call: Call) -> object:
        self._check()
        return self._steps.run(call, self._here())

    def _say(self, event: Emission) -> None:
        self._say_at_length(event)

    def _do(self, call: Callable[[], _T], scope: Scope) -> _T:
        del scope
        self._check()
        return self._bridge.call(self._do_on_loop(call))

    def _check(self) -> None:
        if self.cancelled:
            raise RunFinished("The run was ended from outside.")
