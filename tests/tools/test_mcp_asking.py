"""What a server may ask people, and what it is told of their answers."""

from typing import Any, cast

import pytest
from mcp import types

from forebay.builtins.tools.mcp.asking import ask
from forebay.core.errors import QuestionTimedOut, RunFinished
from forebay.core.events import Prompt
from forebay.core.json import Json
from forebay.core.prompts import check_answer, check_prompt
from forebay.ports.agent import Context

from .mcp_parties import Person

_COLOURS: list[Json] = [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]
_STRING, _COUNT = {"type": "string"}, {"type": "integer"}


async def told(field: Json, answer: Json, *, required: bool = True) -> tuple[Prompt, Any]:
    """How a field is asked for, and what the server is told of this answer."""

    def answered(prompt: Prompt) -> Json:
        check_prompt(prompt)
        return check_answer(prompt, answer)

    person = Person(answered)
    schema = {"type": "object", "properties": {"x": field}, "required": ["x"] if required else []}
    params = types.ElicitRequestFormParams(message="Which?", requested_schema=schema)
    result = await ask(cast(Context, person), "g.t", params)
    [prompt] = person.prompts
    return prompt, result.content if result.action == "accept" else result.action


@pytest.mark.parametrize(
    ("field", "answer", "kind", "content"),
    [
        (_STRING, "Ada", "text", {"x": "Ada"}),
        (_COUNT, "12", "text", {"x": 12}),
        (_COUNT, "a dozen", "text", "decline"),
        ({"type": "number"}, "1.5", "text", {"x": 1.5}),
        ({"type": "boolean"}, "yes", "binary_choice", {"x": True}),
        ({"type": "boolean"}, "no", "binary_choice", {"x": False}),
        ({"type": "string", "enum": ["a", "b"]}, "b", "binary_choice", {"x": "b"}),
        ({"type": "string", "enum": ["a", "b", "c"]}, "b", "radio", {"x": "b"}),
        ({"type": "string", "enum": ["a"], "enumNames": ["A"]}, "a", "radio", {"x": "a"}),
        ({"type": "string", "oneOf": _COLOURS}, "g", "binary_choice", {"x": "g"}),
        (
            {"type": "array", "items": {"anyOf": _COLOURS}},
            ["g", "r"],
            "checkbox",
            {"x": ["g", "r"]},
        ),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, ["a"], "checkbox", {"x": ["a"]}),
    ],
)
async def test_one_field_is_one_question(
    field: Json, answer: Json, kind: str, content: Any
) -> None:
    prompt, said = await told(field, answer)
    assert (prompt.text, prompt.kind, said) == ("g.t asks: Which?", kind, content)


async def test_titles_are_shown_and_values_are_sent() -> None:
    prompt, said = await told({"type": "string", "oneOf": _COLOURS}, "r")
    assert [option.label for option in prompt.options] == ["Red", "Green"]
    assert said == {"x": "r"}


async def test_what_is_not_required_may_be_left_out() -> None:
    prompt, said = await told({"type": "string", "title": "Name"}, None, required=False)
    assert (prompt.required, prompt.placeholder, said) == (False, "Name", {})


async def test_a_form_without_fields_is_a_question_of_yes_or_no() -> None:
    params = types.ElicitRequestFormParams(message="Go?", requested_schema={"type": "object"})
    for answer, action in ("yes", "accept"), ("no", "decline"):
        person = Person(lambda prompt, answer=answer: answer)
        assert (await ask(cast(Context, person), "g.t", params)).action == action


@pytest.mark.parametrize(
    "params",
    [
        types.ElicitRequestFormParams(
            message="Who?", requested_schema={"properties": {"a": _STRING, "b": _STRING}}
        ),
        types.ElicitRequestFormParams(
            message="Who?", requested_schema={"properties": {"a": {"type": "object"}}}
        ),
        types.ElicitRequestFormParams(
            message="Who?", requested_schema={"properties": {"a": {"type": "array", "items": {}}}}
        ),
        types.ElicitRequestURLParams(message="Sign in", url="https://x", elicitation_id="1"),
    ],
)
async def test_everything_else_is_declined_and_nobody_is_asked(
    params: types.ElicitRequestParams,
) -> None:
    person = Person()
    assert (await ask(cast(Context, person), "g.t", params)).action == "decline"
    assert not person.prompts


@pytest.mark.parametrize("error", [QuestionTimedOut(), RunFinished()])
async def test_an_answer_that_never_comes_is_a_cancellation(error: Exception) -> None:
    def fail(prompt: Prompt) -> Json:
        raise error

    params = types.ElicitRequestFormParams(message="Go?", requested_schema={})
    assert (await ask(cast(Context, Person(fail)), "g.t", params)).action == "cancel"
