"""Runs that ask models of a workflow file, in one process: what goes wrong while they speak."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forebay import Context, agent
from forebay.testing.provider import LoopbackProvider
from tests.support.server import Server, serving
from tests.support.waiting import pass_time_until, settle, until

_LLM = """
  {name}:
    _type: openai
    model_name: {name}-1
    base_url: "{url}"
    api_key: key-of-the-test
    max_retries: 0
    price: {{input: 1000000, output: 1000000}}
    fallbacks: [{fallbacks}]
"""


def llm(name: str, provider: LoopbackProvider, *fallbacks: str) -> str:
    return _LLM.format(name=name, url=provider.url, fallbacks=", ".join(fallbacks))


@asynccontextmanager
async def server_of(
    folder: Path, *llms: str, agents: tuple[object, ...] = (), **settings: Any
) -> AsyncGenerator[Server]:
    """A server whose workflow asks `main`; the providers were looked at already."""
    text = "".join(llms)
    file = folder / "w.yml"
    file.write_text(f"llms:{text}workflow: {{_type: chat_completion, llm_name: main}}\n")
    async with serving(*agents, config_file=str(file), **settings) as server:
        await settle()
        yield server


@pytest.fixture
async def provider() -> AsyncGenerator[LoopbackProvider]:
    async with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
async def spare() -> AsyncGenerator[LoopbackProvider]:
    async with LoopbackProvider() as provider:
        yield provider


def asked(provider: LoopbackProvider) -> int:
    return sum(each.path.endswith("/chat/completions") for each in provider.requests)


def texts(entries: list[dict[str, Any]], type: str = "output.chunk") -> str:
    return "".join(each["text"] for each in entries if each["type"] == type)


# --- ending early -------------------------------------------------------------------------------


async def test_when_nobody_waits_for_a_light_run_the_provider_is_hung_up_on(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        provider.say("It will be a long day.")
        provider.hold(after=4)
        exchange = server.begin("how long")
        await until(lambda: asked(provider) == 1)
        exchange.leave()
        await provider.left()
        listed = (await server.client.get("/api/runs")).json()["runs"]
        assert [each["status"] for each in listed] == ["interrupted"]


async def test_a_durable_run_goes_on_when_nobody_waits_for_it(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        provider.say("It will be a long day.")
        gate = provider.hold(after=4)
        exchange = server.begin("how long", mode="stream")
        await exchange.until(lambda exchange: b"will" in exchange.body)
        exchange.leave()
        gate.set()
        run = await server.ended(exchange.headers["x-run-id"])
        assert run["output"] == "It will be a long day."


async def test_a_run_that_takes_too_long_hangs_up_at_its_provider(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        provider.say("It will be a long day.")
        provider.hold(after=4)
        run = (await server.run("how long", deadline_seconds=0.2)).json()
        assert (run["status"], run["reason"]) == ("failure", "deadline")
        await provider.left()


# --- failing in the middle ----------------------------------------------------------------------


async def test_a_reply_that_is_cut_off_is_asked_for_again_and_whole(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        provider.say("It is a")
        provider.say("It is four.")
        provider.cut(after=3)
        exchange = server.begin("what", mode="stream")
        await pass_time_until(server.clock, lambda: exchange.is_complete)
        run = await server.show(exchange.headers["x-run-id"])
        assert (run["status"], run["output"]) == ("success", "It is four.")
        types = [entry["type"] for entry in exchange.entries]
        assert types.count("step.restarted") == 1
        assert texts(exchange.entries) == "It is It is four."
        after = types.index("step.restarted")
        assert texts(exchange.entries[after:]) == "It is four.", "what came before is void"


async def test_a_spare_model_says_it_all_again_when_the_first_was_cut_off(
    folder: Path, provider: LoopbackProvider, spare: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider, "spare"), llm("spare", spare)) as server:
        await provider.received()
        await spare.received()
        for _ in range(3):
            provider.say("I know that it")
            provider.cut(after=3)
        spare.say("It is four.")
        exchange = server.begin("what", mode="stream")
        await pass_time_until(server.clock, lambda: exchange.is_complete)
        run = await server.show(exchange.headers["x-run-id"])
        assert (run["status"], run["output"]) == ("success", "It is four.")
        assert (asked(provider), asked(spare)) == (3, 1)
        assert run["usage"]["output_tokens"] == 3
        assert run["cost_usd"] == run["usage"]["input_tokens"] + 3, "who was cut off told no usage"


async def test_a_run_whose_model_is_cut_off_for_good_has_no_answer(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        for _ in range(3):
            provider.say("It is four, I believe.")
            provider.cut(after=3)
        exchange = server.begin("what")
        await pass_time_until(server.clock, lambda: exchange.is_complete)
        run = exchange.json()
        assert (run["status"], run["output"]) == ("failure", None)
        assert run["error"]["error"] == "ModelCutOff"
        assert asked(provider) == 3


# --- large --------------------------------------------------------------------------------------


@agent("twice")
async def twice(ctx: Context, text: str):
    reply = await ctx.chat(text, model="main")
    answer = await ctx.ask("Go on?")
    again = await ctx.chat([reply.message, {"role": "user", "content": "Count."}], model="main")
    return {"answer": answer, "first": len(reply.text), "again": again.text}


async def test_a_reply_that_is_larger_than_an_event_is_there_after_a_wait(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider), agents=(twice,)) as server:
        await provider.received()
        provider.say_much(600, size=1000)
        run = (await server.run("much", agent="twice", mode="background")).json()["id"]
        await until_waiting(server, run)
        (question,) = (await server.show(run))["questions"]
        provider.say("Six hundred.")
        await server.client.post(f"/api/runs/{run}/answers/{question['id']}", {"answer": "yes"})
        shown = await server.ended(run)
        assert shown["status"] == "success", shown["error"]
        assert shown["output"] == {"answer": "yes", "first": 600_000, "again": "Six hundred."}
        assert asked(provider) == 2
        sent = provider.requests[-1].messages
        assert len(str(sent[0]["content"])) == 600_000
        finished = [e for e in await server.entries(run) if e["type"] == "step.finished"]
        stored = finished[0]["stored"]
        value = await server.client.get(f"/api/runs/{run}/objects/{stored['object']}")
        assert len(value.json()["text"]) == 600_000


async def until_waiting(server: Server, run: str) -> None:
    shown = await server.show(run)
    while shown["status"] != "waiting":
        assert shown["finished_at"] is None, shown
        await settle()
        shown = await server.show(run)


async def test_a_flood_of_pieces_reaches_a_follower_whole(
    folder: Path, provider: LoopbackProvider
) -> None:
    async with server_of(folder, llm("main", provider)) as server:
        await provider.received()
        provider.say_much(5_000, size=8)
        exchange = await server.run("much", mode="stream")
        entries = exchange.entries
        assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
        assert len(texts(entries)) == 40_000
        run = await server.show(exchange.headers["x-run-id"])
        assert run["output"] == texts(entries)


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_tokens": 3}, "token_budget"), ({"max_cost_usd": 3}, "cost_budget")],
)
async def test_the_call_that_uses_up_the_budget_is_the_last(
    folder: Path, provider: LoopbackProvider, limits: dict[str, int], reason: str
) -> None:
    @agent("many")
    async def many(ctx: Context, text: str):
        for number in range(10):
            await ctx.chat(f"{text} {number}", model="main")
        return "done"

    async with server_of(folder, llm("main", provider), agents=(many,)) as server:
        await provider.received()
        run = (await server.run("count", agent="many", **limits)).json()
        assert (run["status"], run["reason"]) == ("failure", reason)
        assert asked(provider) == 1
        assert run["usage"]["input_tokens"] + run["usage"]["output_tokens"] == 4
        assert run["cost_usd"] == 4.0


async def test_offline_nobody_outside_is_asked(folder: Path, provider: LoopbackProvider) -> None:
    outside = _LLM.format(name="main", url="http://models.example.org/v1", fallbacks="")
    near = llm("near", provider)
    async with server_of(folder, outside, near, runtime_profile="offline") as server:
        await provider.received()
        await until(lambda: bool(server.app.readiness().degraded))
        (problem,) = (await server.client.get("/ready")).json()["degraded"]
        run = (await server.run("hello")).json()
        assert run["error"]["message"] == problem
        assert "The runtime profile is offline" in problem
        assert "models.example.org" in problem
