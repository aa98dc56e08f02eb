"""calculator: arithmetic that is exact where a model guesses; as one tool, and as NAT's group."""

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Annotated, TypeAlias

import pydantic
from pydantic import ConfigDict, Field

from forebay.authoring import make_tool
from forebay.builtins.tools.configuration import ToolConfig, configured
from forebay.ports.components import Parts, Registry
from forebay.ports.tools import Tool

from .arithmetic import MAX_CHARACTERS, calculate, shown
from .exact import combined, literal

_Result: TypeAlias = int | float | str


class CalculatorConfig(ToolConfig):
    """A calculator."""


async def calculator(
    expression: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_CHARACTERS,
            description="Arithmetic with numbers, such as (2 + 3) * 4 / 7, 1.05 ** 30 or "
            "sqrt(2) * sin(pi / 4).",
        ),
    ],
) -> _Result:
    """Computes an arithmetic expression, exactly if that is possible.

    It knows + - * / // (whole part) % (remainder) ** (power), parentheses, pi, e, and functions
    such as sqrt, round, log, exp, sin, min, max, sum, mean, factorial, comb and gcd. It knows no
    variables and no units.
    """
    return calculate(expression)


def _calculator(name: str, config: CalculatorConfig, parts: Parts) -> Tool:
    del parts
    return configured(calculator, name, config)


# --- the group ----------------------------------------------------------------------------------

_Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
_Numbers = Annotated[
    list[_Number], Field(min_length=2, max_length=1000, description="Two or more numbers.")
]
_TwoNumbers = Annotated[
    list[_Number], Field(min_length=2, max_length=2, description="The first and the second number.")
]


async def add(numbers: _Numbers) -> _Result:
    """Adds numbers."""
    return _folded(ast.Add(), numbers)


async def subtract(numbers: _TwoNumbers) -> _Result:
    """Subtracts the second number from the first."""
    return _folded(ast.Sub(), numbers)


async def multiply(numbers: _Numbers) -> _Result:
    """Multiplies numbers."""
    return _folded(ast.Mult(), numbers)


async def divide(numbers: _TwoNumbers) -> _Result:
    """Divides the first number by the second."""
    return _folded(ast.Div(), numbers)


async def compare(numbers: _TwoNumbers) -> str:
    """Tells which of two numbers is greater."""
    first, second = numbers
    if first == second:
        return f"{first:g} is equal to {second:g}."
    return f"{first:g} is {'greater' if first > second else 'less'} than {second:g}."


def _folded(sign: ast.operator, numbers: Sequence[float]) -> _Result:
    return shown(lambda: reduce(partial(combined, sign), map(literal, numbers)))


_OPERATIONS: Mapping[str, Callable[..., object]] = {
    each.__name__: each for each in (add, subtract, multiply, divide, compare)
}


class CalculatorGroupConfig(pydantic.BaseModel):
    """A group of calculators that can do one thing each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include: list[str] = list(_OPERATIONS)
    exclude: list[str] = []
    middleware: list[str] = Field(default=[], json_schema_extra={"has_effect": False})

    @pydantic.field_validator("include", "exclude")
    @classmethod
    def _are_known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in _OPERATIONS:
                raise ValueError(f"there is no {name!r}; there are: {', '.join(_OPERATIONS)}")
        return names


class CalculatorGroup:
    """Implements ports.tools.ToolGroup."""

    def __init__(self, name: str, config: CalculatorGroupConfig) -> None:
        self.name = name
        wanted = [each for each in config.include if each not in config.exclude]
        self._tools = [make_tool(_OPERATIONS[each], each) for each in wanted]

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def aclose(self) -> None:
        pass


def _group(name: str, config: CalculatorGroupConfig, parts: Parts) -> CalculatorGroup:
    del parts
    return CalculatorGroup(name, config)


def register(registry: Registry) -> None:
    """Make the calculators known."""
    registry.add_function("calculator", CalculatorConfig, _calculator)
    registry.add_group("calculator", CalculatorGroupConfig, _group)
