"""Making tools of functions: what a model is told, how arguments are read, what comes back."""

import enum
import functools
import math
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic needs this one before 3.12
    cast,
)
from uuid import UUID

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

import forebay
from forebay import BlockingContext, Context
from forebay.authoring import agent_in, make_tool, tool_in
from forebay.core.codec import decode_json, encode_json
from forebay.core.errors import AgentLoadError, InvalidArguments
from forebay.core.json import Json
from tests.support.contexts import Heard, use


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(pydantic.BaseModel):
    """Somewhere."""

    title: str
    zip: int = pydantic.Field(default=0, ge=0)


@dataclass
class Point:
    x: float
    y: float = 0.0


class Options(TypedDict):
    depth: int
    deep: NotRequired[bool]


class Found(msgspec.Struct):
    url: str
    score: float | None = None


def schema(function: Callable[..., object]) -> dict[str, Any]:
    return cast(dict[str, Any], make_tool(function, "it").parameters)


def properties(function: Callable[..., object]) -> dict[str, Any]:
    return schema(function)["properties"]


async def refusal(function: Callable[..., object], arguments: Mapping[str, Json]) -> str:
    with pytest.raises(InvalidArguments) as caught:
        await use(make_tool(function, "it"), arguments)
    return caught.value.message


# --- the decorator ------------------------------------------------------------------------------


async def test_a_function_is_a_tool_under_its_own_name_and_stays_a_function():
    @forebay.tool
    async def weather(city: str) -> str:
        """What the weather is like."""
        return f"{city}: sun"

    tool = tool_in(weather)
    assert tool is not None
    assert (tool.name, tool.description) == ("weather", "What the weather is like.")
    assert (tool.timeout_seconds, tool.needs_approval, tool.blocks) == (None, False, False)
    assert await weather("Rome") == "Rome: sun"
    assert await use(tool, {"city": "Rome"}) == "Rome: sun"


def test_the_decorator_takes_a_name_and_what_else_there_is_to_say():
    @forebay.tool(
        "get-weather", description="Looks outside", timeout_seconds=2.5, needs_approval=True
    )
    def weather(city: str) -> str:
        """Not this."""
        return city

    tool = tool_in(weather)
    assert tool is not None
    assert (tool.name, tool.description) == ("get-weather", "Looks outside")
    assert (tool.timeout_seconds, tool.needs_approval, tool.blocks) == (2.5, True, True)
    assert weather("Rome") == "Rome"


def test_the_decorator_with_empty_parentheses_is_the_same_as_without():
    @forebay.tool()
    def weather(city: str) -> str:
        return city

    tool = tool_in(weather)
    assert tool is not None
    assert (tool.name, tool.description) == ("weather", "")


def test_one_function_may_be_an_agent_and_a_tool():
    @forebay.agent("talk")
    @forebay.tool("look")
    async def both(text: str) -> str:
        return text

    agent, tool = agent_in(both), tool_in(both)
    assert agent is not None
    assert tool is not None
    assert (agent.name, tool.name) == ("talk", "look")


def test_a_tool_that_was_made_by_hand_is_found_too():
    tool = make_tool(math.sqrt, "root")
    assert tool_in(tool) is tool
    assert tool_in(math.sqrt) is None
    assert tool_in(7) is None


@pytest.mark.parametrize("name", ["", "a b", "naïve", "x" * 65, "a.b"])
def test_a_name_that_providers_of_models_refuse_is_refused(name: str):
    with pytest.raises(AgentLoadError, match="letters"):
        forebay.tool(name)(lambda: None)


# --- what a model is told -----------------------------------------------------------------------


def test_the_schema_says_types_defaults_and_what_is_required():
    def search(
        query: str,
        limit: int = 5,
        deep: bool = False,
        kind: Literal["web", "news"] = "web",
        color: Color = Color.RED,
        tags: list[str] | None = None,
    ) -> None: ...

    assert schema(search) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["query"],
        "$defs": {"Color": {"enum": ["red", "blue"], "type": "string"}},
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "default": 5},
            "deep": {"type": "boolean", "default": False},
            "kind": {"type": "string", "enum": ["web", "news"], "default": "web"},
            "color": {"$ref": "#/$defs/Color", "default": "red"},
            "tags": {
                "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                "default": None,
            },
        },
    }


