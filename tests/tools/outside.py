"""What a tool needs when it is called outside a server: its parts, and a way to register it."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pydantic

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import ProfileName, RuntimeProfile
from forebay.core.clock import Clock, SystemClock
from forebay.core.errors import AgentNotFound
from forebay.core.events import SourceFound
from forebay.ports.agent import Agent
from forebay.ports.components import Parts, Registry
from forebay.ports.models import Models
from forebay.ports.tools import Tool, ToolGroup, Tools
from forebay.testing.clock import ManualClock
from tests.support.contexts import Heard


class Outside:
    """Parts with an HTTP client, and nothing else."""

    def __init__(self, http: OutboundHttp, clock: Clock) -> None:
        self.http = http
        self.clock = clock

    @property
    def models(self) -> Models:
        raise NotImplementedError

    @property
    def tools(self) -> Tools:
        raise NotImplementedError

    def agent(self, name: str) -> Agent:
        raise AgentNotFound(f"No agent is called {name!r}.")


@asynccontextmanager
async def outside(
    *allowed: str, profile: ProfileName = "online", clock: Clock | None = None
) -> AsyncGenerator[Parts]:
    """Parts for one test. Hosts that are not public have to be allowed by name."""
    clock = clock or SystemClock()
    http = OutboundHttp(clock, profile=RuntimeProfile(profile), allowed_hosts=allowed)
    try:
        yield Outside(http, clock)
    finally:
        await http.aclose()


class Types:
    """A registry that remembers, and builds as a server does of a workflow file."""

    def __init__(self) -> None:
        self.functions: dict[str, tuple[type[pydantic.BaseModel], Callable[..., object]]] = {}
        self.groups: dict[str, tuple[type[pydantic.BaseModel], Callable[..., object]]] = {}

    def add_function(
        self, type: str, config: type[pydantic.BaseModel], build: Callable[..., object]
    ) -> None:
        self.functions[type] = config, build

    def add_group(
        self, type: str, config: type[pydantic.BaseModel], build: Callable[..., object]
    ) -> None:
        self.groups[type] = config, build

    @classmethod
    def of(cls, register: Callable[..., None], *more: object) -> "Types":
        types = cls()
        register(cast(Registry, types), *more)
        return types

    def tool(self, type: str, parts: Parts | None = None, **said: object) -> Tool:
        """The tool that a file describes so. Raises pydantic.ValidationError."""
        config, build = self.functions[type]
        return cast(Tool, build(type, config.model_validate(said), parts or _nothing()))

    def group(self, type: str, **said: object) -> ToolGroup:
        """The group that a file describes so. Raises pydantic.ValidationError."""
        config, build = self.groups[type]
        return cast(ToolGroup, build(type, config.model_validate(said), _nothing()))


def _nothing() -> Parts:
    clock = ManualClock()
    return Outside(OutboundHttp(clock, profile=RuntimeProfile()), clock)


def properties(tool: Tool) -> Mapping[str, Any]:
    """The arguments of a tool, as a model is told of them."""
    return cast(Any, tool.parameters)["properties"]


def sources(heard: Heard) -> Iterable[tuple[str, str | None, str | None]]:
    """What was said to be a source."""
    return [
        (each.url, each.title, each.tool) for each in heard.events if isinstance(each, SourceFound)
    ]
