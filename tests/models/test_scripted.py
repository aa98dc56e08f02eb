"""scripted: which turn is played, what is said in which pieces, and what a script may say."""

import asyncio
from collections.abc import Mapping

import pydantic
import pytest

from forebay import Context, agent
from forebay.builtins.models.scripted import ScriptedConfig, ScriptedModel, register
from forebay.control.workflow.registry import Components
from forebay.core.errors import ModelError, RateLimited
from forebay.core.events import Usage
from forebay.core.messages import ChatMessage, ChatRequest, Reply, ToolCall
from forebay.ports.models import Thought
from forebay.testing.clock import ManualClock
from tests.support.acting import HeardModel, ItsParts, said, with_model
from tests.support.waiting import until


def request(*texts: str, **rest: object) -> ChatRequest:
    """What user and model have said in turns, and the user at last."""
    roles = ("user", "assistant")
    messages = tuple(ChatMessage(roles[at % 2], text) for at, text in enumerate(texts))
    return ChatRequest(messages, **rest)  # pyright: ignore[reportArgumentType]


async def heard(model: ScriptedModel, asked: ChatRequest) -> tuple[list[str | Thought], Reply]:
    """The pieces, and the reply."""
    pieces = [piece async for piece in model.chat(asked)]
    reply = pieces.pop()
    assert isinstance(reply, Reply)
    return [piece for piece in pieces if not isinstance(piece, Reply)], reply


async def text_of(model: ScriptedModel, *texts: str) -> str:
    return (await heard(model, request(*texts)))[1].text


def configured(**config: object) -> ScriptedModel:
    return ScriptedModel("m", config=ScriptedConfig.model_validate(config))


# --- which turn ---------------------------------------------------------------------------------


async def test_without_a_script_it_repeats_what_the_user_said_word_by_word() -> None:
    pieces, reply = await heard(ScriptedModel("m"), request("to be  or not"))
    assert (pieces, reply.text) == (["to", " be", "  or", " not"], "to be  or not")


async def test_the_turn_follows_from_what_the_model_has_said_before() -> None:
    model = ScriptedModel("m", ["one", "two", "three"])
    assert await text_of(model, "a") == "one"
    assert await text_of(model, "a", "one", "b", "two", "c") == "three"
    assert await text_of(model, "a", "one", "b") == "two"


async def test_after_its_last_turn_it_says_that_the_script_is_over() -> None:
    with pytest.raises(ModelError, match="has 1 turns, and they are over"):
        await text_of(ScriptedModel("m", ["one"]), "a", "one", "b")


async def test_it_can_begin_again() -> None:
    assert (
        await text_of(configured(script=["one", "two"], repeat=True), "a", "x", "b", "y", "c")
        == "one"
    )


async def test_a_rule_plays_its_script_for_what_the_user_said_last() -> None:
    rules = [
        {"when": "(?i)weather", "script": ["It rains.", "Still."]},
        {"when": "^$", "script": ["?"]},
    ]
    model = configured(rules=rules, script=["Hello."])
    assert await text_of(model, "hi") == "Hello."
    assert await text_of(model, "hi", "Hello.", "How is the Weather?") == "It rains."
    messages = (
        ChatMessage("user", "weather"), ChatMessage("assistant", "wait"), ChatMessage("tool", "x"),
    )  # fmt: skip
    assert (await heard(model, ChatRequest(messages)))[1].text == "Still."


# --- what it says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "pieces"),
    [
        ("two words", ["two", " words"]),
        ({"say": "abcdef", "chunk_size": 4}, ["abcd", "ef"]),
        ({"chunks": ["ab", "", "c d"]}, ["ab", "c d"]),
        ({"say": "You said {user}; {tool}."}, ["You", " said", " hi;", " ."]),
        ({"think": "hm", "say": "yes"}, [Thought("hm"), "yes"]),
        ({"call": {"add": {}}}, []),
    ],
)
async def test_the_pieces_of_a_turn(turn: Mapping[str, object] | str, pieces: list[object]) -> None:
    found, reply = await heard(ScriptedModel("m", [turn]), request("hi"))
    assert found == pieces
    assert reply.text == "".join(piece for piece in found if isinstance(piece, str))


async def test_it_stops_where_it_is_told_to() -> None:
    model = ScriptedModel("m", [{"chunks": ["Action: a\nObs", "ervation: b", " c"]}])
    pieces, reply = await heard(model, request("hi", stop=("Observation:",)))
    assert (pieces, reply.text) == (["Action: a\n"], "Action: a\n")


