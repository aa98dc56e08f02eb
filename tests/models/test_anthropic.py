"""Anthropic's messages: what is asked, and what is heard."""

import json
from collections.abc import Sequence

import pytest

from forebay.core.codec import decode_json
from forebay.core.errors import (
    ContentFiltered,
    ContextTooLong,
    KeyRefused,
    MalformedReply,
    ModelCutOff,
    ModelUnreachable,
    RateLimited,
)
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import (
    ChatMessage,
    ChatRequest,
    ImagePart,
    Reply,
    TextPart,
    ToolCall,
    ToolSpec,
)
from forebay.ports.models import Model, Thought
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types, asking, pieces_of, reply_of, spoken_before

ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
SCHEMA: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def frames(*events: Json) -> bytes:
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


BEGUN: Json = {"type": "message_start", "message": {"usage": {"input_tokens": 5}}}
ENDED: Sequence[Json] = (
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)


async def test_a_reply_comes_in_pieces(claude: Model, provider: LoopbackProvider) -> None:
    provider.say("Two ", "pieces.")

    assert await pieces_of(claude) == [
        "Two ",
        "pieces.",
        Reply("Two pieces.", usage=Usage(2, 2), model="claude"),
    ]
    received = provider.requests[0]
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == "k-12345678"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.body["max_tokens"] == 8192


async def test_thoughts_are_told_apart(claude: Model, provider: LoopbackProvider) -> None:
    provider.say("Yes.", thoughts=["Hm. ", "Well."])

    *pieces, reply = await pieces_of(claude)

    assert pieces == [Thought("Hm. "), Thought("Well."), "Yes."]
    assert isinstance(reply, Reply)
    assert reply.thinking == "Hm. Well."


async def test_tool_calls_are_put_together(claude: Model, provider: LoopbackProvider) -> None:
    provider.call_tools(("add", {"a": 1}), ("now", None), ids=["x", "y"], text="I add.")

    reply = await reply_of(claude, asking(tools=(ADD,)))

    assert (reply.text, reply.finish) == ("I add.", "tool_calls")
    assert [(call.id, call.name, decode_json(call.arguments)) for call in reply.tool_calls] == [
        ("x", "add", {"a": 1}),
        ("y", "now", {}),
    ]


async def test_a_conversation_is_put_in_turns(claude: Model, provider: LoopbackProvider) -> None:
    calls = (ToolCall("x", "add", '{"a": 1}'), ToolCall("y", "add", "no json"))
    pictures = (
        TextPart("What is it?"),
        ImagePart("data:image/jpeg;base64,AAAA"),
        ImagePart("https://example.org/a.png"),
    )
    await reply_of(
        claude,
        ChatRequest(
            (
                ChatMessage("system", "Be brief."),
                ChatMessage("user", pictures),
                ChatMessage("assistant", "I add.", calls),
                ChatMessage("tool", "2", answers="x"),
                ChatMessage("tool", "failed", answers="y"),
                ChatMessage("system", "Be kind."),
                ChatMessage("user", "And?"),
            ),
            tools=(ADD,),
            stop=("END",),
        ),
    )

    body = provider.requests[0].body
    assert body["system"] == "Be brief.\n\nBe kind."
    assert body["stop_sequences"] == ["END"]
    assert body["tools"] == [
        {"name": "add", "description": "Adds.", "input_schema": ADD.parameters}
    ]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
                },
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I add."},
                {"type": "tool_use", "id": "x", "name": "add", "input": {"a": 1}},
                {"type": "tool_use", "id": "y", "name": "add", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "x", "content": "2"},
                {"type": "tool_result", "tool_use_id": "y", "content": "failed"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("add", {"type": "tool", "name": "add"}),
    ],
)
async def test_a_choice_of_tools_is_told(
    claude: Model, provider: LoopbackProvider, choice: str, sent: Json
) -> None:
    await reply_of(claude, asking(tools=(ADD,), tool_choice=choice))

    assert provider.requests[0].body["tool_choice"] == sent


async def test_sealed_thoughts_go_back_with_their_tool_calls(
    claude: Model, provider: LoopbackProvider
) -> None:
    call: Json = {"type": "tool_use", "id": "x", "name": "add", "input": {}}
    provider.write(
        frames(
            BEGUN,
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm"}},
            {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "s"}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "content_block_start",
                "content_block": {"type": "redacted_thinking", "data": "d"},
            },
            {"type": "content_block_stop", "index": 1},
            {"type": "content_block_start", "index": 2, "content_block": call},
            {"type": "content_block_stop", "index": 2},
            *ENDED,
        )
    )
    reply = await reply_of(claude)
    assert [each.name for each in reply.tool_calls] == ["add"]

    await reply_of(claude, ChatRequest((ChatMessage("user", "Add."), reply.message)))

    assert provider.requests[1].messages[1]["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "tool_use", "id": "x", "name": "add", "input": {}},
    ]


async def test_cached_input_counts_as_input(claude: Model, provider: LoopbackProvider) -> None:
    usage: Json = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 300,
        "output_tokens": 1,
    }
    provider.write(frames({"type": "message_start", "message": {"usage": usage}}, *ENDED))

    assert (await reply_of(claude)).usage == Usage(325, 3)