def test_a_property_called_title_is_kept_though_titles_are_left_out():
    def visit(place: Place, title: str = "Title") -> None: ...

    found = schema(visit)
    assert found["properties"]["title"] == {"type": "string", "default": "Title"}
    assert found["$defs"]["Place"]["properties"]["title"] == {"type": "string"}
    assert "title" not in found
    assert "title" not in found["$defs"]["Place"]


def test_a_tool_may_have_no_arguments():
    async def ping() -> str:
        return "pong"

    assert schema(ping) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_an_argument_is_described_by_its_annotation():
    def look(
        city: Annotated[str, pydantic.Field(description="The city, in English", min_length=2)],
        days: Annotated[int, "How many days"] = 1,
    ) -> None:
        """Looks.

        Args:
            city: Not this.
        """

    assert properties(look) == {
        "city": {"type": "string", "minLength": 2, "description": "The city, in English"},
        "days": {"type": "integer", "default": 1, "description": "How many days"},
    }


def google(city: str, days: int = 1) -> None:
    """Tells the weather.

    Only where there is some.

    Args:
        city (str): The city,
            in English.
        days: How many: one or more

    Returns:
        A text.

    Raises:
        ValueError: If there is none.
    """


def numpy(city: str, days: int = 1) -> None:
    """Tells the weather.

    Only where there is some.

    Parameters
    ----------
    city : str
        The city,
        in English.
    days
        How many: one or more

    Raises
    ------
    ValueError
        If there is none.
    """


