"""calculator: what it computes, what it refuses, and that nothing makes it work for long."""

import json
import string
from decimal import Decimal, localcontext

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.builtins.tools.calculator import register
from forebay.builtins.tools.calculator.arithmetic import MAX_CHARACTERS, calculate
from forebay.core.codec import encode_json
from forebay.core.errors import InvalidArguments, ToolError
from tests.support.contexts import use

from .outside import Types, properties

TYPES = Types.of(register)


# --- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("7.5 % 2", 1.5),
        ("10 / 4", 2.5),
        ("10 / 5", 2),
        ("+5 - -5", 10),
        ("0x10 + 1_000", 1016),
        ("1.5e3", 1500),
        (".5", 0.5),
        ("-0.0", 0),
        ("0 ** 0", 1),
        ("2 ** -1", 0.5),
        ("(-2) ** 3", -8),
        ("0.5 ** 2", 0.25),
    ],
)
def test_arithmetic_is_that_of_python(expression: str, expected: float):
    found = calculate(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0.1 + 0.2", 0.3),
        ("19.99 * 3", 59.97),
        ("1 / 3 * 3", 1),
        ("100 * 1.1", 110),
        ("round(2.675, 2)", 2.68),
        ("sqrt(2) ** 2", 2),
        ("1.1 - 1", 0.1),
        ("4.35 * 100", 435),
        ("1e23 / 1e22", 10),
        ("1 / 7", 0.142857142857143),
        ("1.05 ** 30", 4.32194237515066),
        ("1.000123 ** 3650", 1.5666230697463),
    ],
)
def test_decimals_are_exact_where_floats_are_not(expression: str, expected: float):
    assert calculate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2^10", 1024),
        ("2^3+1", 9),
        ("3\N{MULTIPLICATION SIGN}4\N{DIVISION SIGN}2\N{MINUS SIGN}1", 5),
        ("5²", 25),
        ("2π / pi", 2),
    ],
)
def test_signs_that_people_write_are_read(expression: str, expected: float):
    if "2π" in expression:
        expression = expression.replace("2π", "2*π")
    assert calculate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sqrt(16)", 4),
        ("sqrt(10**2000) == 0", None),
        ("cbrt(-8)", -2),
        ("abs(-0.5)", 0.5),
        ("round(1234.5678, 2)", 1234.57),
        ("round(1234.5678, -2)", 1200),
        ("floor(-0.5)", -1),
        ("ceil(2.1)", 3),
        ("trunc(-2.9)", -2),
        ("min(3, 1, 2)", 1),
        ("max([3, 1, 2.5])", 3),
        ("sum(1, 2, 0.5)", 3.5),
        ("sum([0.1] )", 0.1),
        ("mean(1, 2)", 1.5),
        ("pow(2, 8)", 256),
        ("exp(0)", 1),
        ("ln(e)", 1),
        ("log(8, 2)", 3),
        ("log(1000, 10)", 3),
        ("log10(1000)", 3),
        ("log2(1024)", 10),
        ("sin(0) + cos(0)", 1),
        ("tan(pi / 4)", 1),
        ("atan2(1, 1) * 4 / pi", 1),
        ("degrees(pi)", 180),
        ("hypot(3, 4)", 5),
        ("factorial(10)", 3628800),
        ("comb(52, 5)", 2598960),
        ("perm(5, 2)", 20),
        ("gcd(12, 18)", 6),
        ("lcm(4, 6)", 12),
        ("tau / pi", 2),
    ],
)
def test_the_usual_functions_are_known(expression: str, expected: float | None):
    if expected is None:
        with pytest.raises(InvalidArguments):
            calculate(expression)
    else:
        assert calculate(expression) == expected


