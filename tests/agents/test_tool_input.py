"""What becomes arguments of a tool: texts of a model, and results of other functions."""

import pytest

from forebay.builtins.agents.tool_input import arguments_from, arguments_of
from forebay.core.json import Json
from forebay.core.messages import ToolSpec


def taking(*required: str, **properties: Json) -> ToolSpec:
    schema: Json = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(required),
    }
    return ToolSpec("it", "", schema)


TEXT = taking("q", q="string")
NUMBER = taking("n", n="integer")
TWO = taking("a", "b", a="string", b="number")
ONE_NEEDED = taking("a", a="string", b="number")
LIST = taking("items", items="array")
OBJECT = taking("payload", payload="object")
NOTHING = ToolSpec("it", "", {"type": "object", "properties": {}})
ANYTHING = ToolSpec("it", "", None)


@pytest.mark.parametrize(
    ("text", "spec", "arguments"),
    [
        ('{"q": "cats"}', TEXT, {"q": "cats"}),
        (
            "{'q': 'it\\'s', 'deep': None, 'yes': True}",
            TEXT,
            {"q": "it's", "deep": None, "yes": True},
        ),
        ("{'q': null}", TEXT, {"q": None}),
        ('```json\n{"q": "cats"}\n```', TEXT, {"q": "cats"}),
        ('```json\n{"q": "cats"}', TEXT, {"q": "cats"}),
        ("`cats`", TEXT, {"q": "cats"}),
        ("cats and dogs", TEXT, {"q": "cats and dogs"}),
        ('"cats"', TEXT, {"q": "cats"}),
        ("'cats'", TEXT, {"q": "cats"}),
        ("2 + 3", TEXT, {"q": "2 + 3"}),
        ("42", TEXT, {"q": "42"}),
        ("true", TEXT, {"q": "true"}),
        ("[1, 2]", TEXT, {"q": "[1, 2]"}),
        ("it's {odd", TEXT, {"q": "it's {odd"}),
        ("42", NUMBER, {"n": 42}),
        ("many", NUMBER, {"n": "many"}),
        ("true", NUMBER, {"n": "true"}),
        ("cats", ONE_NEEDED, {"a": "cats"}),
        ('{"a": "x", "b": 1}', TWO, {"a": "x", "b": 1}),
        ("[1, 2]", LIST, {"items": [1, 2]}),
        ("cats", LIST, {"items": ["cats"]}),
        ('{"x": 1}', OBJECT, {"payload": {"x": 1}}),
        ('{"payload": {"x": 1}}', OBJECT, {"payload": {"x": 1}}),
        ("", NOTHING, {}),
        ("None", NOTHING, {}),
        ("now", NOTHING, {}),
        ("{}", NOTHING, {}),
        ('{"x": 1}', NOTHING, {"x": 1}),
        ('{"x": 1}', ANYTHING, {"x": 1}),
        ("None", taking(a="string", b="string"), {}),
    ],
)
def test_what_a_model_writes_is_understood(text: str, spec: ToolSpec, arguments: Json) -> None:
    assert arguments_of(text, spec, fix_quotes=True) == arguments


def test_a_text_is_not_enough_for_several_arguments() -> None:
    with pytest.raises(ValueError, match="A JSON object is needed, with: a, b"):
        arguments_of("cats", TWO, fix_quotes=True)


def test_a_wrong_name_is_left_for_the_tool_to_tell() -> None:
    assert arguments_of('{"query": "cats"}', TEXT, fix_quotes=True) == {"query": "cats"}


def test_quotes_are_left_alone_if_so_configured() -> None:
    assert arguments_of("{'q': 'x'}", TEXT, fix_quotes=False) == {"q": "{'q': 'x'}"}


@pytest.mark.parametrize("text", ["{" * 30_000, "[" * 30_000, "{'a':" * 3_000, "{'a': x}"])
def test_absurd_input_is_text(text: str) -> None:
    assert arguments_of(text, TEXT, fix_quotes=True) == {"q": text}


@pytest.mark.parametrize(
    ("value", "spec", "arguments"),
    [
        ("cats", TEXT, {"q": "cats"}),
        ('{"q": "cats"}', TEXT, {"q": '{"q": "cats"}'}),
        ({"q": "cats"}, TEXT, {"q": "cats"}),
        ({"other": 1}, TEXT, {"q": '{"other":1}'}),
        ([1], TEXT, {"q": "[1]"}),
        (5, NUMBER, {"n": 5}),
        ("5", NUMBER, {"n": 5}),
        ([1], LIST, {"items": [1]}),
        ({"x": 1}, OBJECT, {"payload": {"x": 1}}),
        ('{"a": "x", "b": 1}', TWO, {"a": "x", "b": 1}),
        ("x", NOTHING, {}),
        ({"x": 1}, ANYTHING, {"x": 1}),
        (None, TEXT, {"q": ""}),
    ],
)
def test_a_result_becomes_arguments(value: Json, spec: ToolSpec, arguments: Json) -> None:
    assert arguments_from(value, spec) == arguments


def test_a_result_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="it needs an object with: a, b"):
        arguments_from("cats", TWO)
