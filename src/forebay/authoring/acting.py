"""Acting: a model with tools is asked again and again, until it answers and calls none.

What goes wrong with a call is told to the model, so that it can do better: but not for ever.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from forebay.core.codec import encode_json
from forebay.core.errors import (
    InvalidArguments,
    MalformedReply,
    ModelError,
    StepFailed,
    ToolError,
)
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, Messages, Reply, ToolCall, ToolSpec, messages_of
from forebay.ports.agent import Context

from .arguments import read_arguments
from .tools import tool_in

MAX_ROUNDS = 15
MAX_TOOL_FAILURES = 3

_LARGEST_RESULT = 100_000  # characters: more would push the conversation out of the model's sight
_LARGEST_QUOTE = 500
_UNTAKEN = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64

Ask: TypeAlias = Callable[[Sequence[ChatMessage], Sequence[ToolSpec]], Awaitable[Reply]]
"""How the model is asked."""


async def act(  # noqa: PLR0913 -- what a model can be told, and when to stop
    ctx: Context,
    messages: Messages,
    *,
    model: str | None = None,
    tools: Sequence[str | ToolSpec | Callable[..., object]] = (),
    say: bool = True,
    parallel: bool = True,
    max_rounds: int = MAX_ROUNDS,
    max_tool_failures: int = MAX_TOOL_FAILURES,
    direct: Collection[str] = (),
    temperature: float | None = None,
    max_tokens: int | None = None,
    timeout_seconds: float | None = None,
) -> Reply:
    """Ask a model and call the tools it asks for, until it answers: its last reply.

    `tools`: names of tools or groups, or functions that are tools. With `say` all text that the
    model writes is the answer's as it comes, a paragraph for each round. Calls of one round are
    made at the same time if they may be `parallel`. The result of a `direct` tool is the answer.

    Raises ModelError: also when the model asks for tools `max_rounds` times without answering,
    and MalformedReply when it writes a call that cannot be made twice in a row. Raises ToolError
    when more than `max_tool_failures` rounds in a row have failed.
    """

    async def ask(messages: Sequence[ChatMessage], specs: Sequence[ToolSpec]) -> Reply:
        return await ctx.chat(
            messages, model=model, say=say, tools=specs, temperature=temperature,
            max_tokens=max_tokens, timeout_seconds=timeout_seconds,
        )  # fmt: skip

    limits = Limits(max_rounds, max_tool_failures)
    offer = Offer.of(await specs_of(ctx, tools))
    loop = Loop(ctx, ask, offer, limits, say=say, parallel=parallel, direct=frozenset(direct))
    return await loop.run(messages_of(messages))


async def specs_of(
    ctx: Context, tools: Sequence[str | ToolSpec | Callable[..., object]]
) -> list[ToolSpec]:
    """What a model is told of these tools: in a resumed run the same again, whatever a server
    offers then. Raises ToolNotFound, ToolUnavailable."""
    names = [each if isinstance(each, str) else _name(each) for each in tools
             if not isinstance(each, ToolSpec)]  # fmt: skip
    given = [each for each in tools if isinstance(each, ToolSpec)]
    return [*(await ctx.specs(names) if names else ()), *given]


def _name(tool: Callable[..., object]) -> str:
    made = tool_in(tool)
    if made is None:
        raise TypeError(f"{tool!r} is not a tool: decorate it with @forebay.tool.")
    return made.name


# --- what is offered ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools that a model may ask for, under names that every model takes."""

    specs: tuple[ToolSpec, ...]
    names: dict[str, str]
    """What each is called here, by what the model calls it."""

    @classmethod
    def of(cls, specs: Sequence[ToolSpec]) -> "Offer":
        names: dict[str, str] = {}
        told: list[ToolSpec] = []
        for spec in {spec.name: spec for spec in specs}.values():
            name = _taken(spec.name, names)
            names[name] = spec.name
            told.append(ToolSpec(name, spec.description, spec.parameters))
        return cls(tuple(told), names)

    def tool(self, name: str) -> str | None:
        """What a tool is called here, if it was offered."""
        name = name.strip()
        return self.names.get(name) or (name if name in self.names.values() else None)

    @property
    def known(self) -> str:
        """The names, as a sentence for the model."""
        return f"There are: {', '.join(self.names)}." if self.names else "There are none."


def _taken(name: str, others: Collection[str]) -> str:
    name = _UNTAKEN.sub("_", name.replace(".", "__"))[:_LONGEST_NAME] or "tool"
    if name not in others:
        return name
    ends = (f"_{number}" for number in range(2, len(others) + 3))
    return next(
        other for end in ends if (other := name[: _LONGEST_NAME - len(end)] + end) not in others
    )


# --- what becomes of a call ---------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of a call, and what the model is told of it."""

    kind: Literal["done", "failed", "malformed"]
    chain: str
    """Calls that can be wrong in the same way."""
    text: str
    error: Exception | None = None
    result: Json = None


async def use(ctx: Context, tool: str, arguments: dict[str, Json]) -> Outcome:
    """Call a tool. What it raises is for the model to know."""
    try:
        result = await ctx.use(tool, arguments)
    except InvalidArguments as error:
        return Outcome("malformed", tool, error.message, error)
    except ToolError as error:
        return Outcome("failed", tool, error.message, error)
    except StepFailed as error:
        return Outcome("failed", tool, f"The tool {tool} has failed: {error.message}", error)
    return Outcome("done", tool, text_of(result), result=result)


