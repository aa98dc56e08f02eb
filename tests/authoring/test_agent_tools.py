"""Agents as tools: what a model is told of them, and that what they say is not the answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, cast

import pydantic
import pytest

from forebay import Context, Message
from forebay.authoring import AgentTool, agent_tool, make_agent
from forebay.core.errors import InvalidArguments
from forebay.core.json import Json
from tests.support.contexts import Heard, HeardChatting, HeardChattingInThread, use

TEXT: Json = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "What to tell it."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Question(pydantic.BaseModel):
    text: str
    depth: int = 1


def made(body: Callable[..., object]) -> AgentTool:
    return agent_tool(make_agent(body, "it", "Answers."))


# --- what it takes ------------------------------------------------------------------------------


async def text_agent(text: str) -> str:
    return text


async def conversation(messages: list[Message]) -> str:
    return messages[-1].content


async def anything(value: Any) -> str:
    return str(value)


async def nothing() -> str:
    return "nothing"


@pytest.mark.parametrize("body", [text_agent, conversation, anything])
async def test_an_agent_that_takes_text_has_one_argument(body: Callable[..., object]):
    tool = made(body)
    assert (tool.name, tool.description, tool.parameters) == ("it", "Answers.", TEXT)
    assert await use(tool, {"input": "hello"}) == "hello"


async def test_an_agent_that_takes_fields_has_them_as_arguments():
    async def answer(text: str, depth: int = 1) -> str:
        return text * depth

    tool = made(answer)
    assert set(cast(Any, tool.parameters)["properties"]) == {"text", "depth"}
    assert await use(tool, {"text": "a", "depth": 3}) == "aaa"


async def test_an_agent_that_takes_a_model_has_its_fields_as_arguments():
    async def answer(question: Question) -> str:
        return question.text * question.depth

    assert await use(made(answer), {"text": "a", "depth": 2}) == "aa"


async def test_an_agent_that_takes_something_else_has_it_as_its_input():
    async def add(questions: list[Question]) -> str:
        return str(len(questions))

    tool = made(add)
    parameters = cast(Any, tool.parameters)
    assert parameters["properties"]["input"]["items"] == {"$ref": "#/$defs/Question"}
    assert "Question" in parameters["$defs"]
    assert await use(tool, {"input": [{"text": "a"}, {"text": "b"}]}) == "2"


@pytest.mark.parametrize("arguments", [{}, {"text": "a"}, {"input": "a", "more": 1}])
async def test_other_arguments_are_refused(arguments: dict[str, Json]):
    with pytest.raises(InvalidArguments, match="`input`"):
        await use(made(text_agent), arguments)


async def test_what_the_agent_does_not_take_are_wrong_arguments():
    async def answer(question: Question) -> str:
        return question.text

    with pytest.raises(InvalidArguments) as caught:
        await use(made(answer), {"depth": "deep"})
    assert "text" in caught.value.message
    assert len(caught.value.problems) == 2


def test_it_may_have_another_name_and_its_own_limits():
    tool = agent_tool(
        make_agent(text_agent, "it", "Answers."), "helper", "Helps.",
        timeout_seconds=3, needs_approval=True,
    )  # fmt: skip
    assert (tool.name, tool.description) == ("helper", "Helps.")
    assert (tool.timeout_seconds, tool.needs_approval) == (3, True)


# --- what it says -------------------------------------------------------------------------------


async def async_generator(ctx: Context, text: str) -> AsyncGenerator[str]:
    yield "one "
    ctx.say("two ")
    yield text


async def async_function(ctx: Context, text: str) -> str:
    ctx.say("one ")
    ctx.say("two ")
    return text


def generator(ctx: Context, text: str) -> Generator[str]:
    yield "one "
    ctx.say("two ")
    yield text


def function(ctx: Context, text: str) -> str:
    ctx.say("one two ")
    return text


class InAClass:
    async def run(self, ctx: Context, text: str) -> AsyncGenerator[str]:
        yield "one two "
        yield text


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        (async_generator, False),
        (async_function, False),
        (generator, True),
        (function, True),
        (InAClass, False),
    ],
)
async def test_what_an_agent_says_is_the_result_and_not_the_answer(
    body: Callable[..., object], blocks: bool
):
    heard = Heard()
    tool = made(body)
    assert tool.blocks is blocks
    assert await use(tool, {"input": "three"}, heard) == "one two three"
    assert heard.said == []


async def test_values_have_lines_of_their_own():
    async def answer(text: str) -> AsyncGenerator[object]:
        yield text
        yield ""
        yield None
        yield Question(text="a")
        yield 7
        yield "end"

    assert await use(made(answer), {"input": "x"}) == 'x\n{"text":"a","depth":1}\n7\nend'


async def test_an_agent_that_only_returns_a_value_gives_it_as_json():
    async def answer(text: str) -> Question:
        return Question(text=text)

    assert await use(made(answer), {"input": "a"}) == '{"text":"a","depth":1}'


async def test_an_agent_that_says_nothing_gives_an_empty_text():
    assert await use(made(nothing), {"input": None}) == "nothing"

    async def silent(text: str) -> None: ...

    assert await use(made(silent), {"input": "x"}) == ""


async def test_a_model_that_speaks_for_the_agent_is_overheard_too():
    async def answer(ctx: Context, text: str) -> None:
        await ctx.chat(text.upper(), say=True, temperature=0.5)
        await ctx.chat("aside")

    heard = HeardChatting()
    assert await use(made(answer), {"input": "loud"}, heard) == "LOUD"
    assert heard.said == []
    assert heard.asked == [("LOUD", {"temperature": 0.5}), ("aside", {})]


async def test_a_model_in_a_thread_is_overheard_too():
    def answer(ctx: Any, text: str) -> None:
        ctx.chat(text.upper(), say=True)

    heard = HeardChattingInThread()
    assert await use(made(answer), {"input": "loud"}, heard) == "LOUD"
    assert heard.said == []


async def test_everything_else_is_the_context_of_the_run():
    async def answer(ctx: Context, text: str) -> str:
        return f"{text} {ctx.now():%H:%M}"

    assert await use(made(answer), {"input": "at"}) == "at 19:11"


async def test_an_error_of_the_agent_is_the_error_of_the_tool():
    async def answer(text: str) -> AsyncGenerator[str]:
        yield "half"
        raise ValueError(text)

    with pytest.raises(ValueError, match="broken"):
        await use(made(answer), {"input": "broken"})


async def test_an_agent_that_is_cancelled_is_closed():
    waits, closed = asyncio.Event(), asyncio.Event()

    async def answer(text: str) -> AsyncGenerator[str]:
        try:
            yield text
            waits.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.ensure_future(use(made(answer), {"input": "x"}))
    async with asyncio.timeout(5):
        await waits.wait()
        task.cancel()
        await asyncio.wait([task])
    assert closed.is_set()
    assert task.cancelled()
