"""The provider on the loopback does what a test tells it to."""

import asyncio

import pytest

from forebay.core.codec import decode_json, encode_json
from forebay.core.errors import Unreachable
from forebay.core.json import Json
from forebay.ports.http import HttpAnswer, HttpRequest
from forebay.testing.provider import LoopbackProvider
from forebay.testing.provider_wire import fields, members
from tests.models.bench import Bench, QuickClock

QUESTION: Json = [{"role": "user", "content": "hello there"}]


async def call(bench: Bench, url: str, body: Json = None, **headers: str) -> HttpAnswer:
    """What it answers."""
    return await bench.http.send(
        HttpRequest(
            url=url,
            trust="operator",
            method="GET" if body is None else "POST",
            headers=headers,
            body=b"" if body is None else encode_json(body),
        )
    )


async def chat(bench: Bench, provider: LoopbackProvider, **more: Json) -> Json:
    body: Json = {"model": "m", "messages": QUESTION, **more}
    answer = await call(bench, f"{provider.url}/chat/completions", body)
    assert answer.status == 200, answer.body
    return decode_json(answer.body)


def said(body: Json) -> Json:
    choice = fields(members(fields(body)["choices"])[0])
    return fields(choice["message"])["content"]


async def test_it_repeats_what_it_was_told(bench: Bench, provider: LoopbackProvider) -> None:
    assert said(await chat(bench, provider)) == "hello there"


async def test_it_says_what_was_queued_and_then_repeats(
    bench: Bench, provider: LoopbackProvider
) -> None:
    provider.say("one")
    provider.say("two")

    assert [said(await chat(bench, provider)) for _ in range(3)] == ["one", "two", "hello there"]


async def test_it_remembers_what_it_was_asked(bench: Bench, provider: LoopbackProvider) -> None:
    await call(bench, f"{provider.url}/models?limit=3", authorization="Bearer k")
    await chat(bench, provider, temperature=0.5)

    listing, asked = await provider.received(2)
    assert (listing.method, listing.path, listing.query) == ("GET", "/v1/models", "limit=3")
    assert listing.headers["authorization"] == "Bearer k"
    assert asked.messages == QUESTION
    assert asked.body["temperature"] == 0.5


async def test_a_fault_is_for_one_call(bench: Bench, provider: LoopbackProvider) -> None:
    provider.limit(times=2)
    provider.say("still queued")

    statuses = [
        (await call(bench, f"{provider.url}/chat/completions", {"messages": QUESTION})).status
        for _ in range(2)
    ]
    assert statuses == [429, 429]
    assert said(await chat(bench, provider)) == "still queued"


async def test_it_has_only_the_models_it_has(bench: Bench, provider: LoopbackProvider) -> None:
    provider.models = ["a"]

    answer = await call(bench, f"{provider.url}/models")
    refused = await call(bench, f"{provider.url}/chat/completions", {"model": "b"})

    assert b'"id":"a"' in answer.body
    assert (refused.status, b"model_not_found" in refused.body) == (404, True)


async def test_it_may_want_a_key(bench: Bench, provider: LoopbackProvider) -> None:
    provider.key = "k"
    url = f"{provider.url}/models"

    assert (await call(bench, url)).status == 401
    for headers in ({"authorization": "Bearer k"}, {"api-key": "k"}, {"x-api-key": "k"}):
        assert (await call(bench, url, None, **headers)).status == 200


async def test_there_is_nothing_elsewhere(bench: Bench, provider: LoopbackProvider) -> None:
    assert (await call(bench, f"{provider.address}/elsewhere")).status == 404


async def test_the_same_text_always_has_the_same_vector(
    bench: Bench, provider: LoopbackProvider
) -> None:
    body: Json = {"model": "e", "input": ["a", "b", "a"]}
    answer = await call(bench, f"{provider.url}/embeddings", body)
    data = members(fields(decode_json(answer.body))["data"])

    first, second, third = (fields(each)["embedding"] for each in data)
    assert first == third != second
    assert len(members(first)) == provider.dimensions


async def test_very_many_pieces_come_all(bench: Bench, provider: LoopbackProvider) -> None:
    provider.say_much(1000, size=5)
    body: Json = {
        "messages": QUESTION,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = await call(bench, f"{provider.url}/chat/completions", body)

    assert answer.body.count(b'"content":"xxxxx"') == 1000
    assert b'"completion_tokens":1000' in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_cut_is_felt(bench: Bench, provider: LoopbackProvider) -> None:
    provider.cut(after=1)

    with pytest.raises(Unreachable):
        await call(
            bench, f"{provider.url}/chat/completions", {"messages": QUESTION, "stream": True}
        )


@pytest.mark.parametrize(
    ("switch", "pauses"), [("delay", 1), ("header_pause", 4), ("piece_pause", 5)]
)
async def test_it_may_take_its_time(bench: Bench, switch: str, pauses: int) -> None:
    clock = QuickClock()
    async with LoopbackProvider(clock=clock) as provider:
        setattr(provider, switch, 5.0)
        body: Json = {"messages": QUESTION, "stream": True}
        answer = await call(bench, f"{provider.url}/chat/completions", body)

    assert b"hello" in answer.body
    assert clock.slept == [5.0] * pauses


async def test_who_leaves_a_stream_that_is_held_is_noticed(
    bench: Bench, provider: LoopbackProvider
) -> None:
    provider.hold(after=1)
    asked = asyncio.create_task(
        call(bench, f"{provider.url}/chat/completions", {"messages": QUESTION, "stream": True})
    )
    await provider.received()
    asked.cancel()

    await provider.left()
