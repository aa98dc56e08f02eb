"""Servers in processes of their own, with a workflow that asks a provider of the test."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from forebay.client import AsyncClient, Run
from forebay.testing.provider import LoopbackProvider
from tests.cli.processes import PATIENCE_SECONDS, Place, Server

_ASKING = """
llms:
  main:
    _type: openai
    base_url: URL
    api_key: a-key-of-the-test
    model_name: m
    max_retries: 0
    price: {input: 1000, output: 2000}
functions:
  sums: {_type: calculator, needs_approval: APPROVAL}
workflow: {_type: tool_calling_agent, llm_name: main, tool_names: [TOOLS]}
"""


def asking(provider: LoopbackProvider, tools: str = "sums", *, approval: bool = False) -> str:
    """A workflow that asks this provider."""
    text = _ASKING.replace("URL", provider.url).replace("TOOLS", tools)
    return text.replace("APPROVAL", str(approval).lower())


async def serve(place: Place, *arguments: str, port: int = 0) -> Server:
    """Start a server; the provider answers meanwhile."""
    return await asyncio.to_thread(place.serve, "--config_file", "w.yml", *arguments, port=port)


async def ended(server: Server) -> None:
    assert await asyncio.to_thread(server.process.stop) == 0


@asynccontextmanager
async def serving(place: Place, *arguments: str) -> AsyncGenerator[AsyncClient]:
    """A client of a server, which ends in peace."""
    server = await serve(place, *arguments)
    async with AsyncClient(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        yield client
    await ended(server)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 -- it holds in another process
            await asyncio.sleep(0.01)


async def until_run(client: AsyncClient, run: Run | str, condition: Callable[[Run], bool]) -> Run:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(now := await client.get(run)):  # noqa: ASYNC110 -- it is asked
            await asyncio.sleep(0.01)
    return now


async def received(provider: LoopbackProvider, count: int) -> None:
    """Wait until the provider was asked so often for a reply."""
    await until(lambda: asked(provider) >= count)
    assert asked(provider) == count


def asked(provider: LoopbackProvider) -> int:
    """How often it was asked for a reply."""
    return sum(each.path.endswith("/chat/completions") for each in provider.requests)


async def entries(client: AsyncClient, run: Run | str) -> list[dict[str, Any]]:
    """The log of a run, which has no gap."""
    found = [json.loads(entry.line) async for entry in client.events(run)]
    assert [each["number"] for each in found] == list(range(1, len(found) + 1))
    return found


def of_type(found: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [each for each in found if each["type"] == type]
