"""The catalogue of tools: those that are configured, and groups whose tools are found out later."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forebay.core.errors import ToolNotFound, ToolUnavailable
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.tools import Tool, ToolGroup


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A tool of a group, under the name that no tool of another group has."""

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
        return tool if tool is not None else (await self._in_group(name))[1]

    async def names_of(self, name: str) -> frozenset[str]:
        """Every name that this tool has, also that of its group. Raises ToolNotFound."""
        if name in self.tools:
            return frozenset({name})
        try:
            group, tool = await self._in_group(name)
            own = tool.name
            is_known_by_it = own not in self.tools and (await self._in_group(own))[0] == group
        except ToolUnavailable:
            group, own = self._split(name)
            is_known_by_it = False
        if group is None:
            return frozenset({name})
        names = {name, group, f"{group}.{own}", f"{group}__{own}"}
        return frozenset({*names, own} if is_known_by_it else names)

    async def _in_group(self, name: str) -> tuple[str, Tool]:
        group, inner = self._split(name)
        for key in self.groups if group is None else [group]:
            for each in await self.groups[key].tools():
                if each.name in (name, inner):
                    return key, each
        raise ToolNotFound(f"No tool is called {name[:100]!r}. {self._known}")

    async def named(self, names: Sequence[str]) -> Sequence[Tool]:
        """The tools of these names, and all tools of a group that is named."""
        found: dict[str, Tool] = {}
        for name in names:
            if name in self.groups:
                tools: list[Tool] = [
                    _Renamed(tool, f"{name}__{tool.name}")
                    for tool in await self.groups[name].tools()
                ]
            elif name in self.tools:
                tools = [self.tools[name]]
            else:
                group, tool = await self._in_group(name)
                tools = [_Renamed(tool, f"{group}__{tool.name}")]
            found.update((tool.name, tool) for tool in tools)
        return list(found.values())

    async def aclose(self) -> None:
        """Let go of the other side of every group."""
        for group in self.groups.values():
            await group.aclose()

    def _split(self, name: str) -> tuple[str | None, str]:
        # Groups may be called `a` and `a__b`: the longest name that fits counts.
        ends = [
            found for found in _SEPARATOR.finditer(name) if name[: found.start()] in self.groups
        ]
        if not ends:
            return None, name
        return name[: ends[-1].start()], name[ends[-1].end() :]

    @property
    def _known(self) -> str:
        known = sorted([*self.tools, *self.groups])
        return f"There are: {', '.join(known)}." if known else "None is configured."