def test_whole_numbers_stay_whole_and_long_ones_are_texts():
    assert calculate("999999999999999") == 999_999_999_999_999
    assert calculate("10 ** 15") == "1000000000000000"
    assert calculate("2 ** 200 + 1") == str(2**200 + 1)
    assert calculate("factorial(100) / factorial(98)") == 9900
    assert calculate("sqrt(10 ** 2000)") == "1" + "0" * 1000


def test_a_long_sum_is_not_deep():
    assert calculate(" + ".join(["1"] * 500)) == 500


# --- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("1 +", "cannot be read"),
        ("15% of 80", "80 * 15 / 100"),
        ("5!", "factorial(5)"),
        ("x = 1 + 1", "without `=`"),
        ("1,000 + 1", "without a comma"),
        ("[1, 2]", "several values"),
        ("x + 1", "x is not known"),
        ("__import__('os')", "no function __import__"),
        ("open('/etc/passwd')", "no function open"),
        ("eval('1')", "no function eval"),
        ("(1).real", "not arithmetic"),
        ("sqrt.__class__", "not arithmetic"),
        ("sqrt(x=1)", "not arithmetic"),
        ("(lambda: 1)()", "not arithmetic"),
        ("'a' * 9", "not arithmetic"),
        ("True + 1", "not arithmetic"),
        ("2j", "not arithmetic"),
        ("1 < 2", "not arithmetic"),
        ("1 if 1 else 2", "not arithmetic"),
        ("[x for x in (1,)]", "not arithmetic"),
        ("1 << 99", "operators are"),
        ("6 & 3", "operators are"),
        ("~5", "not arithmetic"),
        ("sqrt()", "does not take these numbers"),
        ("factorial(3.5)", "whole"),
        ("atan2(1)", "how many"),
        ("gcd(1.5, 2)", "whole"),
    ],
)
def test_what_is_no_arithmetic_is_refused_with_what_to_write(expression: str, told: str):
    with pytest.raises(InvalidArguments) as caught:
        calculate(expression)
    assert told in caught.value.message
    assert caught.value.message.startswith("expression: ")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("1 / 0", "divides by zero"),
        ("1 // 0", "divides by zero"),
        ("5 % 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("0.0 ** -1.5", "divides by zero"),
        ("mean()", "divides by zero"),
        ("log(0)", "no real value"),
        ("sqrt(-1)", "no real value"),
        ("asin(2)", "no real value"),
        ("min()", "no real value"),
        ("(-8) ** (1 / 3)", "no real root"),
        ("exp(1000)", "too large"),
        ("1e400", "too large"),
    ],
)
def test_what_has_no_value_is_an_error_that_says_why(expression: str, told: str):
    with pytest.raises(ToolError) as caught:
        calculate(expression)
    assert told in caught.value.message
    assert not isinstance(caught.value, InvalidArguments)


HOSTILE = [
    "9**9**9",
    "9**9**9**9**9",
    "(9**999)**999",
    "2**2**9999999",
    "2**9999*2**9999*2**9999",
    "factorial(10**9)",
    "factorial(factorial(20))",
    "comb(10**9, 5*10**8)",
    "perm(10**6)",
    "round(1, 10**9)",
    "round(1/3, -10**9)",
    "1e308**1e308",
    "(1/3)**10**9",
    "1.0000001**10**12",
    "10**3000/3",
    f"lcm({','.join(f'2**9999-{each}' for each in range(1, 120))})",
    f"{'(' * 400}1{')' * 400}",
    f"{'-' * 1500}1",
    f"{'sqrt(' * 300}2{')' * 300}",
    f"{'2**' * 600}2",
    "1" * MAX_CHARACTERS,
    "9" * 5000,
    "1" + "+1" * 5000,
    f"1{'e' * 100}",
    "\0",
    "(" * 1000,
    "[" * 199 + "]" * 199,
]


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda each: each[:20])
def test_nothing_makes_it_work_for_long(expression: str):
    try:  # without bounds, each of these takes minutes or all memory
        calculate(expression)
    except ToolError as error:
        assert len(error.message) < 1000


