"""An agent as a tool: a model may call it, and gets what it says instead of the caller."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import cast

from forebay.core.codec import encode_json
from forebay.core.errors import InvalidArguments, InvalidInput
from forebay.core.json import Json
from forebay.core.messages import Reply
from forebay.ports.agent import Agent, BlockingContext, Context, Messages, Say

from .agents import as_json

_INPUT = "input"
_TEXT: dict[str, Json] = {"type": "string", "description": "What to tell it."}


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool that calls an agent within the same run, and returns the text that it says."""

    name: str
    description: str
    parameters: Json
    blocks: bool
    agent: Agent
    is_spread: bool
    """Whether the arguments together are the agent's input, which is an object."""
    timeout_seconds: float | None = None
    needs_approval: bool = False

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        value = self._read(arguments)
        if self.blocks:
            return self._say(cast(BlockingContext, ctx), value)
        return self._say_on_loop(cast(Context, ctx), value)

    def _read(self, arguments: Mapping[str, Json]) -> object:
        if not self.is_spread and set(arguments) != {_INPUT}:
            raise InvalidArguments(f"{self.name} takes one argument, and it is `{_INPUT}`.")
        try:
            return self.agent.read_input(dict(arguments) if self.is_spread else arguments[_INPUT])
        except InvalidInput as error:
            raise InvalidArguments(error.message, problems=error.problems) from error

    async def _say_on_loop(self, ctx: Context, value: object) -> str:
        said = _Said()
        answer = self.agent.call(cast(Context, _Overheard(ctx, said)), value)
        if self.agent.style == "async function":
            said.add(await cast(Awaitable[object], answer))
            return said.text
        async with aclosing(cast(AsyncGenerator[object], answer)) as pieces:
            async for piece in pieces:
                said.add(piece)
        return said.text

    def _say(self, ctx: BlockingContext, value: object) -> str:
        said = _Said()
        answer = self.agent.call(cast(BlockingContext, _OverheardInThread(ctx, said)), value)
        if self.agent.style == "function":
            said.add(answer)
            return said.text
        with closing(cast(Generator[object], answer)) as pieces:
            for piece in pieces:
                said.add(piece)
        return said.text


def agent_tool(
    agent: Agent,
    name: str | None = None,
    description: str = "",
    *,
    timeout_seconds: float | None = None,
    needs_approval: bool = False,
) -> AgentTool:
    """Make a tool of an agent. Its arguments are the agent's input if that is an object, else one:
    `input`, a text if the agent takes text."""
    schema = agent.input_schema
    is_spread = isinstance(schema, dict) and schema.get("type") == "object"
    return AgentTool(
        name or agent.name,
        description or agent.description,
        schema if is_spread else _around(agent, schema),
        agent.style in ("generator", "function"),
        agent,
        is_spread,
        timeout_seconds,
        needs_approval,
    )


# --- what it takes ------------------------------------------------------------------------------


def _around(agent: Agent, schema: Json) -> Json:
    inner: dict[str, Json] = {**schema} if isinstance(schema, dict) else {}
    definitions = inner.pop("$defs", None)
    if _takes_text(agent):  # a conversation is more than a model should have to write
        inner, definitions = dict(_TEXT), None
    properties: dict[str, Json] = {_INPUT: inner}
    whole: dict[str, Json] = {
        "type": "object",
        "properties": properties,
        "required": [_INPUT],
        "additionalProperties": False,
    }
    return whole if definitions is None else {**whole, "$defs": definitions}


def _takes_text(agent: Agent) -> bool:
    try:
        agent.read_input("text")
    except InvalidInput:
        return False
    return True


# --- what it says -------------------------------------------------------------------------------


class _Said:
    """Puts together what an agent says."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._was_line = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: object) -> None:
        """A text goes on, anything else has a line of its own."""
        if piece is None or piece == "":
            return
        text = piece if isinstance(piece, str) else encode_json(as_json(piece)).decode()
        if self._pieces and (self._was_line or text is not piece):
            self._pieces.append("\n")
        self._pieces.append(text)
        self._was_line = text is not piece


class _Inside:
    """A context whose answer is overheard; all else is that of the run."""

    def __init__(self, ctx: Context | BlockingContext, said: _Said) -> None:
        self._ctx = ctx
        self._said = said

    def __getattr__(self, name: str) -> object:
        return getattr(self._ctx, name)

    def say(self, text: str) -> None:
        self._said.add(text)

    def _hear(self, reply: object, say: Say) -> None:
        if not isinstance(reply, Reply):
            self._said.add(reply if say else None)
            return
        start = say(reply.text) if callable(say) else 0 if say else None
        if start is not None:
            self._said.add(reply.text[start:])


class _Overheard(_Inside):
    async def chat(self, messages: Messages, *, say: Say = False, **options: object) -> object:
        ask = cast(Callable[..., Awaitable[object]], self._ctx.chat)
        reply = await ask(messages, **options)
        self._hear(reply, say)
        return reply


class _OverheardInThread(_Inside):
    def chat(self, messages: Messages, *, say: Say = False, **options: object) -> object:
        reply = cast(Callable[..., object], self._ctx.chat)(messages, **options)
        self._hear(reply, say)
        return reply
