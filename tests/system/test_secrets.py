"""No secret is told by a server that logs everything, though all whom it asks repeat them."""

import asyncio
import json
import re
import sys
from base64 import b64decode
from pathlib import Path

import httpx2
import pytest

from forebay.client import AsyncClient
from forebay.core.clock import SystemClock
from forebay.testing.provider_http import HttpCall, LoopbackServer, Wire
from tests.cli.processes import PATIENCE_SECONDS, Place

pytestmark = pytest.mark.system

_MCP = Path(__file__).with_name("leaky_mcp.py")

_FILE = """
llms:
  main:
    _type: openai_compatible
    base_url: "http://me:Zx81-in-url@ADDRESS/v1"
    model_name: m
    max_retries: 0
    default_headers: {x-gate: Zx81-in-header}
  keyed: {_type: openai, base_url: "http://ADDRESS/v1", model_name: m, api_key: "${MY_KEY}"}
  other: {_type: anthropic, base_url: "http://ADDRESS", model_name: m, max_retries: 0}
embedders:
  vectors: {_type: openai, base_url: "http://ADDRESS/v1", model_name: m, max_retries: 0}
functions:
  search: {_type: web_search, provider: tavily, url: "http://ADDRESS", max_tries: 1}
function_groups:
  leaky:
    _type: mcp_client
    server: {transport: stdio, command: PYTHON, args: [PROGRAM], env: {API_TOKEN: Zx81-in-env}}
  garbage:
    _type: mcp_client
    reconnect_max_attempts: 0
    server:
      transport: stdio
      command: PYTHON
      args: [PROGRAM, garbage]
      env: {API_TOKEN: Zx81-in-env}
  web:
    _type: mcp_client
    reconnect_max_attempts: 0
    server:
      transport: streamable-http
      url: "http://ADDRESS/mcp?key=Zx81-in-query"
      custom_headers: {authorization: Bearer Zx81-bearer}
workflow: {_type: chat_completion, llm_name: main}
"""

_SECRETS = (
    *("Zx81-in-url", "Zx81-variable", "Zx81-in-header", "Zx81-of-anthropic", "Zx81-of-openai"),
    *("Zx81-of-tavily", "Zx81-in-env", "Zx81-in-query", "Zx81-bearer"),
)

_AGENTS = """
from forebay import Context, agent
@agent("everything")
async def everything(ctx: Context, text: str):
    for name in text.split():
        try:
            match name.partition(":"):
                case ("model", _, model):
                    await ctx.chat("hello", model=model)
                case ("vectors", _, _):
                    await ctx.embed(["hello"])
                case ("specs", _, group):
                    ctx.say(str(await ctx.step("specs", ctx.specs, [group])))
                case ("search", _, _):
                    await ctx.use("search", {"query": "hello"})
                case _:
                    ctx.say(str(await ctx.use(name, {})))
        except Exception as error:
            ctx.say(f"{name}: {error!r}")
    raise ValueError("as everything else")
"""


class _Repeating:
    """Answers with whatever it was asked with, in one wrong way after the other."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def answer(self, call: HttpCall, wire: Wire) -> None:
        said = f"{call.query} {' '.join(call.headers.values())} {_without_base64(call)}"
        self.heard.append(said)
        match len(self.heard) % 4:
            case 0:
                error = {"message": f"Not with {said}!", "code": said}
                await wire.answer(401, json.dumps({"error": error}).encode(), {})
            case 1:
                kind = re.sub(r"[^\w-]+", "-", said)
                await wire.answer(200, said.encode(), {"content-type": f"text/{kind}"})
            case 2:
                await wire.answer(200, f"no JSON but {said}".encode(), {})
            case _:
                await wire.answer(500, json.dumps({"detail": [{"msg": said}]}).encode(), {})


def _without_base64(call: HttpCall) -> str:
    kind, _, value = call.headers.get("authorization", "").partition(" ")
    return b64decode(value).decode() if kind == "Basic" else ""


_CALLS = (
    *("model:main", "model:main", "model:main", "model:main", "model:keyed", "model:other"),
    *("model:other", "model:openai/x", "model:openai/x", "vectors", "vectors", "vectors"),
    *("search", "search", "search", "web.x", "web.x", "web.x", "garbage.x"),
    *("leaky.spill", "leaky.structured", "leaky.refuse", "leaky.complain", "specs:leaky"),
    *("leaky.leave", "leaky.spill"),
)
_SUCCEEDING = 5


async def test_no_secret_is_told(place: Place) -> None:
    repeating = _Repeating()
    server = LoopbackServer(repeating.answer, SystemClock())
    await server.start()
    try:
        await _check(place, server.port)
    finally:
        await server.aclose()
    heard = " ".join(repeating.heard)
    assert [secret for secret in _SECRETS if secret not in heard] == ["Zx81-in-env"]


async def _check(place: Place, port: int) -> None:
    text = _FILE.replace("ADDRESS", f"127.0.0.1:{port}")
    place.write("w.yml", text.replace("PYTHON", sys.executable).replace("PROGRAM", str(_MCP)))
    place.write("agents.py", _AGENTS)
    place.write("tavily.txt", "Zx81-of-tavily")
    place.write(".env", "ANTHROPIC_API_KEY=Zx81-of-anthropic\n")
    process = place.begin(
        *("serve", "--config_file", "w.yml", "agents.py", "--dev", "--port", "0"),
        MY_KEY="Zx81-variable",
        OPENAI_API_KEY="Zx81-of-openai",
        OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1",
        TAVILY_API_KEY_FILE="tavily.txt",
        FOREBAY_LOG_LEVEL="debug",
        FOREBAY_LOG_FORMAT="text",
    )
    first = await asyncio.to_thread(process.line)
    url = first.rpartition(" ")[2]
    told = {"banner": first}
    async with AsyncClient(url, patience_seconds=PATIENCE_SECONDS) as client:
        for mode in ("here", "in a worker"):
            given = " ".join(_CALLS)
            run = await client.submit(given, agent="everything") if mode != "here" else None
            run = await (client.run(given, agent="everything") if run is None else client.wait(run))
            assert run.error is not None
            assert run.error.message == "as everything else"
            events = [entry.line async for entry in client.events(run)]
            told[f"events {mode}"] = "\n".join(events)
            failed = [event for event in events if '"step.failed"' in event]
            assert len(failed) == len(_CALLS) - _SUCCEEDING, run.output
            told |= await _shown(url, run.id, mode)
    process.stop()
    told |= {"log": process.errors(), "rest of the banner": "\n".join(process.rest())}
    found = [f"{secret} in {name}" for name, text in told.items() for secret in _SECRETS
             if secret.lower() in text.lower()]  # fmt: skip
    assert found == []
    assert "what it says cannot be read" in told["log"], "everything is logged"
    assert "The token is ***." in told["log"]


async def _shown(url: str, run: str, mode: str) -> dict[str, str]:
    paths = ("/ready", "/openapi.json", "/metrics", "/api/agents", "/api/runs", f"/api/runs/{run}")
    async with httpx2.AsyncClient(base_url=url) as http:
        return {f"{path} {mode}": (await http.get(path)).text for path in paths}
