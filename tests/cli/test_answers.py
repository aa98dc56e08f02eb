"""What people type as an answer, and what they are shown of a question."""

import pytest

from forebay.cli.answers import prompt_lines, read_answer
from forebay.core.events import Option, Prompt
from forebay.core.json import Json

CITIES = (
    Option("a", "Rome", "rome", "In Italy"),
    Option("b", "New York, NY", "new-york"),
    Option("c", "Oslo", "oslo"),
)
NUMBERS = (Option("3", "Few", "few"), Option("x", "Some", "1"), Option("y", "Many", "many"))


def test_a_question_is_shown_with_its_numbered_options() -> None:
    prompt = Prompt("Which city?", "radio", CITIES, default="oslo")
    assert prompt_lines(prompt) == [
        "Which city?",
        "  1  Rome  In Italy",
        "  2  New York, NY",
        "  3  Oslo",
        '  without an answer in time: "oslo"',
    ]


@pytest.mark.parametrize("typed", ["", "1", "[1, 2]", "a, b", "Rome", " spaces  stay "])
def test_text_is_taken_as_it_is(typed: str) -> None:
    assert read_answer(Prompt("Why?"), typed) == typed


@pytest.mark.parametrize("kind", ["binary_choice", "radio", "dropdown", "checkbox"])
@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("a", "a"),
        ("rome", "rome"),
        ("rOME", "a"),
        ("new york, ny", "b"),
        ("1", "a"),
        ("3", "c"),
    ],
)
def test_an_option_is_named_by_id_value_label_or_number(kind: str, typed: str, answer: str) -> None:
    assert read_answer(Prompt("Which?", kind, CITIES), typed) == answer


def test_ids_and_values_come_before_numbers() -> None:
    prompt = Prompt("How many?", "radio", NUMBERS)
    assert [read_answer(prompt, typed) for typed in ("1", "2", "3")] == ["1", "x", "3"]


@pytest.mark.parametrize("typed", ["0", "4", "Paris", "", "²"])
def test_what_is_no_option_is_left_for_the_server_to_refuse(typed: str) -> None:
    assert read_answer(Prompt("Which?", "radio", CITIES), typed) == typed
    assert read_answer(Prompt("Which?", "checkbox", CITIES), typed) == [typed]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("a,c", ["a", "c"]),
        ("1, oslo", ["a", "oslo"]),
        ('["rome", "b"]', ["rome", "b"]),
        ("[1, 3]", ["a", "c"]),
        ("[]", []),
        ("ROME, Paris", ["a", "Paris"]),
    ],
)
def test_several_options_have_commas_between_them_or_are_a_list(typed: str, answer: Json) -> None:
    assert read_answer(Prompt("Which?", "checkbox", CITIES), typed) == answer
