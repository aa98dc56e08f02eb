"""Tools: what agents and models may call, one by one or in groups that are found out later."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from forebay.core.json import Json

from .agent import BlockingContext, Context


class Tool(Protocol):
    """Something that can be called with arguments."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str:
        """What it does, for a model that has to choose."""
        ...

    @property
    def parameters(self) -> Json:
        """The JSON schema of its arguments, an object."""
        ...

    @property
    def timeout_seconds(self) -> float | None:
        """How long a call may take."""
        ...

    @property
    def needs_approval(self) -> bool:
        """Whether a person is asked before each call."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether `call` is to be made in a thread, and returns the result itself."""
        ...

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        """Call it. Returns what is awaited for the result, which has to be JSON.

        Raises InvalidArguments before it does anything, ToolUnavailable, or anything else.
        """
        ...


class ToolGroup(Protocol):
    """Tools that one other side offers."""

    @property
    def name(self) -> str: ...

    async def tools(self) -> Sequence[Tool]:
        """Those it offers now, after filters. Raises ToolUnavailable."""
        ...

    async def aclose(self) -> None:
        """Let go of the other side."""
        ...


class Tools(Protocol):
    """The tools that are configured."""

    async def tool(self, name: str) -> Tool:
        """The tool of this name; one of a group may be named `group.tool` or `group__tool` too.

        Raises ToolNotFound, ToolUnavailable.
        """
        ...

    async def names_of(self, name: str) -> frozenset[str]:
        """Every name that this tool has, also that of its group: a grant may have any of them.

        Raises ToolNotFound.
        """
        ...

    async def named(self, names: Sequence[str]) -> Sequence[Tool]:
        """The tools of these names, and all tools of a group that is named. One of a group is
        called `group__tool`. Raises as `tool`."""
        ...