async def test_it_asks_for_tools_in_order_and_writes_texts_as_they_are() -> None:
    calls = [{"add": {"a": 1}}, {"add": "{no json"}]
    _, reply = await heard(ScriptedModel("m", ["x", {"call": calls}]), request("a", "x", "b"))
    assert reply.tool_calls == (
        ToolCall("call_2_1", "add", '{"a":1}'), ToolCall("call_2_2", "add", "{no json"),
    )  # fmt: skip
    assert reply.finish == "tool_calls"


async def test_what_was_said_may_stand_in_arguments() -> None:
    arguments = {"q": ["{user}", 1], "n": {"m": "<{tool}>"}}
    _, reply = await heard(ScriptedModel("m", [{"call": {"add": arguments}}]), request('a "b"'))
    assert reply.tool_calls[0].arguments == '{"q":["a \\"b\\"",1],"n":{"m":"<>"}}'


async def test_usage_is_counted_in_words_or_given() -> None:
    script = ["one two", {"say": "x", "usage": {"input_tokens": 7}, "finish": "length"}]
    model = ScriptedModel("m", script)
    assert (await heard(model, request("a b c")))[1].usage == Usage(3, 2, estimated=True)
    reply = (await heard(model, request("a", "b", "c")))[1]
    assert (reply.usage, reply.finish) == (Usage(7, 0), "length")


async def test_a_failure_comes_after_what_is_said() -> None:
    model = ScriptedModel("m", [{"say": "half", "fail": "rate_limited", "message": "Too fast."}])
    pieces: list[object] = []
    with pytest.raises(RateLimited, match="Too fast"):
        async for piece in model.chat(request("a")):
            pieces.append(piece)  # noqa: PERF401 -- what came before the error counts
    assert pieces == ["half"]


async def test_each_piece_takes_its_time() -> None:
    clock = ManualClock()
    config = ScriptedConfig.model_validate({"delay_ms": 100, "script": ["a b"]})
    model, pieces = ScriptedModel("m", config=config, clock=clock), list[object]()

    async def listen() -> None:
        async for piece in model.chat(request("hi")):
            pieces.append(piece)

    listening = asyncio.create_task(listen())
    for count in (0, 1):
        await until(lambda: clock.sleepers == 1)
        assert len(pieces) == count
        clock.advance(0.1)
    await listening
    assert len(pieces) == 3


async def test_it_is_valid() -> None:
    assert all(finding.is_ok for finding in await ScriptedModel("m").validate())


async def test_a_resumed_run_hears_the_rest_of_the_script() -> None:
    @agent("asks")
    async def asks(ctx: Context, text: str) -> None:
        first = await ctx.chat(text)
        await ctx.chat(
            [ChatMessage("user", text), first.message, ChatMessage("user", "x")], say=True
        )

    whole = await with_model(HeardModel("one", "two")).attempt(asks)
    for length in range(2, len(whole.said)):
        resumed = await with_model(HeardModel("one", "two")).attempt(asks, whole.cut(length))
        assert said(resumed) == "two"


# --- what a file may say ------------------------------------------------------------------------


def test_a_file_describes_it() -> None:
    components = Components()
    register(components)
    kind = components.kind("llms", "scripted")
    config = kind.config.model_validate(
        {"script": ["hi"], "price": {"input": 1, "output": 2}, "fallbacks": ["other"]}
    )
    made = kind.build("demo", config, ItsParts())
    assert isinstance(made, ScriptedModel)
    assert (made.name, made.fallbacks) == ("demo", ("other",))
    assert made.price is not None and made.price.output == 2


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([{"delay_ms": 1}], "needs one of `say`"),
        ([{"say": "a", "chunks": ["b"]}], "not both"),
        ([{"sya": "a"}], "Extra inputs are not permitted"),
        ([{"fail": "rate_limit"}], "'rate_limited'"),
        ([{"say": "a", "delay_ms": -1}], "greater than or equal to 0"),
        ([{"say": "a", "chunk_size": 0}], "greater than or equal to 1"),
        ([{"say": "a", "finish": "done"}], "'tool_calls'"),
    ],
)
def test_a_turn_that_is_none_is_told(script: list[object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        ScriptedConfig.model_validate({"script": script})


def test_a_pattern_that_is_none_is_told() -> None:
    with pytest.raises(pydantic.ValidationError, match="no regular expression"):
        ScriptedConfig.model_validate({"rules": [{"when": "(", "script": ["a"]}]})