def unknown(name: str, offer: Offer) -> Outcome:
    """The outcome of calling what is not there."""
    return Outcome("malformed", "", f"There is no tool {name[:100]!r}. {offer.known}")


def unreadable(tool: str, text: str, problem: str) -> Outcome:
    """The outcome of a call whose arguments cannot be read."""
    quoted = text if len(text) <= _LARGEST_QUOTE else f"{text[:_LARGEST_QUOTE]}…"
    return Outcome(
        "malformed",
        tool,
        f"The arguments for {tool} cannot be read. {problem} They were: {quoted}\n"
        "Call it again with a JSON object that fits its parameters.",
    )


def text_of(result: Json) -> str:
    """A tool's result as a model reads it, cut to a bearable size."""
    text = as_text(result)
    if not text:
        return "It has returned nothing."
    if len(text) <= _LARGEST_RESULT:
        return text
    cut = f"\n[Cut: these are the first {_LARGEST_RESULT} of {len(text)} characters.]"
    return text[:_LARGEST_RESULT] + cut


def as_text(result: Json) -> str:
    """A result as text."""
    if result is None:
        return ""
    return result if isinstance(result, str) else encode_json(result).decode()


class Patience:
    """How often a model may call what cannot be called, and tools may fail, before it is over."""

    def __init__(self, max_failures: int, name: str = "max_tool_failures") -> None:
        self._max_failures = max_failures
        self._name = name
        self._failures = 0
        self._warned: set[str] = set()
        """The chains of calls that the model was told of."""

    def hear(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of a round. Raises MalformedReply, ToolError when patience is at its end."""
        malformed = {outcome.chain: outcome for outcome in outcomes if outcome.kind == "malformed"}
        for chain, outcome in malformed.items():
            if chain in self._warned:
                raise MalformedReply(
                    f"The model has been told what is wrong with its call, and has done it again. "
                    f"{outcome.text}"
                ) from outcome.error
        self._warned -= {outcome.chain for outcome in outcomes}
        self._warned |= set(malformed)
        self._count(outcomes)

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        failed = [outcome for outcome in outcomes if outcome.kind == "failed"]
        if any(outcome.kind == "done" for outcome in outcomes):
            self._failures = 0
        elif failed:
            self._failures += 1
        if failed and self._failures > self._max_failures:
            last = failed[-1]
            told = f" That is failure {self._failures} in a row ({self._name})."
            raise ToolError(last.text + (told if self._failures > 1 else "")) from last.error


# --- the loop -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up."""

    max_rounds: int = MAX_ROUNDS
    max_tool_failures: int = MAX_TOOL_FAILURES
    rounds_name: str = "max_rounds"
    """What the first of them is called where it is set."""
    failures_name: str = "max_tool_failures"


@dataclass(frozen=True, slots=True)
class Loop:
    """A model that is asked, tools that are called for it, and when to give up."""

    ctx: Context
    ask: Ask
    offer: Offer
    limits: Limits
    say: bool = True
    parallel: bool = True
    direct: frozenset[str] = frozenset()

    async def run(self, messages: Sequence[ChatMessage]) -> Reply:
        """Go round until the model answers. Raises as `act`."""
        said = list(messages)
        patience = Patience(self.limits.max_tool_failures, self.limits.failures_name)
        rounds = 0
        while True:
            reply = await self.ask(said, self.offer.specs)
            if not reply.tool_calls:
                return reply
            rounds += 1
            self._check(reply, rounds)
            if self.say and reply.text and not reply.text.endswith("\n"):
                self.ctx.say("\n\n")
            outcomes = await self._call_all(reply.tool_calls)
            patience.hear(outcomes)
            if (result := self._direct_result(outcomes)) is not None:
                return result
            calls = _readable(reply.tool_calls)
            said.append(ChatMessage("assistant", reply.text, calls, sealed=reply.sealed))
            said += [
                ChatMessage("tool", outcome.text, answers=call.id)
                for call, outcome in zip(reply.tool_calls, outcomes, strict=True)
            ]

    def _check(self, reply: Reply, rounds: int) -> None:
        if rounds > self.limits.max_rounds:
            raise ModelError(
                f"The model {reply.model!r} asks for tools again and gives no answer, after "
                f"{self.limits.max_rounds} rounds ({self.limits.rounds_name})."
            )

    async def _call_all(self, calls: Sequence[ToolCall]) -> list[Outcome]:
        if len(calls) == 1 or not self.parallel:
            return [await self._call(call) for call in calls]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._call(call)) for call in calls]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # the others were cancelled for its sake
        return [task.result() for task in tasks]

    async def _call(self, call: ToolCall) -> Outcome:
        tool = self.offer.tool(call.name)
        if tool is None:
            return unknown(call.name, self.offer)
        try:
            arguments = read_arguments(call.arguments)
        except ValueError as error:
            return unreadable(tool, call.arguments, str(error))
        return await use(self.ctx, tool, arguments)

    def _direct_result(self, outcomes: Sequence[Outcome]) -> Reply | None:
        for outcome in outcomes:
            if outcome.kind == "done" and outcome.chain in self.direct:
                text = as_text(outcome.result)
                if self.say:
                    self.ctx.say(text)
                return Reply(text)
        return None


def _readable(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    # Some providers read the arguments of earlier calls, and break on what is no JSON.
    return tuple(ToolCall(call.id, call.name, _as_object(call.arguments)) for call in calls)


def _as_object(text: str) -> str:
    try:
        return encode_json(read_arguments(text)).decode()
    except ValueError:
        return "{}"
