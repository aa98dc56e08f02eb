"""echo: the output is the input, and directives make it do more."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.builtins.agents.echo import Script, make_echo
from forebay.core.errors import InvalidInput
from forebay.testing.clock import ManualClock
from tests.support.attempts import InMemory
from tests.support.server import serving
from tests.support.waiting import settle


def said(text: str) -> list[str]:
    return list(Script.read(text).chunks())


@given(st.text().filter(lambda text: "=" not in text))
def test_the_output_is_the_input_with_its_spaces(text: str):
    assert "".join(said(text)) == text


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("", []),
        ("one", ["one"]),
        ("one  two\n three ", ["one", "  two", "\n three", " "]),
        ("  lead", ["  lead"]),
        ("a=b c=1", ["a=b", " c=1"]),
        ("chunks=3", ["tok0 ", "tok1 ", "tok2 "]),
        ("chunks=5 a b", ["a", " b", "a", " b", "a"]),
        ("a chunks=1 b", ["a"]),
        ("chunks=0 a", []),
        ("chunks=2 bytes=4", ["tok0", "tok1"]),
        ("bytes=5 ab", ["ababa"]),
        ("bytes=0 ab", [""]),
        ("bytes=3 é", ["???"]),
        ("delay=5 hi", ["hi"]),
        ("sleep=5 hi there", ["hi", " there"]),
        ("steps=2 hi", ["hi"]),
        ("chunks=x", ["chunks=x"]),
        ("chunks=-1", ["chunks=-1"]),
        ("fail=", ["fail="]),
        ("sleep=1x", ["sleep=1x"]),
    ],
)
def test_what_is_said(text: str, chunks: list[str]):
    assert said(text) == chunks


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("a b", []),
        ("steps=0 a b", []),
        ("steps=2 a b c", [2, 1]),
        ("steps=3 chunks=3", [1, 1, 1]),
        ("steps=3 a", [1, 0, 0]),
    ],
)
def test_chunks_are_spread_evenly_over_the_steps(text: str, sizes: list[int]):
    assert Script.read(text).steps == sizes


async def test_what_is_said_in_steps_is_the_same():
    async with serving() as server:
        run = (await server.run("steps=2 one two three")).json()
        assert run["output"] == "one two three"
        told = [entry["type"] for entry in await server.entries(run["id"])]
        assert told == [
            "run.submitted", "run.started",
            "step.started", "output.chunk", "output.chunk", "step.finished",
            "step.started", "output.chunk", "step.finished",
            "run.succeeded",
        ]  # fmt: skip


async def test_a_resumed_echo_goes_on_after_the_steps_it_has_done():
    memory = InMemory()
    echo = make_echo(memory.clock)
    log = await memory.attempt(echo, value="steps=3 chunks=7 fail=x")
    for length in range(2, len(log.said)):
        resumed = await memory.attempt(echo, log.cut(length), value="steps=3 chunks=7 fail=x")
        assert resumed.unvoided() == log.unvoided()
    memory.threads.shutdown()


@pytest.mark.parametrize(
    "text", ["steps=10001", "chunks=1000001", "bytes=65537", "delay=3600001", "sleep=" + "9" * 18]
)
def test_a_number_that_is_out_of_bounds_is_refused(text: str):
    with pytest.raises(InvalidInput, match="is more than"):
        Script.read(text)


async def test_a_number_of_absurd_length_fails_the_run_and_nothing_else():
    async with serving() as server:
        got = await server.run("chunks=" + "9" * 5000)
        assert got.status in (200, 422)
        assert (await server.run("fine")).json()["output"] == "fine"


async def test_failing_comes_after_everything_was_said():
    async with serving() as server:
        run = (await server.run("hello fail=on_purpose world")).json()
    assert (run["status"], run["reason"], run["output"]) == (
        "failure",
        "agent_error",
        "hello world",
    )
    assert run["error"] == {
        "reason": "agent_error",
        "message": "on_purpose",
        "error": "EchoError",
        "traceback": None,
    }


async def test_it_sleeps_once_and_waits_before_each_chunk():
    clock = ManualClock()
    async with serving(clock=clock) as server:
        stream = server.begin("sleep=1000 delay=100 chunks=3 a", mode="stream")
        await stream.until(lambda got: len(got.events) == 2)
        heard: list[int] = []
        for milliseconds in (999, 1, 99, 1, 100, 100):
            clock.advance(milliseconds / 1000)
            await settle()
            heard.append(sum(entry["type"] == "output.chunk" for entry in stream.entries))
        assert heard == [0, 0, 0, 1, 2, 3]
        await stream.until_over()


async def test_the_same_words_are_said_in_every_run():
    clock = ManualClock()
    echo = make_echo(clock)
    assert (echo.name, echo.style) == ("echo", "async generator")
    async with serving() as server:
        answers = await asyncio.gather(*(server.run("chunks=7 a b c") for _ in range(5)))
        assert {answer.json()["output"] for answer in answers} == {"a b ca b ca"}
