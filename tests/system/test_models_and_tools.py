"""Models and tools of a workflow file in real processes, as their users have them."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from forebay.client import AsyncClient, RunOptions
from forebay.testing.provider import LoopbackProvider
from tests.cli.processes import PATIENCE_SECONDS, Place
from tests.contracts.cluster import PostgresCluster

from .asking import (
    asked,
    asking,
    ended,
    entries,
    of_type,
    serve,
    serving,
    until,
    until_run,
)

pytestmark = pytest.mark.system

_SCRIPTED = """
llms:
  main:
    _type: scripted
    repeat: true
    script:
      - {say: "Let me see.", call: {sums: {expression: "2 + 2"}}}
      - {say: "It is {tool}.", usage: {input_tokens: 20, output_tokens: 3}}
    price: {input: 1, output: 2}
functions:
  sums: {_type: calculator}
workflow: {_type: tool_calling_agent, llm_name: main, tool_names: [sums]}
"""

# --- answers ------------------------------------------------------------------------------------


async def streamed(client: AsyncClient, url: str, text: str) -> tuple[str, list[dict[str, Any]]]:
    """A run whose events come with the answer: its id, and what came."""
    async with (
        httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as http,
        http.stream("POST", f"{url}/api/runs", json={"input": text, "mode": "stream"}) as answer,
    ):
        assert answer.status_code == 200
        body = (await answer.aread()).decode()
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    run = answer.headers["x-run-id"]
    found = list(map(json.loads, lines))
    assert found == await entries(client, run)
    return run, found


async def test_a_scripted_workflow_answers_in_every_mode(place: Place) -> None:
    place.write("w.yml", _SCRIPTED)
    server = await serve(place)
    async with AsyncClient(server.url) as client:
        run, events = await streamed(client, server.url, "what is it")
        runs = [await client.run("what is it"), await client.get(run),
                await client.wait(await client.submit("what is it"))]  # fmt: skip
        for each in runs:
            assert (each.status, each.output) == ("success", "Let me see.\n\nIt is 4.")
            assert each.usage is not None
            assert each.usage.estimated, "of its first turn the script tells no usage"
            assert each.usage.output_tokens == 3 + 3
            assert each.cost_usd == pytest.approx((each.usage.input_tokens + 2 * 6) / 1e6)
        (called,) = of_type(events, "tool.finished")
        assert called["output"] == 4
    await ended(server)


async def test_a_provider_is_asked_in_every_mode(place: Place, provider: LoopbackProvider) -> None:
    place.write("w.yml", asking(provider))
    server = await serve(place)
    async with AsyncClient(server.url) as client:
        for _ in range(3):
            provider.call_tool("sums", {"expression": "2 + 2"})
            provider.say("It is four.")
        run, events = await streamed(client, server.url, "what is it")
        runs = [await client.get(run), await client.run("what is it"),
                await client.wait(await client.submit("what is it"))]  # fmt: skip
        for each in runs:
            assert (each.status, each.output) == ("success", "It is four.")
            assert each.usage is not None
            assert not each.usage.estimated
            tokens = each.usage
            cost = (tokens.input_tokens * 1000 + tokens.output_tokens * 2000) / 1e6
            assert each.cost_usd == pytest.approx(cost)
        assert [each["text"] for each in of_type(events, "output.chunk")] == ["It ", "is ", "four."]
        assert {each["provider"] for each in of_type(events, "model.started")} == {
            f"openai at {provider.url}"
        }
    assert asked(provider) == 6
    sent = [each for each in provider.requests if each.path.endswith("/chat/completions")]
    assert {each.headers["authorization"] for each in sent} == {"Bearer a-key-of-the-test"}
    assert sent[1].messages[-1]["content"] == "4"
    await ended(server)


async def test_the_command_run_prints_the_answer(place: Place, provider: LoopbackProvider) -> None:
    place.write("w.yml", asking(provider))
    provider.call_tool("sums", {"expression": "2 + 2"})
    provider.say("It is four.")
    done = await asyncio.to_thread(place.run, "run", "--config_file", "w.yml", "--input", "what")
    assert (done.code, done.out, done.err) == (0, "It is four.\n", "")
    provider.refuse(401, "Not with a-key-of-the-test.", times=2)  # it is looked at, too
    done = await asyncio.to_thread(place.run, "run", "--config_file", "w.yml", "--input", "what")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"forebay: the run did not succeed: main (m of openai at {provider.url}) refuses the key: "
        "Not with [key]. Check the key: set OPENAI_API_KEY or api_key in llms.main. (agent_error)\n"
    )


# --- ending early -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["0", "1"])
async def test_a_cancelled_run_hangs_up_at_its_provider(
    place: Place, provider: LoopbackProvider, workers: str
) -> None:
    place.write("w.yml", asking(provider))
    provider.say("It will be a long day.")
    provider.hold(after=4)
    async with serving(place, "--run-workers", workers) as client:
        run = await client.submit("how long")
        await until_run(client, run, lambda run: "will" in str(run.output))
        run = await client.cancel(run)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await provider.left()
        run = await client.wait(run)
        assert (run.status, run.reason) == ("interrupted", "cancelled")
        assert str(run.output).startswith("It will")
        assert asked(provider) == 1


_LIMITS: list[tuple[RunOptions, str]] = [
    ({"max_tokens": 6}, "token_budget"),
    ({"max_cost_usd": 0.01}, "cost_budget"),
    ({"max_steps": 4}, "step_budget"),
]


async def test_a_run_ends_when_its_budget_is_used_up(
    place: Place, provider: LoopbackProvider
) -> None:
    place.write("w.yml", asking(provider))
    async with serving(place) as client:
        for limits, reason in _LIMITS:
            before = asked(provider)
            for number in range(9):
                provider.call_tool("sums", {"expression": f"{number} + 2"})
            run = await client.wait(await client.submit("a b c", **limits))
            assert (run.status, run.reason) == ("failure", reason), run.error
            assert 1 < asked(provider) - before < 9
            provider._replies.clear()  # pyright: ignore[reportPrivateUsage]


async def test_another_provider_is_asked_when_one_fails(
    place: Place, provider: LoopbackProvider
) -> None:
    async with LoopbackProvider() as spare:
        more = f"""
  spare: {{_type: openai_compatible, base_url: "{spare.url}", model_name: s, price: {{input: 5}}}}
