"""The catalogue of tools: those that are configured, and groups whose tools are found out later."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forebay.core.errors import ToolNotFound
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.tools import Tool, ToolGroup


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A tool of a group whose own name another group's has already."""

    tool: Tool
    name: str

    @property
    def description(self) -> str:
        return self.tool.description

    @property
    def parameters(self) -> Json:
        return self.tool.parameters

    @property
    def timeout_seconds(self) -> float | None:
        return self.tool.timeout_seconds

    @property
    def needs_approval(self) -> bool:
        return self.tool.needs_approval

    @property
    def blocks(self) -> bool:
        return self.tool.blocks

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        return self.tool.call(ctx, arguments)


_SEPARATOR = re.compile(r"\.|__")


class ToolCatalogue:
    """The tools of this server."""

    def __init__(
        self,
        tools: Mapping[str, Tool] | None = None,
        groups: Mapping[str, ToolGroup] | None = None,
    ) -> None:
        self.tools = dict(tools or {})
        self.groups = dict(groups or {})

    async def tool(self, name: str) -> Tool:
        """The tool of this name. Raises ToolNotFound, ToolUnavailable."""
        tool = self.tools.get(name)
        if tool is not None:
            return tool
        group, inner = self._split(name)
        if group is not None:
            for each in await group.tools():
                if each.name in (name, inner):
                    return each
        else:
            for group in self.groups.values():
                for each in await group.tools():
                    if each.name == name:
                        return each
        raise ToolNotFound(f"No tool is called {name[:100]!r}. {self._known}")

    async def named(self, names: Sequence[str]) -> Sequence[Tool]:
        """The tools of these names, and all tools of a group that is named."""
        found: dict[str, Tool] = {}
        for name in names:
            group = self.groups.get(name)
            for tool in [await self.tool(name)] if group is None else await group.tools():
                if group is not None and found.get(tool.name, tool) is not tool:
                    tool = _Renamed(tool, f"{name}__{tool.name}")
                found[tool.name] = tool
        return list(found.values())

    async def aclose(self) -> None:
        """Let go of the other side of every group."""
        for group in self.groups.values():
            await group.aclose()

    def _split(self, name: str) -> tuple[ToolGroup | None, str]:
        # Groups may be called `a` and `a__b`: the longest name that fits counts.
        ends = [
            found for found in _SEPARATOR.finditer(name) if name[: found.start()] in self.groups
        ]
        if not ends:
            return None, name
        return self.groups[name[: ends[-1].start()]], name[ends[-1].end() :]

    @property
    def _known(self) -> str:
        known = sorted([*self.tools, *self.groups])
        return f"There are: {', '.join(known)}." if known else "None is configured."
