"""Calling tools: asking whoever has to approve, then a step."""

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

from forebay.core.codec import encode_json
from forebay.core.errors import ToolNotGranted, ToolRefused, ToolUnavailable
from forebay.core.events import Option, Prompt, ToolStarted
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.tools import Tool, Tools

from .attempt import Attempt
from .plain import digest_of
from .scopes import Scope
from .steps import Call

_SHOWN_CHARACTERS = 2_000
_APPROVE, _REFUSE = "approve", "refuse"


class Wish(NamedTuple):
    """A tool that an agent wants called."""

    tool: str
    arguments: dict[str, Json]
    key: str | None
    id: str | None
    """The name of the step. Of several equal calls the first has the first one, whichever of them
    is approved first; None: it has a key."""

    @classmethod
    def of(
        cls, scope: Scope, tool: str, arguments: Mapping[str, Json] | None, key: str | None
    ) -> "Wish":
        """The next wish of this place. Raises TypeError for arguments that are not JSON."""
        given = dict(arguments or {})
        if key is not None:
            return cls(tool, given, key, None)
        return cls(tool, given, None, scope.name("tool", tool, digest_of(tool, (given,), {})))


class _Missing(NamedTuple):
    """A tool that cannot be had now. Its call may have its result in the journal all the same."""

    name: str
    error: ToolUnavailable
    description: str = ""
    parameters: Json = None
    timeout_seconds: float | None = None
    needs_approval: bool = False
    blocks: bool = False

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        raise self.error


async def is_granted(attempt: Attempt, tools: Tools, name: str) -> bool:
    """Whether this run may use a tool, whichever of its names is granted."""
    granted = attempt.order.grant.tools
    if granted is None or name in granted:
        return True
    return not (await tools.names_of(name)).isdisjoint(granted)


async def find(attempt: Attempt, tools: Tools, name: str) -> Tool:
    """The tool that is to be called. Raises ToolNotFound, ToolNotGranted."""
    if not await is_granted(attempt, tools, name):
        raise ToolNotGranted(f"This run may not use the tool {name!r}.")
    try:
        return await tools.tool(name)
    except ToolUnavailable as error:
        return _Missing(name, error)


def approval(wish: Wish) -> Prompt:
    """What a person is asked before the tool is called."""
    shown = encode_json(wish.arguments).decode()[:_SHOWN_CHARACTERS]
    return Prompt(
        f"May the tool {wish.tool} be called with {shown}?",
        kind="binary_choice",
        options=(Option(_APPROVE, "Yes", _APPROVE), Option(_REFUSE, "No", _REFUSE)),
    )


def check_approved(tool: Tool, answer: Json) -> None:
    """Raises ToolRefused if the person does not want it."""
    if answer != _APPROVE:
        raise ToolRefused(f"The call of the tool {tool.name} was refused.")


def call_of(tool: Tool, wish: Wish, ctx: Context | BlockingContext) -> Call:
    """The step that calls it."""

    async def call(arguments: dict[str, Json]) -> object:
        result = tool.call(ctx, arguments)
        return await result if inspect.isawaitable(result) else result

    def call_blocking(arguments: dict[str, Json]) -> object:
        return tool.call(ctx, arguments)

    def begun(step: str) -> ToolStarted:
        return ToolStarted(call=step, tool=wish.tool, input=wish.arguments)

    fn: Callable[..., object] = call_blocking if tool.blocks else call
    return Call(
        "tool", wish.tool, fn, (wish.arguments,), {}, wish.key,
        0, 0.0, tool.timeout_seconds, None, begun=begun, id=wish.id,
    )  # fmt: skip