functions:"""
        text = asking(provider).replace(
            "    max_retries", "    fallbacks: [spare]\n    max_retries"
        )
        place.write("w.yml", text.replace("functions:", more.lstrip("\n"), 1))
        async with serving(place) as client:
            await until(lambda: bool(provider.requests) and bool(spare.requests))  # a look each
            provider.refuse(503, "Not now.")
            spare.say("It is four.")
            run = await client.run("what is it")
            assert (run.status, run.output) == ("success", "It is four.")
            assert run.cost_usd == pytest.approx(5 * 3 / 1e6), "the first has charged nothing"
            found = await entries(client, run)
            assert [each["model"] for each in of_type(found, "model.started")] == ["main", "spare"]
            assert [each.get("error") for each in of_type(found, "model.finished")][1] is None

            provider.refuse(401, "No.")
            spare.refuse(404, "No such model.")
            run = await client.run("what is it")
            assert run.error is not None
            assert run.error.error == "KeyRefused"
            assert "main and its fallbacks have failed. (1) main" in run.error.message
            assert "(2) spare" in run.error.message
    assert asked(provider) == 2


async def test_approvals_of_calls_at_the_same_time_are_given_one_by_one(
    place: Place, provider: LoopbackProvider
) -> None:
    place.write("w.yml", asking(provider, approval=True))
    provider.call_tools(("sums", {"expression": "2 + 2"}), ("sums", {"expression": "3 + 3"}))
    provider.say("It is four, and six.")
    async with serving(place) as client:
        run = await client.submit("what is it")
        run = await until_run(client, run, lambda run: run.status == "waiting")
        assert len(run.questions) == 2
        for question in reversed(run.questions):
            await client.answer(run, question, "approve")
        run = await client.wait(run)
        assert run.output == "It is four, and six."
        found = of_type(await entries(client, run), "tool.finished")
        assert sorted(each["output"] for each in found) == [4, 6]
    told = [each["content"] for each in provider.requests[-1].messages[-2:]]
    assert told == ["4", "6"], "in the order of the calls"
    assert asked(provider) == 2


async def test_a_url_is_served_as_an_agent(place: Place, provider: LoopbackProvider) -> None:
    server = await asyncio.to_thread(place.serve, f"{provider.url}#Small/Model-1")
    async with AsyncClient(server.url) as client:
        run = await client.run("hello there")
        assert (run.agent, run.output) == ("small-model-1", "hello there")
        assert provider.requests[-1].body["model"] == "Small/Model-1"
    await ended(server)


# --- many processes -----------------------------------------------------------------------------


@pytest.mark.postgres
async def test_servers_on_postgres_share_runs_that_ask_models(
    place: Place, provider: LoopbackProvider, postgres: PostgresCluster
) -> None:
    name = postgres.create_database()
    url = postgres.url(name)
    place.write("w.yml", asking(provider))
    one = await serve(place, "--db", url, "--workers", "2", "--run-workers", "1")
    other = await serve(place, "--db", url, "--run-workers", "0")
    try:
        async with (
            AsyncClient(one.url, patience_seconds=PATIENCE_SECONDS) as client,
            AsyncClient(other.url, patience_seconds=PATIENCE_SECONDS) as elsewhere,
        ):
            runs = [await client.submit(f"say {number}") for number in range(6)]
            for number, run in enumerate(runs):
                run = await elsewhere.wait(run)
                assert (run.status, run.output, run.durable) == ("success", f"say {number}", True)
                assert await entries(client, run) == await entries(elsewhere, run)
            run = await elsewhere.run("hello", session="s")
            assert (await client.get(run)).output == "hello"
            assert asked(provider) == 7
        await ended(one)
        await ended(other)
    finally:
        postgres.drop_database(name)
