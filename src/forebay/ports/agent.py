"""Agent and Context: what the product runs, and what it hands to what it runs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypeVar, overload
from uuid import UUID

from forebay.core.caller import Caller
from forebay.core.events import AgentEvent, Option, Prompt
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.core.messages import Messages, Reply, ToolSpec

from .steps import AsyncSteps, BlockingSteps

Style: TypeAlias = Literal["async generator", "async function", "generator", "function"]
"""How an agent's body is called. The last two block, and run in a thread."""

Say: TypeAlias = bool | Callable[[str], int | None]
"""Whether a reply's text is the answer's. Or what finds, in the text so far, where that part of it
begins: it may not change its mind when more has come."""

_T = TypeVar("_T")


class _Inside(Protocol):
    """What is the same in every context."""

    @property
    def run_id(self) -> str:
        """The run's id, as a UUID."""
        ...

    @property
    def agent(self) -> str:
        """The name this agent was started under."""
        ...

    @property
    def caller(self) -> Caller:
        """Who asked."""
        ...

    @property
    def grant(self) -> Grant:
        """What this run may use."""
        ...

    @property
    def session(self) -> str | None:
        """The conversation this run belongs to."""
        ...

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What the caller attached to the run."""
        ...

    @property
    def attempt(self) -> int:
        """Which try at this run this is, from 1."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this run to end. A blocking agent looks here from time to time;
        in an async one `asyncio.CancelledError` is raised at its next await."""
        ...

    @property
    def idempotency_key(self) -> str:
        """A key for the step this is called in, the same in every attempt and try: hand it to
        whom the step pays or tells. Raises RuntimeError outside steps."""
        ...

    def emit(self, event: AgentEvent) -> None:
        """Say a fact. Raises TypeError for an event that only the server may say."""
        ...

    def say(self, text: str) -> None:
        """Add to the answer, as `yield` does."""
        ...

    def scope(self, name: str) -> AbstractContextManager[None]:
        """A part of the agent with a name, for `with`: what is said in it is compared by itself
        when the run is resumed. For branches that say something at the same time."""
        ...

    def now(self) -> datetime:
        """The time, in UTC; a resumed run gets the same again."""
        ...

    def uuid(self) -> UUID:
        """A new random id; a resumed run gets the same again."""
        ...

    def random(self) -> float:
        """A random number from 0.0 up to 1.0; a resumed run gets the same again."""
        ...


class Context(_Inside, Protocol):
    """One run, seen from inside by an agent on the event loop."""

    @property
    def step(self) -> AsyncSteps:
        """Do something once: `await ctx.step("name", fn, …)` calls `fn(…)` and returns its result,
        as JSON makes it or read as `returns`. When the run is resumed, a step that has its result
        is not done again.

        Raises StepFailed when `fn` has raised and no try is left, StepArgumentsChanged for other
        arguments under the same `key`, TypeError for arguments that are not JSON without one.
        """
        ...

    @property
    def tool(self) -> AsyncSteps:
        """A step that is shown as a call of the tool `name`."""
        ...

    @property
    def model(self) -> AsyncSteps:
        """A step that is shown as a call of the model `name`."""
        ...

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
        """Ask a person, and wait for the answer: a text, the value of an option, or for a checkbox
        a list of values. The run waits without occupying anybody, and is then resumed.

        Raises InvalidPrompt, and QuestionTimedOut if the time is up and there is no default.
        """
        ...

    @overload
    async def chat(
        self,
        messages: Messages,
        *,
        returns: type[_T],
        model: str | None = None,
        say: Say = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> _T: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        *,
        returns: None = None,
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
    ) -> Reply:
        """Ask a configured model, as a step: its reply, or with `returns` that type read from it.

        Its text is shown as it comes; with `say` it, or a part of it, is the answer's. `model`:
        its name, or the default one. `tools`: names of tools or groups it may ask for, or what it
        is told of one. When it cannot answer its fallbacks are asked. Raises ModelError (the kind
        tells what went wrong; MalformedReply: its text is not of the type).
        """
        ...

    async def embed(
        self, texts: Sequence[str], *, model: str | None = None, key: str | None = None
    ) -> list[list[float]]:
        """The vectors of these texts, as a step. Raises ModelError."""
        ...

    async def specs(self, tools: Sequence[str]) -> Sequence[ToolSpec]:
        """What a model is told of these tools, and of all tools of a group that is named, as far
        as the run may use them. A step: a resumed run gets the same again.

        Raises ToolNotFound, ToolUnavailable.
        """
        ...

    async def use(
        self, tool: str, arguments: Mapping[str, Json] | None = None, *, key: str | None = None
    ) -> Json:
        """Call a configured tool, as a step: what it returns.

        If it needs approval, a person is asked first. Raises ToolError, also ToolRefused and
        InvalidArguments, and StepFailed for whatever else the tool raised.
        """
        ...


class BlockingContext(_Inside, Protocol):
    """One run, seen from inside by an agent in a thread."""

    @property
    def step(self) -> BlockingSteps:
        """Do something once, as `Context.step` does. `fn` is called in the same thread."""
        ...

    @property
    def tool(self) -> BlockingSteps:
        """A step that is shown as a call of the tool `name`."""
        ...

    @property
    def model(self) -> BlockingSteps:
        """A step that is shown as a call of the model `name`."""
        ...

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
        """Ask a person, as `Context.ask` does."""
        ...

    @overload
    def chat(
        self,
        messages: Messages,
        *,
        returns: type[_T],
        model: str | None = None,
        say: Say = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> _T: ...

    @overload
    def chat(
        self,
        messages: Messages,
        *,
        returns: None = None,
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
    ) -> Reply:
        """Ask a configured model, as `Context.chat` does."""
        ...

    def embed(
        self, texts: Sequence[str], *, model: str | None = None, key: str | None = None
    ) -> list[list[float]]:
        """The vectors of these texts, as `Context.embed` does."""
        ...

    def use(
        self, tool: str, arguments: Mapping[str, Json] | None = None, *, key: str | None = None
    ) -> Json:
        """Call a configured tool, as `Context.use` does."""
        ...


class Agent(Protocol):
    """Something that can be run."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def style(self) -> Style: ...

    @property
    def input_schema(self) -> Json:
        """The JSON schema of the input."""
        ...

    def read_input(self, value: Json) -> object:
        """Turn the caller's input into what the body takes. Raises InvalidInput."""
        ...

    def call(self, ctx: Context | BlockingContext, value: object) -> object:
        """Call the body: returns what its style says (a generator, a coroutine, the value)."""
        ...
