"""Making agents of functions, generators and classes, and reading their input."""

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import pydantic
import pytest

from forebay import Context, Message, agent
from forebay.authoring import FunctionAgent, agent_in, as_json, make_agent
from forebay.core.codec import decode_json, encode_json
from forebay.core.errors import AgentLoadError, InvalidInput
from forebay.core.json import Json


class Question(pydantic.BaseModel):
    """A question of some depth."""

    text: str
    depth: int = pydantic.Field(1, ge=1, le=5)


@dataclass
class Place:
    """Somewhere."""

    name: str
    tags: list[str]


def made(body: Callable[..., object], name: str = "it") -> FunctionAgent:
    return make_agent(body, name)


# --- styles -------------------------------------------------------------------------------------


async def async_generator(ctx: Context, text: str) -> AsyncGenerator[str]:
    yield text


async def async_function(ctx: Context, text: str) -> str:
    return text


def generator(ctx: Context, text: str) -> Generator[str]:
    yield text


def function(ctx: Context, text: str) -> str:
    return text


class AsyncClass:
    """Answers in a class."""

    async def run(self, ctx: Context, text: str) -> str:
        return text


class StreamingClass:
    async def run(self, ctx: Context, text: str) -> AsyncGenerator[str]:
        yield text


class PlainClass:
    def run(self, text: str) -> str:
        return text


class PlainStreamingClass:
    def run(self, ctx: Context, text: str) -> Generator[str]:
        yield text


