"""Variables in a text."""

import pytest

from forebay.control.workflow.interpolation import CannotExpand, expand, expand_value

SET = {"A": "aa", "EMPTY": "", "LINES": "one\ntwo", "OTHER": "${A}"}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("${A}", "aa"),
        ("x${A}y${A}", "xaayaa"),
        ("${UNSET}", ""),
        ("${UNSET:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${A:-d}", "aa"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a b: #c}", "a b: #c"),
        ("${UNSET:-${A}}", "aa"),
        ("${UNSET:-x${UNSET:-${UNSET:-deep}}y}", "xdeepy"),
        ("${UNSET:-{}}", "{}"),
        ("{${A}}", "{aa}"),
        ("$A $ $$ {A} costs $5", "$A $ $$ {A} costs $5"),
        ("$${A}", "$aa"),
        ("${OTHER}", "${A}"),
    ],
)
def test_only_names_in_braces_are_variables(text: str, means: str) -> None:
    assert expand(text, SET).text == means


def test_each_line_knows_where_it_came_from() -> None:
    text = "1\n${LINES}\n3 ${UNSET:-a\nb}\n${A}\n6"
    expanded = expand(text, SET)
    assert expanded.text.split("\n") == ["1", "one", "two", "3 a", "b", "aa", "6"]
    assert expanded.lines == [1, 2, 2, 3, 3, 5, 6]


def test_variables_that_nobody_has_set_are_known_by_their_lines() -> None:
    text = "1 ${A}\n${LINES}\n${B} ${C}\n${D:-}\n${EMPTY}"
    assert expand(text, SET).unset == {3: "B", 5: "EMPTY"}


@pytest.mark.parametrize("text", ["${A", "${}", "${1A}", "${A:+x}", "${A:?x}", "${A-x}", "${A.b}"])
def test_what_is_no_variable_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(CannotExpand) as raised:
        expand(f"one\ntwo {text}\n", SET)
    assert raised.value.line == 2


def test_a_default_without_end_is_refused() -> None:
    with pytest.raises(CannotExpand, match="not closed"):
        expand("${A:-x", SET)


def test_defaults_cannot_stand_in_one_another_without_end() -> None:
    with pytest.raises(CannotExpand, match="too deeply"):
        expand("${X:-" * 5000 + "}" * 5000, SET)


def test_a_variable_that_a_value_has_brought_is_read_too() -> None:
    assert expand_value("${OTHER}", SET) == "${A}"
    assert expand_value("x${A}", SET) == "xaa"


def test_a_value_that_only_looks_like_a_variable_stays_as_it_is() -> None:
    assert expand_value("pass${word", SET) == "pass${word"