@given(st.text(string.digits + "+-*/%().,e^ []sqrt" + "πabs", max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_there_is_a_number_or_a_typed_error(expression: str):
    try:
        found = calculate(expression)
    except ToolError:
        return
    assert json.loads(encode_json(found)) == found


@given(st.lists(st.decimals(-10_000, 10_000, places=3, allow_nan=False), min_size=2, max_size=8))
@settings(max_examples=100, deadline=None)
def test_sums_and_products_of_decimals_are_exact(numbers: list[Decimal]):
    with localcontext() as context:
        context.prec = 100
        total = sum(numbers, Decimal(0))
    assert Decimal(str(calculate("+".join(f"({each})" for each in numbers)))) == total


# --- the tool -----------------------------------------------------------------------------------


async def test_the_tool_takes_an_expression_and_explains_itself():
    tool = TYPES.tool("calculator")
    assert tool.name == "calculator"
    assert "arithmetic" in tool.description
    assert not tool.blocks
    assert list(properties(tool)) == ["expression"]
    assert "description" in properties(tool)["expression"]
    assert await use(tool, {"expression": "2 + 3"}) == 5


async def test_a_model_that_writes_something_else_is_told():
    with pytest.raises(InvalidArguments, match="expression: is missing; text: there is no such"):
        await use(TYPES.tool("calculator"), {"text": "2 + 3"})


def test_a_file_may_say_how_it_is_called():
    tool = TYPES.tool(
        "calculator", description="Does sums.", timeout_seconds=3, needs_approval=True
    )
    assert (tool.description, tool.timeout_seconds, tool.needs_approval) == ("Does sums.", 3, True)


def test_a_file_may_not_say_what_there_is_not():
    with pytest.raises(pydantic.ValidationError, match="precision"):
        TYPES.tool("calculator", precision=2)


# --- the group ----------------------------------------------------------------------------------


async def test_the_group_has_one_tool_for_each_operation():
    tools = {tool.name: tool for tool in await TYPES.group("calculator").tools()}
    assert list(tools) == [
        f"{name}" for name in ("add", "subtract", "multiply", "divide", "compare")
    ]
    assert await use(tools["add"], {"numbers": [0.1, 0.2, 4]}) == 4.3
    assert await use(tools["multiply"], {"numbers": [1.1, 3]}) == 3.3
    assert await use(tools["subtract"], {"numbers": [0.3, 0.1]}) == 0.2
    assert await use(tools["divide"], {"numbers": [1, 4]}) == 0.25


@pytest.mark.parametrize(
    ("numbers", "told"),
    [([2, 1.5], "2 is greater than 1.5."), ([1, 2], "1 is less than 2."), ([2, 2.0], "equal")],
)
async def test_the_group_compares(numbers: list[float], told: str):
    tools = {tool.name: tool for tool in await TYPES.group("calculator").tools()}
    assert told in await use(tools["compare"], {"numbers": list(numbers)})


async def test_the_group_refuses_what_cannot_be():
    tools = {tool.name: tool for tool in await TYPES.group("calculator").tools()}
    with pytest.raises(ToolError, match="divides by zero"):
        await use(tools["divide"], {"numbers": [1, 0]})
    with pytest.raises(InvalidArguments, match="at most 2"):
        await use(tools["subtract"], {"numbers": [1, 2, 3]})
    with pytest.raises(InvalidArguments, match="at least 2"):
        await use(tools["add"], {"numbers": [1]})


async def test_a_file_may_choose_among_the_operations():
    group = TYPES.group("calculator", include=["divide", "add"])
    assert [tool.name for tool in await group.tools()] == ["divide", "add"]
    group = TYPES.group("calculator", exclude=["compare", "add"])
    assert len(await group.tools()) == 3
    with pytest.raises(pydantic.ValidationError, match="there are: add"):
        TYPES.group("calculator", include=["square"])
