"""Sealed thoughts: they stand in the reply, and go back to the kind of provider they are from."""

import json
from typing import Protocol

import pytest

from forebay import Context, act, agent, tool
from forebay.authoring import tool_in
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.codec import decode_json
from forebay.core.events import RunSucceeded, StepFinished
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ChatRequest, Reply
from forebay.ports.models import Model
from forebay.runs.plain import plain, read_as
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types, reply_of
from tests.support.attempts import InMemory, Log

SIGNATURE = "c2VhbGVk"


class Saying(Protocol):
    """What a provider writes that seals a thought."""

    def __call__(self, signature: str = SIGNATURE) -> bytes: ...


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@agent("adds")
async def adds(ctx: Context, text: str) -> None:
    await act(ctx, text, tools=[add])


def frames(*events: Json) -> bytes:
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


def as_anthropic(signature: str = SIGNATURE) -> bytes:
    """A sealed thought, and a call."""
    thought: Json = {"type": "thinking", "thinking": "Hm", "signature": signature}
    call: Json = {"type": "tool_use", "id": "x", "name": "add", "input": {"a": 2, "b": 3}}
    return frames(
        {"type": "message", "content": [thought, call], "stop_reason": "tool_use"},
    )


def as_google(signature: str = SIGNATURE) -> bytes:
    """A call with a seal, and one without."""
    extra: Json = {"google": {"thought_signature": signature}}
    function: Json = {"name": "add", "arguments": '{"a": 2, "b": 3}'}
    calls: list[Json] = [
        {"index": 0, "id": "x", "function": function, "extra_content": extra},
        {"index": 1, "id": "y", "function": function},
    ]
    choice: Json = {"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    return frames({"choices": [choice]}) + b"data: [DONE]\n\n"


def model_of(types: Types, provider: LoopbackProvider, kind: str) -> Model:
    """A model that has heard nothing yet, as a process that has just begun makes it."""
    where = provider.address if kind == "anthropic" else provider.url
    return types.model(kind, model_name="m", base_url=where, api_key="k-12345678")


def seals_in(body: Json) -> list[str]:
    """The seals that a provider was sent, with what they are in."""
    match body:
        case {"type": "thinking", "signature": str() as seal}:
            return [f"thinking {seal}"]
        case {"id": str() as call, "extra_content": {"google": {"thought_signature": seal}}}:
            return [f"{call} {seal}"]
        case dict():
            return [seal for each in body.values() for seal in seals_in(each)]
        case list():
            return [seal for each in body for seal in seals_in(each)]
        case _:
            return []


KINDS = pytest.mark.parametrize(
    ("kind", "said", "seal"),
    [
        ("anthropic", as_anthropic, f"thinking {SIGNATURE}"),
        ("openai_compatible", as_google, f"x {SIGNATURE}"),
    ],
)


@KINDS
async def test_what_was_sealed_is_known_to_a_process_that_reads_the_reply_from_the_log(
    types: Types, provider: LoopbackProvider, kind: str, said: Saying, seal: str
) -> None:
    provider.write(said())
    stored = plain("m", await reply_of(model_of(types, provider, kind)))
    read = read_as(Reply, stored)
    assert isinstance(read, Reply)

    await reply_of(
        model_of(types, provider, kind), ChatRequest((ChatMessage("user", "Add."), read.message))
    )

    assert seals_in(provider.requests[1].body) == [seal]


@KINDS
async def test_a_run_that_is_resumed_sends_back_what_was_sealed(
    types: Types, provider: LoopbackProvider, kind: str, said: Saying, seal: str
) -> None:
    async def attempt(before: Log | None = None) -> Log:
        adding = tool_in(add)
        assert adding is not None
        memory = InMemory(
            models=ModelCatalogue({"m": model_of(types, provider, kind)}),
            tools=ToolCatalogue({"add": adding}),
        )
        return await memory.attempt(adds, before, value="What is 2 + 3?")

    provider.write(said())
    whole = await attempt()
    assert isinstance(whole.ending, RunSucceeded)
    asked = [decode_json(json.dumps(each.body)) for each in provider.requests]
    replied = next(
        n for n, event in enumerate(whole.events, 1)
        if isinstance(event, StepFinished) and "sealed" in json.dumps(event.result)
    )  # fmt: skip

    resumed = await attempt(whole.cut(replied))

    assert isinstance(resumed.ending, RunSucceeded)
    assert [each.body for each in provider.requests[2:]] == asked[1:]
    assert seals_in(provider.requests[2].body) == [seal]


@pytest.mark.parametrize(
    ("said", "kind", "other"),
    [
        (as_anthropic, "anthropic", "openai_compatible"),
        (as_google, "openai_compatible", "anthropic"),
        (as_google, "openai_compatible", "openai"),
    ],
)
async def test_another_kind_of_provider_does_not_get_it(
    types: Types, provider: LoopbackProvider, said: Saying, kind: str, other: str
) -> None:
    provider.write(said())
    reply = await reply_of(model_of(types, provider, kind))
    assert reply.sealed

    await reply_of(model_of(types, provider, other), ChatRequest((reply.message,)))

    sent = json.dumps(provider.requests[1].body)
    assert SIGNATURE not in sent
    assert '"add"' in sent


@pytest.mark.parametrize(
    ("kind", "said"), [("anthropic", as_anthropic), ("openai_compatible", as_google)]
)
async def test_what_is_too_large_is_dropped(
    types: Types, provider: LoopbackProvider, kind: str, said: Saying
) -> None:
    model = model_of(types, provider, kind)
    provider.write(said("x" * 600_000))
    assert (await reply_of(model)).sealed
    provider.write(said("x" * 1_100_000))
    reply = await reply_of(model)

    assert reply.sealed is None
    assert reply.tool_calls[0].name == "add"


async def test_a_reply_without_calls_needs_nothing_back(
    types: Types, provider: LoopbackProvider
) -> None:
    provider.say("Five.", thoughts=["Hm"])

    reply = await reply_of(model_of(types, provider, "anthropic"))

    assert (reply.thinking, reply.sealed) == ("Hm", None)


@pytest.mark.parametrize("sealed", ["x", [], {}, {"kind": "anthropic"}, {"kind": 1, "thoughts": 2}])
@pytest.mark.parametrize("kind", ["anthropic", "openai_compatible"])
async def test_what_is_no_seal_is_ignored(
    types: Types, provider: LoopbackProvider, kind: str, sealed: Json
) -> None:
    provider.write(as_anthropic() if kind == "anthropic" else as_google())
    model = model_of(types, provider, kind)
    calls = (await reply_of(model)).tool_calls

    await reply_of(model, ChatRequest((ChatMessage("assistant", "", calls, sealed=sealed),)))

    assert seals_in(provider.requests[1].body) == []
