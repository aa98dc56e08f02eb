"""Other functions of the same file: how one agent hands its work to them."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import cast

from forebay.authoring import as_json
from forebay.authoring.acting import as_text
from forebay.core.errors import AgentNotFound, InvalidArguments, ToolNotGranted
from forebay.core.json import Json
from forebay.core.messages import ToolSpec
from forebay.ports.agent import Agent, Context
from forebay.ports.components import Parts

from .tool_input import arguments_from

_ON_LOOP = ("async function", "async generator")


async def use_function(ctx: Context, spec: ToolSpec, value: Json) -> Json:
    """Call a function with a value: what it returns. Raises as `ctx.use`."""
    try:
        arguments = arguments_from(value, spec)
    except ValueError as error:
        raise InvalidArguments(str(error)) from error
    return await ctx.use(spec.name, arguments)


async def answer_with(ctx: Context, parts: Parts, spec: ToolSpec, value: Json) -> Json:
    """Let a function answer. What an agent says is said as it comes, and None is returned; else
    what the function returns. Raises as `ctx.use`."""
    agent = agent_of_name(parts, spec.name)
    if agent is None or agent.style not in _ON_LOOP:
        return await use_function(ctx, spec, value)
    answering = agent
    if ctx.grant.tools is not None and spec.name not in ctx.grant.tools:
        raise ToolNotGranted(f"This run may not use the tool {spec.name!r}.")

    async def answer(input: Json) -> None:
        await _say_all(ctx, answering, answering.read_input(input))

    await ctx.tool(spec.name, answer, value)
    return None


def agent_of_name(parts: Parts, name: str) -> Agent | None:
    """The function of this name, if it is an agent."""
    try:
        return parts.agent(name)
    except AgentNotFound:
        return None


async def _say_all(ctx: Context, agent: Agent, value: object) -> None:
    answer = agent.call(ctx, value)
    if agent.style == "async function":
        _give(ctx, await cast(Awaitable[object], answer))
        return
    async with aclosing(cast(AsyncGenerator[object], answer)) as pieces:
        async for piece in pieces:
            _give(ctx, piece)


def _give(ctx: Context, piece: object) -> None:
    if piece is not None:
        ctx.say(piece if isinstance(piece, str) else as_text(as_json(piece)))
