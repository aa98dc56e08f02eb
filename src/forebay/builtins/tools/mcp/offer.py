"""What of a server's tools is offered to models, under which names, and how it is described."""

import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import NamedTuple, TypeAlias, cast

from forebay.core.codec import encode_json
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context

from .config import NAME, McpClient, McpOverride

_LOG = logging.getLogger(__name__)

_MOST_TOOLS = 1_000
_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 4_096
_LARGEST_SCHEMA_BYTES = 64 * 1024
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class Found(NamedTuple):
    """A tool as its server describes it."""

    name: str
    description: str
    parameters: dict[str, Json]
    is_wrapped: bool
    """Whether its results are objects with nothing but a `result`."""


Send: TypeAlias = Callable[[Found, Context, Mapping[str, Json]], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of a server. Implements ports.tools.Tool."""

    name: str
    description: str
    parameters: Json
    timeout_seconds: float | None
    needs_approval: bool
    found: Found
    send: Send
    blocks: bool = False

    def call(
        self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]
    ) -> Awaitable[Json]:
        """Call it at its server. Raises ToolError, also ToolUnavailable and InvalidArguments."""
        # What does not block is called on the event loop.
        return self.send(self.found, cast(Context, ctx), arguments)


def offer(config: McpClient, found: Sequence[Found], send: Send) -> Sequence[McpTool]:
    """The tools that are offered."""
    if len(found) > _MOST_TOOLS:
        _LOG.warning("The MCP server %s has %d tools, of which the first %d count.",
                     config.server.place, len(found), _MOST_TOOLS)  # fmt: skip
    tools = [_tool(config, each, send) for each in _wanted(config, found[:_MOST_TOOLS])]
    return list(_told_apart(tools))


def _wanted(config: McpClient, found: Sequence[Found]) -> Iterator[Found]:
    unmatched = set(config.include)
    for each in found:
        included = [pattern for pattern in config.include if _is_meant(config, each, pattern)]
        unmatched.difference_update(included)
        if config.include and not included:
            continue
        if any(_is_meant(config, each, pattern) for pattern in config.exclude):
            continue
        if len(encode_json(each.parameters)) > _LARGEST_SCHEMA_BYTES:
            _LOG.warning("The tool %.100r is left out: its schema is too large.", each.name)
            continue
        yield each
    for pattern in sorted(unmatched):
        _LOG.warning("The MCP server %s has no tool %r.", config.server.place, pattern)


def _is_meant(config: McpClient, found: Found, pattern: str) -> bool:
    alias = _override(config, found).alias
    return fnmatchcase(found.name, pattern) or (alias is not None and fnmatchcase(alias, pattern))


def _override(config: McpClient, found: Found) -> McpOverride:
    return (config.tool_overrides or {}).get(found.name, McpOverride())


def _tool(config: McpClient, found: Found, send: Send) -> McpTool:
    override = _override(config, found)
    approval = config.needs_approval
    if isinstance(approval, list):
        approval = any(_is_meant(config, found, pattern) for pattern in approval)
    return McpTool(
        override.alias or valid_name(found.name),
        override.description or _shortened(found.description),
        found.parameters,
        override.timeout_seconds or config.tool_call_timeout.total_seconds(),
        approval,
        found,
        send,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_DESCRIPTION else text[: _LONGEST_DESCRIPTION - 1] + "…"


# --- names --------------------------------------------------------------------------------------


def valid_name(name: str) -> str:
    """A name that models can call, the same for the same."""
    if NAME.fullmatch(name):
        return name
    fit = _UNFIT.sub("_", name)
    return fit if 0 < len(fit) <= _LONGEST_NAME else _marked(fit, name)


def _told_apart(tools: Sequence[McpTool]) -> Iterator[McpTool]:
    """Every tool under a name of its own. Only who is really called so may keep a name of two."""
    count = Counter(tool.name for tool in tools)
    for tool in tools:
        if count[tool.name] > 1 and tool.name != tool.found.name:
            yield replace(tool, name=_marked(tool.name, tool.found.name))
        else:
            yield tool


def _marked(fit: str, name: str) -> str:
    mark = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{fit[: _LONGEST_NAME - len(mark) - 1]}_{mark}"
