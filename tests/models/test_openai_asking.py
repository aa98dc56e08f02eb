"""Chat completions: what is asked, also of servers that take less."""

import pytest

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
from forebay.ports.models import Model
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Types, asking, pieces_of, reply_of

ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
SCHEMA: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


# --- servers that take less ---------------------------------------------------------------------


async def test_a_server_that_refuses_stream_options_is_asked_without(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.takes_stream_options = False

    assert (await reply_of(model)).text == "hello there"
    assert (await reply_of(model)).text == "hello there"

    assert ["stream_options" in each.body for each in provider.requests] == [True, False, False]


async def test_a_server_that_does_not_stream_answers_whole(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.streams = False

    assert await pieces_of(model) == [
        "hello there",
        Reply("hello there", usage=Usage(2, 2), model="fast"),
    ]


async def test_a_whole_answer_may_lack_a_reason(model: Model, provider: LoopbackProvider) -> None:
    provider.answer(b'{"choices": [{"message": {"content": "a", "role": "assistant"}}]}')

    assert (await reply_of(model)).text == "a"


async def test_a_server_that_refuses_streams_is_asked_for_all(
    model: Model, provider: LoopbackProvider
) -> None:
    message = "Your organization must be verified to stream this model."
    provider.refuse(400, message, code="unsupported_value")

    assert (await reply_of(model)).text == "hello there"
    assert provider.requests[1].body["stream"] is False


async def test_a_model_may_want_another_name_for_the_limit(
    model: Model, provider: LoopbackProvider
) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    provider.refuse(400, message, code="unsupported_parameter")

    await reply_of(model, asking(max_tokens=5))

    first, second = provider.requests
    assert first.body["max_tokens"] == second.body["max_completion_tokens"] == 5
    assert "max_tokens" not in second.body


async def test_models_of_openai_that_think_get_the_name_they_want(
    types: Types, provider: LoopbackProvider
) -> None:
    model = types.model("openai", model_name="gpt-5-mini", base_url=provider.url, max_tokens=9)

    await reply_of(model)

    assert provider.requests[0].body["max_completion_tokens"] == 9


# --- what is asked ------------------------------------------------------------------------------


async def test_a_conversation_is_sent_as_it_is(model: Model, provider: LoopbackProvider) -> None:
    call = ToolCall("call_7", "add", '{"a": 1}')
    picture = ImagePart("data:image/png;base64,AA", "low")
    await reply_of(
        model,
        ChatRequest(
            (
                ChatMessage("system", "Be brief."),
                ChatMessage("user", (TextPart("What is it?"), picture)),
                ChatMessage("assistant", "", (call,)),
                ChatMessage("tool", "2", answers="call_7"),
                ChatMessage("user", "And?"),
            )
        ),
    )

    assert provider.requests[0].messages == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AA", "detail": "low"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_7",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_7", "content": "2"},
        {"role": "user", "content": "And?"},
    ]


async def test_a_call_overrides_what_is_configured(
    types: Types, provider: LoopbackProvider
) -> None:
    model = types.model(
        "openai_compatible",
        model_name="m",
        base_url=provider.url,
        temperature=0.9,
        top_p=0.5,
        max_tokens=100,
        stop=["END"],
        seed=3,
        extra_body={"top_k": 40, "temperature": 0.1},
    )
    await reply_of(model)
    await reply_of(model, asking(temperature=0.0, max_tokens=5, stop=("STOP",)))

    names = ("temperature", "max_tokens", "stop", "top_p", "seed", "top_k")
    sent = [[each.body[name] for name in names] for each in provider.requests]
    assert sent == [[0.9, 100, ["END"], 0.5, 3, 40], [0.0, 5, ["STOP"], 0.5, 3, 40]]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("add", {"type": "function", "function": {"name": "add"}}),
    ],
)
async def test_tools_are_offered(
    model: Model, provider: LoopbackProvider, choice: str, sent: Json
) -> None:
    await reply_of(model, asking(tools=(ADD,), tool_choice=choice))

    body = provider.requests[0].body
    assert body["tool_choice"] == sent
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "add", "description": "Adds.", "parameters": ADD.parameters},
        }
    ]


# --- structured output --------------------------------------------------------------------------


async def test_a_schema_is_asked_for_strictly_where_it_can_be(
    model: Model, provider: LoopbackProvider
) -> None:
    optional: Json = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await reply_of(model, asking(schema=SCHEMA))
    await reply_of(model, asking(schema=optional))

    first, second = (each.body["response_format"] for each in provider.requests)
    assert isinstance(SCHEMA, dict)
    assert first == {
        "type": "json_schema",
        "json_schema": {
            "name": "reply",
            "schema": {**SCHEMA, "additionalProperties": False},
            "strict": True,
        },
    }
    assert second == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": optional, "strict": False},
    }


async def test_a_server_without_schemas_is_told_in_words(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.takes_schemas = False
    request = ChatRequest(
        (ChatMessage("system", "Be brief."), ChatMessage("user", "One?")), schema=SCHEMA
    )
    await reply_of(model, request)

    first, second = provider.requests
    assert second.body["response_format"] == {"type": "json_object"}
    assert first.messages[0]["content"] == "Be brief."
    told = str(second.messages[0]["content"])
    assert told.startswith("Be brief.\n\nAnswer with one JSON value")
    assert '"integer"' in told
    assert len(second.messages) == 2


async def test_a_server_without_any_formats_is_told_in_words(
    model: Model, provider: LoopbackProvider
) -> None:
    for _ in range(2):
        provider.refuse(400, "response_format is not supported")
    provider.say('```json\n{"n": 1}\n```')

    *_, reply = await pieces_of(model, asking(schema=SCHEMA))

    assert "response_format" not in provider.requests[2].body
    assert isinstance(reply, Reply)
    assert reply.text == '{"n": 1}'
