"""Streams that end too early, and what is tried again."""

from typing import Any

import pytest

from forebay.core.errors import (
    ContentFiltered,
    ContextTooLong,
    MalformedReply,
    ModelCutOff,
    ModelUnreachable,
)
from forebay.ports.models import Model
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Bench, QuickClock, Types, asking, failure_of, reply_of, spoken_before

# --- in the middle ------------------------------------------------------------------------------


async def test_a_stream_that_is_cut_is_cut_off(model: Model, provider: LoopbackProvider) -> None:
    provider.say("One ", "two ", "three")
    provider.cut(after=3)

    said, error = await spoken_before(model)

    assert said == "One two "
    assert type(error) is ModelCutOff
    assert len(provider.requests) == 1


async def test_a_stream_that_ends_too_early_is_cut_off(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.say("One ", "two ", "three")
    provider.write(b": nothing more\n\n", after=3)

    said, error = await spoken_before(model)

    assert (said, type(error)) == ("One two ", ModelCutOff)


async def test_a_stream_that_is_cut_before_a_word_is_asked_for_again(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.cut(after=1)

    assert (await reply_of(model)).text == "hello there"
    assert len(provider.requests) == 2


async def test_a_tool_call_that_is_cut_is_asked_for_again(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.call_tool("add", {"a": 1})
    provider.cut(after=2)
    provider.call_tool("add", {"a": 1})

    assert [call.arguments for call in (await reply_of(model)).tool_calls] == ['{"a":1}']


async def test_a_stream_that_never_says_a_word_is_unreachable(
    model: Model, provider: LoopbackProvider
) -> None:
    for _ in range(3):
        provider.cut(after=1)

    assert type(await failure_of(model)) is ModelUnreachable
    assert len(provider.requests) == 3


async def test_a_cut_after_the_end_is_none(model: Model, provider: LoopbackProvider) -> None:
    provider.say("One ", "two")
    provider.cut(after=4)  # the beginning, two pieces, the reason

    reply = await reply_of(model)

    assert reply.text == "One two"
    assert reply.usage and reply.usage.estimated


async def test_an_error_in_the_middle_is_understood(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.say("One ", "two")
    provider.write_error(2, "Maximum context length reached", code="context_length_exceeded")

    said, error = await spoken_before(model)

    assert (said, type(error)) == ("One ", ContextTooLong)


async def test_a_fault_of_the_server_in_the_middle_cuts_off(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.say("One ", "two")
    provider.write_error(2, "Worker died.")

    said, error = await spoken_before(model)

    assert (said, type(error)) == ("One ", ModelCutOff)
    assert "Worker died" in str(error)


async def test_an_error_before_a_word_is_tried_again(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.write_error(0, "Worker died.")

    assert (await reply_of(model)).text == "hello there"


@pytest.mark.parametrize(
    "error",
    [
        b'{"object": "error", "message": "Worker died.", "code": 500}',
        b'{"error": "Worker died."}',
        b'{"error": {"message": "Worker died.", "code": 502}, "choices": [{"delta": {}}]}',
    ],
)
async def test_an_error_may_look_in_many_ways(
    model: Model, provider: LoopbackProvider, error: bytes
) -> None:
    provider.say("One ", "two")
    provider.write(b"data: %b\n\n" % error, after=2)

    _, raised = await spoken_before(model)

    assert type(raised) is ModelCutOff
    assert "Worker died" in str(raised)


async def test_bad_json_in_the_middle_is_malformed(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.say("One ", "two")
    provider.write_bad_json(after=2)

    said, error = await spoken_before(model)

    assert (said, type(error)) == ("One ", MalformedReply)


# --- trying again -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_what_may_pass_is_tried_again(
    model: Model, provider: LoopbackProvider, status: int
) -> None:
    provider.refuse(status, times=2)

    assert (await reply_of(model)).text == "hello there"
    assert len(provider.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_will_not_pass_is_not(
    model: Model, provider: LoopbackProvider, status: int
) -> None:
    provider.refuse(status)

    await failure_of(model)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("said", "tries"),
    [
        ({"max_retries": 0}, 1),
        ({"max_retries": 4}, 5),
        ({"num_retries": 2}, 2),
        ({"do_auto_retry": False, "num_retries": 9}, 1),
    ],
)
async def test_it_can_be_said_how_often(
    types: Types, provider: LoopbackProvider, said: dict[str, Any], tries: int
) -> None:
    provider.refuse(500, times=9)
    model = types.model("openai_compatible", model_name="m", base_url=provider.url, **said)

    await failure_of(model)
    assert len(provider.requests) == tries


async def test_a_pause_is_made_before_the_next_try(
    model: Model, provider: LoopbackProvider, bench: Bench
) -> None:
    provider.refuse(500, times=2)
    await reply_of(model)

    assert isinstance(bench.clock, QuickClock)
    assert bench.clock.slept == [0.5, 1.0]


async def test_a_server_that_says_nothing_is_given_up(
    types: Types, provider: LoopbackProvider
) -> None:
    provider.hold(after=0)
    model = types.model(
        "openai_compatible", model_name="m", base_url=provider.url, request_timeout=0.05
    )

    error = await failure_of(model)

    assert type(error) is ModelUnreachable
    assert "raise request_timeout in llms.fast" in error.message


# --- before a call ------------------------------------------------------------------------------


async def test_a_conversation_that_is_too_long_is_not_sent(
    types: Types, provider: LoopbackProvider
) -> None:
    model = types.model(
        "openai_compatible", model_name="m", base_url=provider.url, context_tokens=50
    )
    await reply_of(model)

    _, error = await spoken_before(model, asking("word " * 400))

    assert type(error) is ContextTooLong
    assert "takes 50, as context_tokens in llms.fast says" in str(error)
    assert len(provider.requests) == 1


async def test_a_conversation_that_is_too_long_for_the_provider(
    model: Model, provider: LoopbackProvider
) -> None:
    provider.context_words = 5
    _, error = await spoken_before(model, asking("word " * 10))

    assert type(error) is ContextTooLong


async def test_content_may_be_refused(model: Model, provider: LoopbackProvider) -> None:
    provider.refuse_content()

    assert type(await failure_of(model)) is ContentFiltered
