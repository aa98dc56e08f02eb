"""Chat completions: what is heard."""

import json
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from forebay.core.errors import ContentFiltered, MalformedReply
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import (
    ChatRequest,
    Reply,
    ToolCall,
    ToolSpec,
)
from forebay.ports.models import Model, Thought
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import asking, pieces_of, reply_of

ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def chunk(**delta: Json) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta}]})


def frame(value: Json) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def ended(finish: str = "stop") -> bytes:
    return frame({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})


DONE = b"data: [DONE]\n\n"


# --- streaming ----------------------------------------------------------------------------------


async def test_a_reply_comes_in_pieces(model: Model, provider: LoopbackProvider) -> None:
    provider.say("Two ", "pieces.")

    assert await pieces_of(model) == [
        "Two ",
        "pieces.",
        Reply("Two pieces.", usage=Usage(2, 2), model="fast"),
    ]


async def test_a_piece_is_handed_out_before_the_next_one_comes(
    model: Model, provider: LoopbackProvider
) -> None:
    gate = provider.hold(after=2)  # the beginning, and one piece
    provider.say("First, ", "second.")

    async with aclosing(model.chat(asking())) as pieces:
        assert await anext(pieces) == "First, "
        gate.set()
        assert await anext(pieces) == "second."


async def test_who_stops_listening_hangs_up(model: Model, provider: LoopbackProvider) -> None:
    provider.hold(after=2)
    provider.say("First, ", "second.")

    async with aclosing(model.chat(asking())) as pieces:
        await anext(pieces)

    await provider.left()


async def test_a_connection_is_used_again(model: Model, provider: LoopbackProvider) -> None:
    for _ in range(3):
        await reply_of(model)

    assert provider.connections == 1


async def test_lines_may_end_in_another_way(model: Model, provider: LoopbackProvider) -> None:
    provider.newline = b"\r\n"

    assert (await reply_of(model)).text == "hello there"


async def test_a_character_may_be_cut_in_two(model: Model, provider: LoopbackProvider) -> None:
    raw = chunk(content="größe") + ended() + DONE
    at = raw.index("ö".encode()) + 1
    provider.write(raw[:at], raw[at:])

    assert (await reply_of(model)).text == "größe"