async def test_events_of_kinds_that_came_later_do_not_matter(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.write(
        frames(
            BEGUN,
            {"type": "ping"},
            {"type": "surprise", "surprise": "x"},
            {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": {}}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
            *ENDED,
        )
    )

    assert (await reply_of(claude)).text == "a"


async def test_a_whole_answer_is_taken_too(claude: Model, provider: LoopbackProvider) -> None:
    provider.streams = False
    provider.call_tools(("add", {"a": 1}), ids=["x"], text="I add.")

    reply = await reply_of(claude)

    assert (reply.text, reply.tool_calls) == ("I add.", (ToolCall("x", "add", '{"a":1}'),))


# --- structured output --------------------------------------------------------------------------


async def test_a_schema_is_kept_to_by_a_tool(claude: Model, provider: LoopbackProvider) -> None:
    provider.call_tool("reply", {"n": 1})

    reply = await reply_of(claude, asking(schema=SCHEMA))

    body = provider.requests[0].body
    assert body["tool_choice"] == {"type": "tool", "name": "reply"}
    assert body["tools"] == [
        {"name": "reply", "description": "Give the answer.", "input_schema": SCHEMA}
    ]
    assert (reply.text, reply.tool_calls, reply.finish) == ('{"n":1}', (), "stop")


async def test_a_schema_of_something_else_than_an_object_is_wrapped(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.call_tool("reply", {"value": [1, 2]})
    schema: Json = {"type": "array", "items": {"$ref": "#/$defs/N"}, "$defs": {"N": {}}}

    reply = await reply_of(claude, asking(schema=schema))

    assert json.loads(reply.text) == [1, 2]
    assert json.dumps(provider.requests[0].body["tools"], sort_keys=True) == json.dumps(
        [
            {
                "name": "reply",
                "description": "Give the answer.",
                "input_schema": {
                    "type": "object",
                    "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/N"}}},
                    "required": ["value"],
                    "$defs": {"N": {}},
                },
            }
        ],
        sort_keys=True,
    )


async def test_a_model_that_may_not_be_forced_gets_a_format(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.takes_forced_tools = False
    provider.say('{"n": 1}')

    *_, reply = await pieces_of(claude, asking(schema=SCHEMA))

    assert isinstance(reply, Reply)
    assert reply.text == '{"n": 1}'
    assert isinstance(SCHEMA, dict)
    assert provider.requests[1].body["output_config"] == {
        "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}
    }
    assert "tools" not in provider.requests[1].body


async def test_a_model_without_formats_is_told_in_words(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.refuse(400, "Thinking may not be enabled when tool_choice forces tool use.")
    provider.refuse(400, "output_config: Extra inputs are not permitted")
    provider.say('```json\n{"n": 1}\n```')

    *_, reply = await pieces_of(claude, asking(schema=SCHEMA))

    assert isinstance(reply, Reply)
    assert reply.text == '{"n": 1}'
    assert "JSON schema" in str(provider.requests[2].body["system"])


# --- what goes wrong ----------------------------------------------------------------------------


async def test_a_missing_key_names_the_variable(types: Types) -> None:
    model = types.model("anthropic", model_name="claude-x")

    with pytest.raises(KeyRefused, match=r"set ANTHROPIC_API_KEY or api_key in llms\.fast"):
        await reply_of(model)


async def test_a_server_that_has_too_much_to_do_is_asked_again(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.refuse(529, "Overloaded", code="overloaded_error", times=2)

    assert (await reply_of(claude)).text == "hello there"


async def test_a_server_that_has_too_much_to_do_for_long_is_limited(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.refuse(529, "Overloaded", code="overloaded_error", times=3)

    with pytest.raises(RateLimited, match=r"Overloaded"):
        await reply_of(claude)


async def test_an_error_in_the_middle_cuts_off(claude: Model, provider: LoopbackProvider) -> None:
    provider.say("One ", "two")
    provider.write_error(4, "Overloaded", code="overloaded_error")

    said, error = await spoken_before(claude)

    assert (said, type(error)) == ("One ", ModelCutOff)


async def test_an_error_in_the_middle_may_be_of_another_kind(
    claude: Model, provider: LoopbackProvider
) -> None:
    provider.say("One ", "two")
    provider.write_error(4, "prompt is too long", code="invalid_request_error")

    said, error = await spoken_before(claude)

    assert (said, type(error)) == ("One ", ContextTooLong)


async def test_a_stream_that_is_cut_is_cut_off(claude: Model, provider: LoopbackProvider) -> None:
    provider.say("One ", "two")
    provider.cut(after=4)

    said, error = await spoken_before(claude)

    assert (said, type(error)) == ("One ", ModelCutOff)


async def test_a_stream_that_never_says_a_word_is_unreachable(
    claude: Model, provider: LoopbackProvider
) -> None:
    for _ in range(3):
        provider.cut(after=2)

    _, error = await spoken_before(claude)

    assert type(error) is ModelUnreachable


async def test_bad_json_is_malformed(claude: Model, provider: LoopbackProvider) -> None:
    provider.write_bad_json(after=2)

    with pytest.raises(MalformedReply):
        await reply_of(claude)


async def test_a_refusal_is_one(claude: Model, provider: LoopbackProvider) -> None:
    provider.say("", finish="content_filter")

    with pytest.raises(ContentFiltered, match=r"declines"):
        await reply_of(claude)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
    ],
)
async def test_reasons_are_understood(
    claude: Model, provider: LoopbackProvider, reason: str, finish: str
) -> None:
    provider.write(
        frames(
            BEGUN,
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
            {"type": "message_delta", "delta": {"stop_reason": reason}},
        )
    )

    assert (await reply_of(claude)).finish == finish


async def test_an_address_may_end_in_v1(types: Types, provider: LoopbackProvider) -> None:
    model = types.model("anthropic", model_name="x", base_url=provider.url, api_key="k")

    await reply_of(model)

    assert provider.requests[0].path == "/v1/messages"
