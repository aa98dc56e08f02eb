"""What can be asked, and what answers it."""

import pytest

from forebay.core.errors import InvalidAnswer, InvalidPrompt
from forebay.core.events import Option, Prompt
from forebay.core.json import Json
from forebay.core.prompts import check_answer, check_prompt

RED, BLUE = Option("1", "Red", "red"), Option("2", "Blue", "blue", "like the sky")
CHOICES = ["radio", "dropdown", "binary_choice"]


def of(kind: str, *options: Option, **rest: object) -> Prompt:
    return Prompt("Which?", kind, options, **rest)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "prompt",
    [
        of("text"),
        of("text", required=False, placeholder="…", timeout_seconds=0.5, default="x"),
        of("notification"),
        of("binary_choice", RED, BLUE),
        of("radio", RED),
        of("checkbox", RED, BLUE, default=["1", "blue"]),
        of("dropdown", RED, BLUE, default="red"),
    ],
)
def test_a_prompt_that_can_be_answered(prompt: Prompt):
    check_prompt(prompt)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (of("poll"), "no prompt of kind 'poll'"),
        (of("text", RED), "exactly 0 options, not 1"),
        (of("notification", RED), "exactly 0 options"),
        (of("notification", default="x"), "nobody answers it"),
        (of("binary_choice", RED), "exactly 2 options, not 1"),
        (of("binary_choice", RED, BLUE, Option("3", "Green", "green")), "exactly 2 options"),
        (of("radio"), "at least 1 option, not 0"),
        (of("checkbox"), "at least 1 option"),
        (of("dropdown", RED, Option("1", "Other", "other")), "the same id"),
        (of("text", timeout_seconds=0), "more than 0"),
        (of("text", timeout_seconds=float("nan")), "more than 0"),
        (of("radio", RED, default="green"), "default of a prompt has to answer it"),
        (of("text", default=7), "default of a prompt has to answer it"),
    ],
)
def test_a_prompt_that_nobody_can_answer_is_refused(prompt: Prompt, told: str):
    with pytest.raises(InvalidPrompt, match=told):
        check_prompt(prompt)


@pytest.mark.parametrize(
    ("prompt", "answer", "taken"),
    [
        (of("text"), " some text ", " some text "),
        (of("text", required=False), "", ""),
        (of("text", required=False), None, ""),
        *((of(kind, RED, BLUE), "2", "blue") for kind in CHOICES),
        *((of(kind, RED, BLUE), "blue", "blue") for kind in CHOICES),
        *((of(kind, RED, BLUE), {"id": "2", "label": "Blue"}, "blue") for kind in CHOICES),
        *((of(kind, RED, BLUE), {"value": "red"}, "red") for kind in CHOICES),
        (of("radio", RED, required=False), None, None),
        (of("radio", Option("a", "", "b"), Option("b", "", "a")), "a", "b"),  # the id comes first
        (of("checkbox", RED, BLUE), "1", ["red"]),
        (of("checkbox", RED, BLUE), {"id": "1"}, ["red"]),
        (of("checkbox", RED, BLUE), ["2", {"value": "red"}, "blue"], ["blue", "red"]),
        (of("checkbox", RED, required=False), [], []),
        (of("checkbox", RED, required=False), None, []),
    ],
)
def test_an_answer_is_taken_as_its_plain_value(prompt: Prompt, answer: Json, taken: Json):
    assert check_answer(prompt, answer) == taken


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        (of("text"), ""),
        (of("text"), " \n"),
        (of("text"), None),
        (of("text"), 7),
        (of("text", required=False), ["x"]),
        *((of(kind, RED, BLUE), "green") for kind in CHOICES),
        *((of(kind, RED, BLUE), None) for kind in CHOICES),
        *((of(kind, RED, BLUE), 1) for kind in CHOICES),
        *((of(kind, RED, BLUE), ["1"]) for kind in CHOICES),
        *((of(kind, RED, BLUE), {"label": "Red"}) for kind in CHOICES),
        (of("radio", RED, required=False), ""),
        (of("checkbox", RED), []),
        (of("checkbox", RED), ["1", "green"]),
        (of("checkbox", RED), [["1"]]),
        (of("notification"), "thanks"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(prompt: Prompt, answer: Json):
    with pytest.raises(InvalidAnswer) as raised:
        check_answer(prompt, answer)
    (problem,) = raised.value.problems
    assert problem.location == ("answer",)
    assert problem.message == raised.value.message


def test_a_refused_choice_names_what_there_is():
    with pytest.raises(InvalidAnswer, match="'1', '2'"):
        check_answer(of("radio", RED, BLUE), "green")