async def test_comments_and_missing_spaces_do_not_matter(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write(b": waiting\n\n", chunk(content="a").replace(b"data: ", b"data:"), ended(), DONE)

    assert (await reply_of(model)).text == "a"


async def test_the_end_may_go_unsaid_after_a_reason(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write(chunk(content="a"), ended("length"))

    reply = await reply_of(model)

    assert (reply.text, reply.finish) == ("a", "length")


async def test_a_reason_may_be_missing_before_the_end(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write(chunk(content="a"), DONE)

    assert (await reply_of(model)).finish == "stop"


async def test_usage_comes_in_a_chunk_of_its_own(model: Model, provider: LoopbackProvider) -> None:
    used: Json = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    provider.write(chunk(content="a"), ended(), frame({"choices": [], "usage": used}), DONE)

    assert (await reply_of(model)).usage == Usage(7, 3)


async def test_usage_may_be_told_again_and_again(model: Model, provider: LoopbackProvider) -> None:
    first: Json = {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 7}}
    last: Json = {
        "choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7.0, "completion_tokens": 3.0},
    }
    provider.write(frame(first), frame(last), DONE)

    assert (await reply_of(model)).usage == Usage(7, 3)


async def test_usage_is_estimated_if_nobody_tells(model: Model, provider: LoopbackProvider) -> None:
    provider.tells_usage = False
    provider.say("word " * 40)

    usage = (await reply_of(model, asking("question " * 100))).usage

    assert usage is not None
    assert usage.estimated
    assert 150 < usage.input_tokens < 350
    assert 30 < usage.output_tokens < 80


async def test_an_estimate_learns_from_what_was_told(
    model: Model, provider: LoopbackProvider
) -> None:
    request = asking("question " * 100)  # of which the provider counts a word as a token
    provider.tells_usage = False
    first = (await reply_of(model, request)).usage
    provider.tells_usage = True
    for _ in range(20):
        await reply_of(model, request)
    provider.tells_usage = False
    last = (await reply_of(model, request)).usage

    assert first and last
    assert abs(last.input_tokens - 100) < abs(first.input_tokens - 100) / 4


async def test_usage_is_asked_for(model: Model, provider: LoopbackProvider) -> None:
    await reply_of(model)

    body = provider.requests[0].body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


# --- what is heard ------------------------------------------------------------------------------


async def test_a_tool_call_is_put_together(model: Model, provider: LoopbackProvider) -> None:
    provider.call_tools(("add", {"a": 1}), ("add", {"a": 2}), ids=["x", "y"], text="I add.")

    reply = await reply_of(model, asking(tools=(ADD,)))

    assert reply.text == "I add."
    assert reply.finish == "tool_calls"
    assert reply.tool_calls == (
        ToolCall("x", "add", '{"a":1}'),
        ToolCall("y", "add", '{"a":2}'),
    )


def delta_of(**call: Json) -> bytes:
    return chunk(tool_calls=[call])


async def calls_in(
    model: Model, provider: LoopbackProvider, *raw: bytes
) -> Sequence[tuple[str, str, str]]:
    provider.write(*raw, ended("tool_calls"), DONE)
    reply = await reply_of(model)
    assert reply.finish == "tool_calls"
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


async def test_parts_of_calls_may_be_mixed(model: Model, provider: LoopbackProvider) -> None:
    assert await calls_in(
        model,
        provider,
        delta_of(index=0, id="x", function={"name": "add", "arguments": ""}),
        delta_of(index=1, id="y", function={"name": "sub", "arguments": "{"}),
        delta_of(index=0, function={"arguments": "{}"}),
        delta_of(index=1, function={"arguments": "}"}),
    ) == [("x", "add", "{}"), ("y", "sub", "{}")]


async def test_whole_calls_may_come_without_an_index(
    model: Model, provider: LoopbackProvider
) -> None:
    assert await calls_in(
        model,
        provider,
        delta_of(id="x", function={"name": "add", "arguments": "{}"}),
        delta_of(id="y", function={"name": "add", "arguments": "{}"}),
    ) == [("x", "add", "{}"), ("y", "add", "{}")]


async def test_whole_calls_may_all_have_the_same_index(
    model: Model, provider: LoopbackProvider
) -> None:
    assert await calls_in(
        model,
        provider,
        delta_of(index=0, id="x", function={"name": "add", "arguments": "{}"}),
        delta_of(index=0, id="y", function={"name": "add", "arguments": "{}"}),
    ) == [("x", "add", "{}"), ("y", "add", "{}")]


async def test_parts_without_an_index_belong_to_the_last_call(
    model: Model, provider: LoopbackProvider
) -> None:
    assert await calls_in(
        model,
        provider,
        delta_of(id="x", function={"name": "add", "arguments": "{"}),
        delta_of(function={"arguments": "}"}),
        delta_of(id="y", function={"name": "add", "arguments": "{"}),
        delta_of(id="y", function={"arguments": "}"}),
    ) == [("x", "add", "{}"), ("y", "add", "{}")]


async def test_calls_without_an_id_get_one_each(model: Model, provider: LoopbackProvider) -> None:
    first, second = await calls_in(
        model,
        provider,
        delta_of(function={"name": "add", "arguments": {"a": 1}}),
        delta_of(index="1", id="", function={"name": "add", "arguments": None}),
    )

    assert first[1:] == ("add", '{"a":1}')
    assert second[1:] == ("add", "{}")
    assert first[0] and second[0] and first[0] != second[0]


async def test_an_id_may_be_repeated_in_each_part(model: Model, provider: LoopbackProvider) -> None:
    assert await calls_in(
        model,
        provider,
        delta_of(index=0, id="x", function={"name": "add", "arguments": "{"}),
        delta_of(index=0, id="x", function={"name": "add", "arguments": "}"}),
    ) == [("x", "add", "{}")]


async def test_a_call_is_one_though_the_reason_says_stop(
    model: Model, provider: LoopbackProvider
) -> None:
    call = delta_of(index=0, id="x", function={"name": "add", "arguments": "{}"})
    provider.write(call, ended("stop"), DONE)

    assert (await reply_of(model)).finish == "tool_calls"


async def test_what_google_seals_goes_back_with_the_call(
    model: Model, provider: LoopbackProvider
) -> None:
    sealed: Json = {"google": {"thought_signature": "c2VhbGVk"}}
    call: dict[str, Json] = {"id": "x", "function": {"name": "add", "arguments": "{}"}}
    provider.write(delta_of(**call, extra_content=sealed), ended("tool_calls"), DONE)
    reply = await reply_of(model)

    await reply_of(model, ChatRequest((reply.message,)))

    assert provider.requests[1].messages[0]["tool_calls"] == [
        {**call, "type": "function", "extra_content": sealed}
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_thoughts_are_told_apart(model: Model, provider: LoopbackProvider, name: str) -> None:
    provider.write(chunk(**{name: "Hm. "}), chunk(**{name: "Well."}), chunk(content="Yes"), ended())

    *pieces, reply = await pieces_of(model)

    assert pieces == [Thought("Hm. "), Thought("Well."), "Yes"]
    assert isinstance(reply, Reply)
    assert (reply.text, reply.thinking) == ("Yes", "Hm. Well.")


async def test_content_may_come_in_parts(model: Model, provider: LoopbackProvider) -> None:
    thinking: Json = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    provider.write(
        chunk(content=thinking), chunk(content=[{"type": "text", "text": "Yes"}]), ended()
    )

    assert (await pieces_of(model))[:2] == [Thought("Hm."), "Yes"]


async def test_a_reply_may_be_filtered_in_the_middle(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write(chunk(content="Well, "), ended("content_filter"), DONE)

    assert (await reply_of(model)).finish == "content_filter"


async def test_a_reply_may_be_filtered_from_the_start(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write(ended("content_filter"), DONE)

    with pytest.raises(ContentFiltered, match="was filtered"):
        await reply_of(model)


async def test_a_model_may_decline(model: Model, provider: LoopbackProvider) -> None:
    provider.write(chunk(refusal="I will "), chunk(refusal="not."), ended(), DONE)

    with pytest.raises(ContentFiltered, match=r"declines to answer: I will not\."):
        await reply_of(model)


@pytest.mark.parametrize(
    "raw", [b"data: {\n\n", b"data: [1]\n\n", b"data: nonsense\n\n", b'data: {"choices": 3}\n\n']
)
async def test_a_chunk_that_is_none_is_malformed(
    model: Model, provider: LoopbackProvider, raw: bytes
) -> None:
    provider.write(raw, chunk(content="a"), ended(), DONE)

    with pytest.raises(MalformedReply, match=r"fast \(m of openai_compatible at http://127"):
        await reply_of(model)
