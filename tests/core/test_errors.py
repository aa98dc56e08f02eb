"""Errors: a class per meaning, a stable code, and a sentence that can be shown."""

import re
from collections import defaultdict

import pytest

from forebay.core import errors
from forebay.core.errors import FieldProblem, ForebayError
from forebay.http import errors as http_errors  # registers those of HTTP itself
from tests.support.errors import FAMILIES, every_error

KINDS = every_error()


def test_the_errors_of_every_layer_are_known():
    assert {errors.RunNotFound, http_errors.PathNotFound, errors.DiskFull} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_message(kind: type[ForebayError]):
    error = ForebayError.__new__(kind)
    ForebayError.__init__(error)
    assert error.message == (kind.__doc__ or "").strip() != ""
    assert str(error) == error.message
    assert "\n" not in error.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_a_sentence(kind: type[ForebayError]):
    message = (kind.__doc__ or "").strip()
    assert message.endswith(".") or message == "Not Found"  # which clients of others compare


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_code_is_a_name_for_programs(kind: type[ForebayError]):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


def test_each_meaning_has_its_own_code():
    by_code: dict[str, set[str]] = defaultdict(set)
    for kind in KINDS:
        if kind not in FAMILIES:
            by_code[kind.code].add(kind.__name__)
    shared = {code: names for code, names in by_code.items() if len(names) > 1}
    # To a client an id that cannot be one and an id that nothing has are the same.
    assert shared == {"run_not_found": {"MalformedId", "RunNotFound"}}
    assert "error" not in by_code


def test_a_raise_may_bring_a_more_exact_message_and_problems():
    problem = FieldProblem(("body", "input"), "is missing", "missing")
    error = errors.InvalidBody("No input.", problems=[problem])
    assert (error.message, str(error), error.problems) == ("No input.", "No input.", (problem,))
    assert errors.InvalidBody().problems == ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_that_passes_says_when_to_come_again(kind: type[ForebayError]):
    passes = issubclass(kind, errors.Busy | errors.Unavailable | errors.Full)
    assert (kind.retry_after is not None) == passes
