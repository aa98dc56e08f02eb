"""The Context that an agent is handed, on the event loop or in a thread."""

import asyncio
import concurrent.futures
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec

from forebay.authoring import as_json
from forebay.core.caller import Caller
from forebay.core.clock import rfc3339
from forebay.core.errors import RunFinished, StepFailed
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
from forebay.core.messages import ChatRequest, Messages, ToolSpec, messages_of
from forebay.ports.agent import Say

from .asking import ask, prompt_of
from .attempt import Attempt
from .bridge import Bridge
from .chatting import Asking, chat, embed
from .raised import raise_typed
from .recorder import SMALL_CHARACTERS
from .running import (
    AsyncCaller,
    BlockingCaller,
    LoopSteps,
    OwnThreads,
    ThreadSteps,
    Workshop,
)
from .saying import Bill, draw, emit, spend
from .scopes import SCOPE, Opened, Scope
from .steps import Call, Steps
from .telling import schema_of, specs_of, value_of
from .using import Wish, approval, call_of, check_approved, find, is_granted

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
        if said and isinstance(event, ModelFinished):
            spend(self._attempt, self._order.grant, Bill(event.usage, event.cost_usd))

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

    def __init__(
        self,
        attempt: Attempt,
        workshop: Workshop,
        root: Scope | None = None,
        steps: Steps | None = None,
        threads: concurrent.futures.Executor | None = None,
    ) -> None:
        super().__init__(attempt, workshop)
        self._root = root
        self._recorded = steps
        self._threads = threads or workshop.threads
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

    async def chat(  # noqa: PLR0913 -- what a model can be told
        self,
        messages: Messages,
        *,
        returns: object = None,
        model: str | None = None,
        say: Say = False,
        tools: Sequence[str | ToolSpec] = (),
        tool_choice: str | None = None,
        schema: Json = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:  # a Reply, or what `returns` says
        request = ChatRequest(
            messages_of(messages), await self._offered(tools), tool_choice,
            schema if returns is None else schema_of(returns), temperature, max_tokens, tuple(stop),
        )  # fmt: skip
        asking = Asking(request, say, key, timeout_seconds)
        reply = await chat(self._attempt, self._workshop.models, model, asking, self._run)
        return reply if returns is None else value_of(reply, returns)

    async def embed(
        self, texts: Sequence[str], *, model: str | None = None, key: str | None = None
    ) -> list[list[float]]:
        embedder = self._workshop.models.embedder(model)
        return await embed(self._attempt, embedder, texts, key, self._run)

    async def specs(self, tools: Sequence[str]) -> Sequence[ToolSpec]:
        # A resumed run asks as before, whatever a server offers then, or else it would pay again.
        call = Call(
            "step", "tools", self._specs_now, (list(tools),), {}, None, 0, 0.0, None, list[ToolSpec]
        )  # fmt: skip
        try:
            return cast(list[ToolSpec], await self._run(call))
        except StepFailed as failed:
            raise_typed(failed)

    async def _specs_now(self, names: Sequence[str]) -> list[ToolSpec]:
        known = self._workshop.tools
        found = await specs_of(known, names)
        return [spec for spec in found if await is_granted(self._attempt, known, spec.name)]

    async def _offered(self, tools: Sequence[str | ToolSpec]) -> tuple[ToolSpec, ...]:
        given = [each for each in tools if isinstance(each, ToolSpec)]
        names = [each for each in tools if isinstance(each, str)]
        return (*(await self.specs(names) if names else ()), *given)

    async def use(
        self, tool: str, arguments: Mapping[str, Json] | None = None, *, key: str | None = None
    ) -> Json:
        wish = Wish.of(self._here(), tool, arguments, key)
        found = await find(self._attempt, self._workshop.tools, tool)
        if found.needs_approval:
            check_approved(found, await self.ask(approval(wish)))
        inside = self._in_thread() if found.blocks else None
        try:
            return cast(Json, await self._run(call_of(found, wish, inside or self)))
        except StepFailed as failed:
            raise_typed(failed)
        finally:
            if inside is not None:
                inside.release()

    def _in_thread(self) -> "ThreadContext":
        """What a tool that blocks is handed."""
        loop = asyncio.get_running_loop()
        return ThreadContext(self._attempt, self._workshop, loop, self._here(), self._all_steps())

    async def _run(self, call: Call) -> object:
        if self._steps is None:
            self._steps = LoopSteps(self._all_steps(), self._workshop, self._threads)
        return await self._steps.run(call, self._here())

    def _all_steps(self) -> Steps:
        if self._recorded is None:
            self._recorded = Steps(self._attempt)
        return self._recorded

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
        self,
        attempt: Attempt,
        workshop: Workshop,
        loop: asyncio.AbstractEventLoop,
        root: Scope | None = None,
        steps: Steps | None = None,
    ) -> None:
        super().__init__(attempt, workshop)
        self._bridge = Bridge(loop)
        steps = steps or Steps(attempt)
        self._root = root or Scope(attempt)
        self._steps = ThreadSteps(steps, workshop, self._bridge)
        self._on_loop = RunContext(attempt, workshop, self._root, steps, OwnThreads())

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

    def chat(self, messages: Messages, **rest: Any) -> Any:  # what RunContext.chat takes and gives
        self._check()
        return self._bridge.call(self._on_loop.chat(messages, **rest))

    def embed(
        self, texts: Sequence[str], *, model: str | None = None, key: str | None = None
    ) -> list[list[float]]:
        self._check()
        return self._bridge.call(self._on_loop.embed(texts, model=model, key=key))

    def use(
        self, tool: str, arguments: Mapping[str, Json] | None = None, *, key: str | None = None
    ) -> Json:
        self._check()
        found = self._bridge.call(find(self._attempt, self._workshop.tools, tool))
        if not found.blocks:
            return self._bridge.call(self._on_loop.use(tool, arguments, key=key))
        wish = Wish.of(self._here(), tool, arguments, key)
        if found.needs_approval:
            check_approved(found, self.ask(approval(wish)))
        try:
            return cast(Json, self._run(call_of(found, wish, self)))
        except StepFailed as failed:
            raise_typed(failed)

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
