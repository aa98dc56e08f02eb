"""Both sides of MCP for tests: groups that are made from a configuration, and servers to reach."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.builtins.tools.mcp import register
from forebay.builtins.tools.mcp.config import McpClient
from forebay.builtins.tools.mcp.group import McpGroup
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import Clock, SystemClock
from forebay.core.errors import AgentNotFound
from forebay.core.events import Prompt
from forebay.core.json import Json
from forebay.ports.agent import Agent, Context
from forebay.ports.components import Registry
from tests.support.asgi import PATIENCE_SECONDS

PROGRAM = str(Path(__file__).with_name("mcp_program.py"))


@dataclass
class Parts:
    """What a component may use."""

    clock: Clock = field(default_factory=SystemClock)
    profile: RuntimeProfile = field(default_factory=RuntimeProfile)
    models: ModelCatalogue = field(default_factory=ModelCatalogue)
    tools: ToolCatalogue = field(default_factory=ToolCatalogue)

    def __post_init__(self) -> None:
        self.http = OutboundHttp(self.clock, profile=self.profile)

    def agent(self, name: str) -> Agent:
        raise AgentNotFound(f"No agent is called {name}.")


@dataclass
class Person:
    """A context outside runs, and whoever is asked in it."""

    answer: Callable[[Prompt], Json] = lambda prompt: "yes"
    prompts: list[Prompt] = field(default_factory=list[Prompt])
    idempotency_key: str = "key of the step"

    async def ask(self, prompt: Prompt) -> Json:
        self.prompts.append(prompt)
        await asyncio.sleep(0)
        return self.answer(prompt)


class Groups:
    """Makes groups as a workflow file does, and closes them at the end."""

    def __init__(self) -> None:
        self.kinds: dict[str, tuple[type[McpClient], Callable[..., McpGroup]]] = {}
        register(cast(Registry, self))
        self._stack = AsyncExitStack()

    def add_group(self, type: str, config: type[McpClient], build: Callable[..., McpGroup]) -> None:
        self.kinds[type] = (config, build)

    def make(self, told: Mapping[str, object], parts: Parts | None = None) -> McpGroup:
        """A group called `g`."""
        config, build = self.kinds["mcp_client"]
        parts = parts or Parts()
        group = build("g", config.model_validate(told), parts)
        self._stack.push_async_callback(parts.http.aclose)
        self._stack.push_async_callback(group.aclose)
        return group

    async def aclose(self) -> None:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            await self._stack.aclose()


async def use(group: McpGroup, tool: str, person: Person | None = None, /, **given: Json) -> Any:
    """Call a tool of a group as a run does, but for its time-out."""
    async with asyncio.timeout(3 * PATIENCE_SECONDS):  # the first use starts a server
        found = {each.name: each for each in await group.tools()}[tool]
        return await found.call(cast(Context, person or Person()), given)


async def until_told(group: McpGroup, **wanted: int) -> None:
    """Wait until a server of ours tells this of those who wait there."""
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        while not wanted.items() <= (await use(group, "waiting")).items():  # noqa: ASYNC110 -- it is asked
            await asyncio.sleep(0.001)


async def until_learnt(group: McpGroup, name: str) -> None:
    """Have the server offer one more tool, until it is heard of."""
    async with asyncio.timeout(3 * PATIENCE_SECONDS):
        while name not in {tool.name for tool in await group.tools()}:
            # Over HTTP a server does not tell before somebody listens, and nobody hears from when.
            await use(group, "learn", name=name)
            await asyncio.sleep(0.001)


def stdio(*options: str, **rest: object) -> dict[str, object]:
    """The configuration of a server that is a program."""
    args = [PROGRAM, "stdio", *options]
    return {"server": {"transport": "stdio", "command": sys.executable, "args": args}} | rest


def over_http(url: str, transport: str = "streamable-http", **rest: object) -> dict[str, object]:
    """The configuration of a server that has a URL."""
    return {"server": {"transport": transport, "url": url}} | rest


class HttpServer:
    """A server on a port of this machine, in a process of its own."""

    def __init__(self, *options: str, transport: str = "http") -> None:
        self._options = options
        self._transport = transport
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def url(self) -> str:
        path = "sse" if self._transport == "sse" else "mcp"
        return f"http://127.0.0.1:{self.port}/{path}"

    async def start(self) -> None:
        """Start it, or start it again on the same port."""
        given = (PROGRAM, self._transport, str(self.port), *self._options)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *given, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            self.port = int(await self._process.stdout.readline())

    async def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def http_server(*options: str, transport: str = "http") -> AsyncGenerator[HttpServer]:
    server = HttpServer(*options, transport=transport)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, be it a dead one nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
