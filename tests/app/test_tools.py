"""Tools that a model of a workflow file calls: what they may do, and what becomes of failures."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from forebay import tool
from forebay.testing.provider import LoopbackProvider
from forebay.testing.websites import WebPage, Website
from tests.support.server import Server, serving

_FILE = """
llms:
  main: {_type: openai, base_url: URL, model_name: m, api_key: k}
functions:
  page: {_type: fetch_page}
  search: {_type: web_search, provider: searxng, url: SEARXNG}
  sums: {_type: calculator}
function_groups:
  away:
    _type: mcp_client
    server: {transport: stdio, command: no-such-program}
    reconnect_max_attempts: 0
workflow: {_type: tool_calling_agent, llm_name: main, tool_names: [TOOLS]}
"""


@asynccontextmanager
async def server_of(
    folder: Path, provider: LoopbackProvider, tools: str, *agents: object, url: str = "http://x"
) -> AsyncGenerator[Server]:
    """A server whose model may call these tools."""
    text = _FILE.replace("URL", provider.url).replace("SEARXNG", url).replace("TOOLS", tools)
    (folder / "w.yml").write_text(text)
    async with serving(*agents, config_file=str(folder / "w.yml")) as server:
        yield server


def told(provider: LoopbackProvider) -> str:
    """What the model was told of the last call."""
    return str(provider.requests[-1].messages[-1]["content"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_a_model_cannot_make_the_server_call_its_own_machine(folder: Path, host: str) -> None:
    async with (
        LoopbackProvider() as provider,
        Website() as site,
        server_of(folder, provider, "page") as server,
    ):
        site.put("/secret", "a secret")
        port = site.url.rpartition(":")[2]
        provider.call_tool("page", {"url": f"http://{host}:{port}/secret"})
        provider.say("I may not.")
        run = (await server.run("what is there?")).json()
        assert (run["status"], run["output"]) == ("success", "I may not.")
        assert "is not a public address" in told(provider)
        assert site.calls == []


async def test_what_a_search_finds_is_a_source_and_still_may_not_be_called(folder: Path) -> None:
    async with LoopbackProvider() as provider, Website() as site:
        found = f"{site.url}/found"
        results = {"results": [{"url": found, "title": "A page", "content": "Of interest."}]}
        site.put("/search", WebPage(json.dumps(results).encode(), "application/json"))
        async with server_of(folder, provider, "search, page", url=site.url) as server:
            provider.call_tool("search", {"query": "interesting"})
            provider.call_tool("page", {"url": found})
            provider.say("I may not.")
            run = (await server.run("what is there?")).json()
            assert (run["status"], run["output"]) == ("success", "I may not.")
            sources = [e for e in await server.entries(run["id"]) if e["type"] == "source.found"]
            assert [each["url"] for each in sources] == [found]
            assert "is not a public address" in told(provider)
            assert [call.path for call in site.calls] == ["/search"]


@tool()
def failing(text: str) -> str:
    """Fail."""
    raise LookupError(f"no {text}")


@tool(timeout_seconds=0.05)
async def slow() -> str:
    """Take long."""
    await asyncio.Event().wait()
    return "never"


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("failing", {"text": "luck"}, "no luck"),
        ("failing", {"txt": "luck"}, "text"),
        ("slow", {}, "0.05 s"),
        ("sums", {"expression": "2 +"}, "cannot be read"),
        ("nothing", {}, "There is no tool 'nothing'"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_model(
    folder: Path, name: str, arguments: dict[str, str], word: str
) -> None:
    async with (
        LoopbackProvider() as provider,
        server_of(folder, provider, "failing, slow, sums", failing, slow) as server,
    ):
        provider.call_tool(name, dict(arguments))
        provider.say("It does not work.")
        run = (await server.run("do it")).json()
        assert (run["status"], run["output"]) == ("success", "It does not work.")
        assert word in told(provider)


async def test_a_group_that_is_away_fails_the_run_that_needs_it_and_no_other(folder: Path) -> None:
    async with (
        LoopbackProvider() as provider,
        server_of(folder, provider, "sums, away") as server,
    ):
        run = (await server.run("do it")).json()
        assert run["error"]["error"] == "ToolUnavailable"
        assert "no-such-program of away cannot be used" in run["error"]["message"]
        assert (await server.client.get("/ready")).json()["ready"]


async def test_a_tool_that_does_not_need_a_group_is_called_while_that_is_away(folder: Path) -> None:
    async with (
        LoopbackProvider() as provider,
        server_of(folder, provider, "sums") as server,
    ):
        provider.call_tool("sums", {"expression": "2 + 2"})
        provider.say("Four.")
        run = (await server.run("do it")).json()
        assert (run["status"], run["output"]) == ("success", "Four.")
