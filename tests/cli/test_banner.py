"""What a server says of itself, and the inputs it makes up."""

from typing import Any

import jsonschema
import pydantic
import pytest

from forebay.authoring import make_agent
from forebay.cli.banner import banner_of, database_name, warnings_of
from forebay.cli.example import example_of
from forebay.cli.listen import Listening, listen
from forebay.settings import Settings


class Point(pydantic.BaseModel):
    x: int = pydantic.Field(gt=10)
    y: float = 0.5


class Shape(pydantic.BaseModel):
    name: str
    corners: list[Point] = pydantic.Field(min_length=1)
    kind: int | str
    filled: bool
    nothing: None
    color: str = "red"
    depth: int = pydantic.Field(ge=3, examples=[7])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": "integer", "minimum": 4},
        {"type": "array", "items": {"type": "number"}, "minItems": 1},
        {"enum": ["a", "b"]},
        {"const": 3},
        Shape.model_json_schema(),
        pydantic.TypeAdapter(list[Shape]).json_schema(),
        pydantic.TypeAdapter(dict[str, int]).json_schema(),
    ],
)
def test_an_example_is_what_the_schema_asks_for(schema: Any) -> None:
    jsonschema.validate(example_of(schema, text="hello"), schema)


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    schema: Any = {
        "$defs": {"Tree": {"type": "object", "properties": {"of": {"$ref": "#/$defs/Tree"}},
                           "required": ["of"]}},
        "$ref": "#/$defs/Tree",
    }  # fmt: skip
    assert example_of(schema, text="leaf")


@pytest.fixture
def listening() -> Any:
    listening = listen("127.0.0.1", 0)
    yield listening
    for each in listening.sockets:
        each.close()


def test_a_quote_in_an_input_stays_inside_the_line(listening: Listening) -> None:
    async def asks(text: str) -> str:
        return text

    agent = make_agent(asks, "it's")
    banner = banner_of(Settings(), listening, agent, named=True)
    assert """'{"agent": "it'"'"'s", """ in banner.commands["wait for the answer"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:hush@db:5432/forebay", "postgresql://me:***@db:5432/forebay"),
        ("memory:", "in memory: nothing is kept"),
        ("sqlite:////var/lib/forebay.db", "/var/lib/forebay.db"),
    ],
)
def test_the_database_is_named_without_its_password(url: str, name: str) -> None:
    assert database_name(Settings(db_url=url)) == name


def test_only_an_address_that_others_reach_is_warned_of() -> None:
    assert warnings_of(Settings()) == []
    assert warnings_of(Settings(host="::1")) == []
    assert "192.0.2.7" in warnings_of(Settings(host="192.0.2.7"))[0]
