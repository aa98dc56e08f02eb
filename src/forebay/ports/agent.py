"""Agent and Context: what the product runs, and what it hands to what it runs."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from forebay.core.caller import Caller
from forebay.core.events import AgentEvent
from forebay.core.grant import Grant
from forebay.core.json import Json

Style: TypeAlias = Literal["async generator", "async function", "generator", "function"]
"""How an agent's body is called. The last two block, and run in a thread."""


class Context(Protocol):
    """One run, seen from inside."""

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

    def emit(self, event: AgentEvent) -> None:
        """Say a fact. Raises TypeError for an event that only the server may say."""
        ...

    def say(self, text: str) -> None:
        """Add to the answer, as `yield` does."""
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

    def call(self, ctx: Context, value: object) -> object:
        """Call the body: returns what its style says (a generator, a coroutine, the value)."""
        ...
