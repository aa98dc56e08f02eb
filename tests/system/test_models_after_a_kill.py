"""Runs that ask models and wait for people, when processes die."""

import asyncio
import os
import signal

import httpx2
import pytest

from forebay.client import AsyncClient, Conflict
from forebay.testing.provider import LoopbackProvider
from tests.cli.processes import PATIENCE_SECONDS, Place

from .asking import (
    asked,
    asking,
    ended,
    entries,
    of_type,
    received,
    serve,
    serving,
    until,
    until_run,
)

pytestmark = pytest.mark.system

_SLOW = """
from pathlib import Path
from forebay import tool
@tool()
def wait(seconds: int) -> str:
    '''Wait.'''
    with Path("calls.txt").open("a") as calls:
        calls.write("called\\n")
    while not Path("go.txt").exists():
        __import__("time").sleep(0.01)
    return "waited"
"""


async def test_a_model_call_that_is_answered_is_not_made_again_after_a_kill(
    place: Place, provider: LoopbackProvider
) -> None:
    place.write("w.yml", asking(provider, "sums, wait"))
    place.write("agents.py", _SLOW)
    provider.call_tools(("wait", {"seconds": 1}), ("sums", {"expression": "2 + 2"}))
    provider.say("It is four.")
    server = await serve(place, "agents.py")
    async with AsyncClient(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        run = await client.submit("what is it")
        await until((place.folder / "calls.txt").exists)
        os.kill(server.workers[0], signal.SIGKILL)
        place.write("go.txt", "")
        run = await client.wait(run)
        assert (run.status, run.output, run.attempt) == ("success", "It is four.", 2)
        assert asked(provider) == 2, "the first call was not made again"
        found = await entries(client, run)
        assert len(of_type(found, "model.finished")) == 2
        assert run.usage is not None
        assert run.usage.output_tokens == sum(
            each["usage"]["output_tokens"] for each in of_type(found, "model.finished")
        )
    assert len((place.folder / "calls.txt").read_text().splitlines()) == 2
    await ended(server)


async def test_an_answer_that_was_cut_short_by_a_kill_is_whole(
    place: Place, provider: LoopbackProvider
) -> None:
    place.write("w.yml", asking(provider))
    provider.call_tool("sums", {"expression": "2 + 2"})
    first = provider.hold()
    server = await serve(place)
    async with AsyncClient(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        run = await client.submit("what is it")
        await received(provider, 1)
        provider.say("It is four, I believe.")
        provider.hold(after=4)
        first.set()
        await received(provider, 2)
        await until_run(client, run, lambda run: "four" in str(run.output))
        provider.say("It is four, I know.")
        os.kill(server.workers[0], signal.SIGKILL)
        run = await client.wait(run)
        assert (run.status, run.output) == ("success", "It is four, I know.")
        assert asked(provider) == 3
    await ended(server)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_follower_gets_the_whole_answer_whatever_ends_the_server(
    place: Place, provider: LoopbackProvider, number: signal.Signals
) -> None:
    place.write("w.yml", asking(provider))
    server = await serve(place)
    await until(lambda: bool(provider.requests))  # it was looked at
    provider.say("It is four, I believe.")
    provider.hold(after=4)
    async with AsyncClient(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        run = await begun(server.url, "what is it")
        following = asyncio.create_task(entries(client, run))
        await until_run(client, run, lambda run: "four" in str(run.output))
        provider.say("It is four, I know.")
        for pid in [*server.workers, *server.api] if number == signal.SIGKILL else []:
            os.kill(pid, number)
        server.process.send(number)
        server.process.ended()
        again = await serve(place, port=server.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            found = await following
        shown = await client.get(run)
        assert (shown.status, shown.output) == ("success", "It is four, I know.")
        assert found == await entries(client, run)
        assert asked(provider) == 2
    await ended(again)


async def begun(url: str, text: str) -> str:
    """A run whose events somebody has begun to read, and reads no more."""
    async with (
        httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as http,
        http.stream("POST", f"{url}/api/runs", json={"input": text, "mode": "stream"}) as answer,
    ):
        return answer.headers["x-run-id"]


async def test_who_has_to_approve_may_answer_after_everything_was_started_again(
    place: Place, provider: LoopbackProvider
) -> None:
    place.write("w.yml", asking(provider, approval=True))
    provider.call_tool("sums", {"expression": "2 + 2"})
    provider.say("It is four.")
    server = await serve(place)
    async with AsyncClient(server.url) as client:
        run = await client.submit("what is it")
        run = await until_run(client, run, lambda run: run.status == "waiting")
        (question,) = run.questions
        assert question.text == 'May the tool sums be called with {"expression":"2 + 2"}?'
    for pid in (*server.workers, *server.api):
        os.kill(pid, signal.SIGKILL)
    server.process.kill()
    async with serving(place) as client:
        assert (await client.get(run)).questions == (question,)
        await client.answer(run, question, "approve")
        run = await client.wait(run)
        assert (run.status, run.output) == ("success", "It is four.")
        assert asked(provider) == 2
        with pytest.raises(Conflict):
            await client.answer(run, question, "refuse")


async def test_a_refusal_is_told_to_the_model(place: Place, provider: LoopbackProvider) -> None:
    place.write("w.yml", asking(provider, approval=True))
    provider.call_tool("sums", {"expression": "2 + 2"})
    provider.say("Then I do not know.")
    async with serving(place) as client:
        run = await client.submit("what is it")
        run = await until_run(client, run, lambda run: run.status == "waiting")
        await client.answer(run, run.questions[0], "refuse")
        run = await client.wait(run)
        assert run.output == "Then I do not know."
        assert "was refused" in str(provider.requests[-1].messages[-1]["content"])
        assert of_type(await entries(client, run), "tool.finished") == []