def sphinx(city: str, days: int = 1) -> None:
    """Tells the weather.

    Only where there is some.

    :param city: The city,
        in English.
    :param int days: How many: one or more
    :type days: int
    :raises ValueError: If there is none.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_a_docstring_describes_the_tool_and_its_arguments(function: Callable[..., object]):
    tool = make_tool(function, "weather")
    assert tool.description.startswith("Tells the weather.\n\nOnly where there is some.")
    assert "ValueError" not in tool.description
    assert "city" not in tool.description
    found = properties(function)
    assert found["city"]["description"] == "The city, in English."
    assert found["days"]["description"] == "How many: one or more"


def test_what_a_docstring_says_of_the_result_stays_in_the_description():
    assert make_tool(google, "weather").description.endswith("Returns:\n    A text.")


def test_a_docstring_may_go_on_after_its_arguments():
    def look(city: str) -> None:
        """Looks.

        Args:
            city: The city.
        Costs nothing.
        """

    assert make_tool(look, "it").description == "Looks.\n\nCosts nothing."


def test_a_default_that_is_not_json_is_kept_but_not_shown():
    nothing = object()

    def look(city: str, marker: Any = nothing, folder: Path = Path("a")) -> bool:
        return marker is nothing and folder == Path("a")

    found = schema(look)
    assert "default" not in found["properties"]["marker"]
    assert found["required"] == ["city"]
    assert make_tool(look, "it").call(Heard().blocking, {"city": "Rome"}) is True


# --- reading arguments --------------------------------------------------------------------------


async def test_arguments_are_read_by_their_annotations():
    async def take(
        place: Place,
        point: Point,
        options: Options,
        color: Color,
        day: date,
        amount: Decimal,
        key: UUID,
        names: set[str],
        pairs: list[tuple[int, str]],
        anything,  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    ) -> bool:
        assert place == Place(title="Rome", zip=7)
        assert point == Point(1.5)
        assert options == {"depth": 2}
        assert color is Color.BLUE
        assert day == date(2026, 11, 20)
        assert amount == Decimal("1.10")
        assert key == UUID(int=7)
        assert names == {"a", "b"}
        assert pairs == [(1, "a")]
        assert anything == {"x": [None]}
        return True

    given: dict[str, Json] = {
        "place": {"title": "Rome", "zip": 7},
        "point": {"x": 1.5},
        "options": {"depth": 2},
        "color": "blue",
        "day": "2026-11-20",
        "amount": "1.10",
        "key": str(UUID(int=7)),
        "names": ["a", "b", "a"],
        "pairs": [[1, "a"]],
        "anything": {"x": [None]},
    }
    tool = make_tool(cast(Callable[..., object], take), "it")
    assert await use(tool, given) is True


async def test_names_that_models_have_of_their_own_may_be_arguments():
    def take(schema: str, copy: int, model_config: str, self_: str = "s", _private: int = 1) -> Any:
        return [schema, copy, model_config, self_, _private]

    given: dict[str, Json] = {"schema": "a", "copy": 2, "model_config": "c", "_private": 3}
    assert await use(make_tool(take, "it"), given) == ["a", 2, "c", "s", 3]


async def test_parameters_may_be_positional_only_or_keyword_only():
    def take(first: int, /, second: int, *, third: int = 3) -> Any:
        return [first, second, third]

    assert await use(make_tool(take, "it"), {"second": 2, "first": 1}) == [1, 2, 3]


async def test_each_call_has_its_own_default():
    def take(names: list[str] = []) -> list[str]:  # noqa: B006 -- what users write
        names.append("x")
        return names

    tool = make_tool(take, "it")
    assert await use(tool, {}) == ["x"]
    assert await use(tool, {}) == ["x"]


async def test_annotations_as_texts_are_read():
    def take(city: "str", ctx_free: "list[int] | None" = None) -> str:
        return city

    assert "city" in await refusal(take, {"city": 7})


async def test_a_refusal_tells_what_is_wrong_with_which_argument():
    def look(city: str, days: int, kind: Literal["web", "news"] = "web") -> None: ...

    said = await refusal(look, {"city": ["x"], "kind": "old", "town": "Rome"})
    assert said == (
        "it does not take these arguments. city: Input should be a valid string; "
        "days: is missing; kind: Input should be 'web' or 'news'; "
        "town: there is no such argument. Its arguments are: city, days, kind."
    )


async def test_a_refusal_names_the_place_inside_an_argument():
    def visit(places: list[Place]) -> None: ...

    said = await refusal(visit, {"places": [{"title": "Rome"}, {"title": "Oslo", "zip": -1}]})
    assert "places.1.zip: Input should be greater than or equal to 0" in said


async def test_a_refusal_of_a_tool_without_arguments_says_so():
    def ping() -> None: ...

    said = await refusal(ping, {"host": "a"})
    assert said == (
        "it does not take these arguments. host: there is no such argument. It takes none."
    )


async def test_a_refusal_never_repeats_what_was_given_and_has_no_links():
    def look(key: int, when: datetime, place: Place) -> None: ...

    said = await refusal(look, {"key": "s3cret", "when": "s3cret", "place": "s3cret"})
    assert "s3cret" not in said
    assert "http" not in said


async def test_a_refusal_lists_its_problems_as_data():
    def look(city: str) -> None: ...

    with pytest.raises(InvalidArguments) as caught:
        await use(make_tool(look, "it"), {})
    (problem,) = caught.value.problems
    assert (problem.location, problem.kind) == (("city",), "missing")


def test_an_async_tool_refuses_before_anything_is_awaited():
    async def look(city: str) -> None: ...

    with pytest.raises(InvalidArguments):
        make_tool(look, "it").call(Heard().asynchronous, {})


async def test_an_error_of_the_body_is_not_taken_for_wrong_arguments():
    def look(city: str) -> None:
        Place.model_validate({"zip": city})

    with pytest.raises(pydantic.ValidationError):
        await use(make_tool(look, "it"), {"city": "Rome"})


# --- the context --------------------------------------------------------------------------------


async def named(ctx: Any, city: str) -> str:
    ctx.say(city)
    return "done"


async def called_context(context: Any, city: str) -> str:
    context.say(city)
    return "done"


async def annotated(inside: Context, city: str) -> str:
    inside.say(city)
    return "done"


def blocking(run: BlockingContext, city: str) -> str:
    run.say(city)
    return "done"


async def keyword(*, ctx: Context, city: str) -> str:
    ctx.say(city)
    return "done"


@pytest.mark.parametrize("function", [named, called_context, annotated, blocking, keyword])
async def test_a_first_parameter_may_take_the_context(function: Callable[..., object]):
    heard = Heard()
    assert await use(make_tool(function, "it"), {"city": "Rome"}, heard) == "done"
    assert heard.said == ["Rome"]
    assert list(properties(function)) == ["city"]


async def test_a_model_cannot_give_the_context():
    assert "ctx: there is no such argument" in await refusal(named, {"city": "Rome", "ctx": 1})


# --- what is called -----------------------------------------------------------------------------


class Atlas:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def find(self, city: str) -> str:
        """Finds a city."""
        return self.prefix + city

    async def __call__(self, city: str) -> str:
        return self.prefix + city


async def test_a_bound_method_an_object_and_a_part_of_a_function_can_be_tools():
    def join(prefix: str, city: str) -> str:
        """Joins."""
        return prefix + city

    method = make_tool(Atlas("in ").find, "find")
    thing = make_tool(Atlas("at "), "call")
    part = make_tool(functools.partial(join, "to "), "join")
    assert [each.blocks for each in (method, thing, part)] == [True, False, True]
    assert method.description == "Finds a city."
    assert part.description == "Joins."
    assert await use(method, {"city": "Rome"}) == "in Rome"
    assert await use(thing, {"city": "Rome"}) == "at Rome"
    assert await use(part, {"city": "Rome"}) == "to Rome"


def variadic(*cities: str) -> None: ...


def open_ended(**options: str) -> None: ...


def yields(city: str) -> Generator[str]:
    yield city


async def yields_later(city: str) -> AsyncGenerator[str]:
    yield city


def with_field(city: str = pydantic.Field("Rome")) -> None: ...


def not_describable(found: Found) -> None: ...


def not_a_type(city: "Nowhere") -> None: ...  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (variadic, r"\*cities"),
        (open_ended, r"\*\*options"),
        (yields, "cannot yield"),
        (yields_later, "cannot yield"),
        (with_field, "Annotated"),
        (not_describable, "annotation cannot be read"),
        (not_a_type, "annotation cannot be read"),  # pyright: ignore[reportUnknownArgumentType]
        (Atlas.find, "a method"),
        (min, "no signature"),
        (Atlas, "made of a function"),
    ],
)
def test_what_no_model_can_call_is_refused_when_it_is_made(
    function: Callable[..., object], reason: str
):
    with pytest.raises(AgentLoadError, match=f"^Tool 'it': .*{reason}"):
        make_tool(function, "it")


@pytest.mark.parametrize("seconds", [0, -1.0])
def test_a_time_limit_has_to_be_one(seconds: float):
    with pytest.raises(AgentLoadError, match="time limit"):
        make_tool(google, "it", timeout_seconds=seconds)


# --- what comes back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, None),
        ({"a": [1, 2.5, None]}, {"a": [1, 2.5, None]}),
        (Place(title="Rome"), {"title": "Rome", "zip": 0}),
        ([Place(title="Rome")], [{"title": "Rome", "zip": 0}]),
        (Point(1.0), {"x": 1.0, "y": 0.0}),
        (Found("a"), {"url": "a", "score": None}),
        (Color.RED, "red"),
        (datetime(2026, 11, 20, tzinfo=UTC), "2026-11-20T00:00:00Z"),
        (("a", 1), ["a", 1]),
        ({1: "a"}, {"1": "a"}),
    ],
)
async def test_a_result_becomes_json(result: object, expected: Json):
    def give() -> object:
        return result

    async def give_later() -> object:
        return result

    for function in (give, give_later):
        assert decode_json(encode_json(await use(make_tool(function, "it"), {}))) == expected


async def test_a_result_that_is_not_json_is_an_error_that_names_the_tool():
    async def give() -> object:
        return math

    with pytest.raises(TypeError, match="'it' returned a module"):
        await use(make_tool(give, "it"), {})


def test_a_tool_cannot_be_changed():
    tool = make_tool(google, "it")
    with pytest.raises(AttributeError):
        tool.name = "other"  # type: ignore[misc]