@pytest.mark.parametrize(
    ("body", "style"),
    [
        (async_generator, "async generator"),
        (async_function, "async function"),
        (generator, "generator"),
        (function, "function"),
        (AsyncClass, "async function"),
        (StreamingClass, "async generator"),
        (PlainClass, "function"),
        (PlainStreamingClass, "generator"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_the_style_of_a_body_is_seen(body: Callable[..., object], style: str):
    assert made(body).style == style
    assert made(body).input_schema == {"type": "string"}


# --- the decorator ------------------------------------------------------------------------------


def test_the_decorator_leaves_the_function_as_it_was():
    decorated = agent("shout", description="Repeats you, louder")(function)
    try:
        found = agent_in(decorated)
        assert decorated is function
        assert found is not None
        assert (found.name, found.description) == ("shout", "Repeats you, louder")
    finally:
        del function.__dict__["__forebay_agent__"]


def test_without_a_name_it_has_its_own_and_describes_itself():
    @agent()
    async def wise(text: str) -> str:
        """Knows a lot.

        And more.
        """
        return text

    found = agent_in(wise)
    assert found is not None
    assert (found.name, found.description) == ("wise", "Knows a lot.")


def test_what_is_no_agent_has_none():
    for thing in (function, "text", 7, None, object(), Question, {"__forebay_agent__": 1}):
        assert agent_in(thing) is None


def test_a_class_without_run_is_refused():
    with pytest.raises(AgentLoadError, match="needs a `run` method"):
        agent("empty")(Question)


def test_an_annotation_that_cannot_be_read_is_refused():
    async def odd(ctx: Context, text: "NoSuchType") -> str:  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        return str(text)  # pyright: ignore[reportUnknownArgumentType]

    with pytest.raises(AgentLoadError, match="NoSuchType"):
        agent("odd")(odd)  # pyright: ignore[reportUnknownArgumentType]


def test_a_child_of_an_agent_class_is_not_an_agent_by_itself():
    @agent("parent")
    class Parent:
        async def run(self, text: str) -> str:
            return text

    class Child(Parent):
        pass

    assert agent_in(Parent) is not None
    assert agent_in(Child) is None


# --- what it takes ------------------------------------------------------------------------------


async def anything(ctx: Context, value: Json) -> Json:
    return value


async def untyped(ctx, value):  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    return value  # pyright: ignore[reportUnknownVariableType]


UNTYPED = cast(Callable[..., object], untyped)


async def nothing(ctx: Context) -> str:
    return "always the same"


async def not_even_context() -> str:
    return "always the same"


async def number(ctx: Context, count: int) -> int:
    return count


async def model(ctx: Context, question: Question) -> str:
    return question.text


async def place(ctx: Context, place: Place) -> str:
    return place.name


async def several(
    ctx: Context, query: str, limit: int = 3, *, tags: list[str] | None = None
) -> Json:
    return [query, limit, cast(Json, tags)]


async def messages(ctx: Context, messages: list[Message]) -> str:
    return messages[-1].content


async def without_context(text: str) -> str:
    return text


async def other_context_name(context: Context, text: str) -> str:
    return text


async def annotated_context(c: Context, text: str) -> str:
    return text


async def named_context(c: "Context", text: "str") -> str:
    return text


async def literal(ctx: Context, mode: Literal["fast", "slow"]) -> str:
    return mode


async def bounded(ctx: Context, count: Annotated[int, pydantic.Field(ge=1)]) -> int:
    return count


async def keyword_only(ctx: Context, *, text: str) -> str:
    return text


async def optional(ctx: Context, text: str | None) -> str:
    return text or ""


async def with_default(ctx: Context, count: int = 7) -> int:
    return count


async def call(body: Callable[..., object], value: Json) -> object:
    """Read the input as the server does, and call the body."""
    it = made(body)
    answer = it.call(cast(Context, None), it.read_input(value))
    return await cast(Any, answer)


@pytest.mark.parametrize(
    ("body", "value", "answer"),
    [
        (async_function, "hi", "hi"),
        (async_function, "", ""),
        (async_function, {"text": "hi"}, "hi"),
        (async_function, {"text": "hi", "more": 1}, "hi"),
        (async_function, [{"role": "user", "content": "hi"}], "hi"),
        (
            async_function,
            [
                {"role": "user", "content": "first"},
                {"role": "user", "content": "last"},
                {"role": "assistant", "content": "no"},
            ],
            "last",
        ),
        (anything, {"a": [1, None]}, {"a": [1, None]}),
        (anything, None, None),
        (UNTYPED, [1], [1]),
        (nothing, "ignored", "always the same"),
        (not_even_context, {"ignored": 1}, "always the same"),
        (number, 7, 7),
        (number, "7", 7),
        (model, {"text": "why"}, "why"),
        (place, {"name": "here", "tags": []}, "here"),
        (several, {"query": "q"}, ["q", 3, None]),
        (several, {"query": "q", "limit": 9, "tags": ["t"]}, ["q", 9, ["t"]]),
        (messages, [{"role": "user", "content": "hi"}], "hi"),
        (messages, "hi", "hi"),
        (without_context, "hi", "hi"),
        (other_context_name, "hi", "hi"),
        (annotated_context, "hi", "hi"),
        (named_context, "hi", "hi"),
        (literal, "fast", "fast"),
        (bounded, 1, 1),
        (keyword_only, "hi", "hi"),
        (optional, None, ""),
        (optional, "hi", "hi"),
        (with_default, 8, 8),
        (AsyncClass, "hi", "hi"),
    ],
    ids=lambda each: getattr(each, "__name__", None) or str(each)[:30],
)
async def test_what_a_body_takes(body: Callable[..., object], value: Json, answer: Json):
    assert await call(body, value) == answer


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (async_function, 1),
        (async_function, None),
        (async_function, {}),
        (async_function, {"text": 1}),
        (async_function, {"TEXT": "hi"}),
        (async_function, []),
        (async_function, ["hi"]),
        (async_function, [{"role": "assistant", "content": "hi"}]),
        (async_function, [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
        (number, "many"),
        (number, 1.5),
        (number, None),
        (model, {}),
        (model, {"text": "why", "depth": 9}),
        (model, "why"),
        (place, {"name": "here"}),
        (place, {"name": 1, "tags": []}),
        (several, {}),
        (several, {"query": 1}),
        (several, "q"),
        (several, {"query": "q", "limit": "x"}),
        (messages, [{"role": "user"}]),
        (messages, {"role": "user", "content": "hi"}),
        (messages, 7),
        (literal, "medium"),
        (bounded, 0),
    ],
    ids=lambda each: getattr(each, "__name__", None) or str(each)[:30],
)
async def test_what_a_body_does_not_take(body: Callable[..., object], value: Json):
    with pytest.raises(InvalidInput, match="'it'"):
        made(body).read_input(value)


def test_a_wrong_field_is_named_with_its_place():
    with pytest.raises(InvalidInput) as caught:
        made(model).read_input({"text": 1, "depth": 9})
    problems = caught.value.problems
    assert [problem.location for problem in problems] == [("input", "text"), ("input", "depth")]
    assert [problem.kind for problem in problems] == ["string_type", "less_than_equal"]
    assert "input.text" in caught.value.message


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (model, {"title": "Question", "type": "object", "required": ["text"]}),
        (place, {"type": "object", "required": ["name", "tags"]}),
        (several, {"type": "object", "required": ["query"]}),
        (number, {"type": "integer"}),
        (messages, {"type": "array"}),
        (literal, {"enum": ["fast", "slow"]}),
        (bounded, {"minimum": 1}),
        (anything, {}),
        (nothing, {}),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_the_schema_tells_what_a_body_takes(body: Callable[..., object], part: dict[str, Json]):
    schema = made(body).input_schema
    assert isinstance(schema, dict)
    assert {key: schema.get(key) for key in part} == part


@pytest.mark.parametrize(
    "name", ["schema", "json", "copy", "dict", "model_name", "model_config", "_private"]
)
async def test_parameters_may_have_any_name(name: str):
    space: dict[str, Any] = {}
    exec(f"async def odd(ctx, {name}: str, other: int = 1): return [{name}, other]", space)
    assert await call(space["odd"], {name: "a"}) == ["a", 1]


def test_each_call_of_a_class_has_its_own_object():
    seen: list[object] = []

    class Counting:
        def run(self, text: str) -> str:
            seen.append(self)
            return text

    it = made(Counting)
    for _ in range(2):
        it.call(cast(Context, None), "hi")
    assert len({id(each) for each in seen}) == 2


# --- what it answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (1, 1),
        (None, None),
        ("text", "text"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({1: {2.5: None}}, {"1": {"2.5": None}}),
        (Question(text="why", depth=1), {"text": "why", "depth": 1}),
        ([Question(text="why", depth=1)], [{"text": "why", "depth": 1}]),
        (Place("here", ["a"]), {"name": "here", "tags": ["a"]}),
        ({"a"}, ["a"]),
        (True, True),
    ],
    ids=str,
)
def test_answers_become_plain_json(value: object, json: Json):
    assert decode_json(encode_json(as_json(value))) == json


@pytest.mark.parametrize("value", [object(), function, iter([]), Question, 1j, [object()]])
def test_answers_that_are_not_json_are_refused(value: object):
    with pytest.raises(TypeError):
        as_json(value)
