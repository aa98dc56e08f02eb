"""Numbers that stay exact as long as they can, and never grow out of bounds.

No operation here takes more than a few microseconds, whatever it is given.
"""

import ast
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from typing import TypeAlias

from forebay.core.errors import InvalidArguments, ToolError

Number: TypeAlias = int | Fraction | float
"""A Fraction is never a whole number: that is an int."""

_MAX_BITS = 10_000  # 3,010 digits
_MAX_ARGUMENT = 1000  # of factorial and the like


def kept(value: Number) -> Number:
    """The value if it is not too large; a fraction with too many digits becomes a float.

    Raises OverflowError, ToolError.
    """
    if isinstance(value, float):
        if math.isnan(value):
            raise ToolError("The result is not a number.")
        if math.isinf(value):
            raise OverflowError
        return value
    if value.denominator == 1:
        if value.numerator.bit_length() > _MAX_BITS:
            raise OverflowError
        return value.numerator
    return value if _bits(value) <= _MAX_BITS else float(value)


def literal(value: float) -> Number:
    """A number as it was written: 0.1 is a tenth, and not what a float makes of it."""
    if isinstance(value, int):
        return kept(value)
    return kept(Fraction(repr(value)) if math.isfinite(value) else value)


def combined(sign: ast.operator, left: Number, right: Number) -> Number:
    """The result of an operator. Raises ZeroDivisionError, OverflowError, ToolError."""
    match sign:
        case ast.Add():
            return kept(left + right)
        case ast.Sub():
            return kept(left - right)
        case ast.Mult():
            return kept(left * right)
        case ast.Div():
            return _divided(left, right)
        case ast.FloorDiv() | ast.Mod():
            return kept(left // right if isinstance(sign, ast.FloorDiv) else left % right)
        case ast.Pow():
            return power(left, right)
        case _:
            raise InvalidArguments("expression: the operators are + - * / // % and **.")


def _divided(left: Number, right: Number) -> Number:
    if isinstance(left, float) or isinstance(right, float):
        return kept(left / right)
    return kept(Fraction(left) / Fraction(right))


def power(base: Number, exponent: Number) -> Number:
    """Exact for whole exponents, if it does not get too long. Raises as `combined` does."""
    if base == 0 and exponent < 0:
        raise ZeroDivisionError
    if isinstance(exponent, int) and not isinstance(base, float):
        if abs(base) <= 1 and isinstance(base, int):
            return base if exponent % 2 else base * base if exponent else 1
        if _bits(base) * abs(exponent) <= _MAX_BITS:
            return kept(Fraction(base) ** exponent)
        if isinstance(base, int) and exponent > 0:
            raise OverflowError  # of whole numbers an exact result is expected
    result: float | complex = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ToolError("A negative number has no real root of that kind.")
    return kept(result)


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


# --- functions ----------------------------------------------------------------------------------


def called(name: str, values: list[Number]) -> Number:
    """The result of a function. Raises as `combined` does."""
    many, plain = _OF_MANY.get(name), _OF_FLOATS.get(name)
    if many is not None:
        function: Callable[..., Number] = many
    elif plain is not None:
        function = plain
    else:
        function = _OF_FEW[name]
    try:
        return kept(function(values) if many is not None else function(*values))
    except TypeError:
        raise InvalidArguments(
            f"expression: {name} does not take these numbers. Check how many it takes, and whether "
            "they have to be whole."
        ) from None
    except ValueError:
        raise ToolError(f"{name} has no real value there.") from None


def _whole(value: Number) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _small(value: Number) -> int:
    if _whole(value) > _MAX_ARGUMENT:
        raise OverflowError
    return _whole(value)


def _absolute(value: Number) -> Number:
    return abs(value)


def _rounded(value: Number, digits: Number = 0) -> Number:
    if abs(_whole(digits)) > _MAX_ARGUMENT // 10:
        raise OverflowError
    return round(Fraction(value), _whole(digits))


def _floor(value: Number) -> Number:
    return math.floor(value)


def _ceiling(value: Number) -> Number:
    return math.ceil(value)


def _truncated(value: Number) -> Number:
    return math.trunc(value)


def _root(value: Number) -> Number:
    if isinstance(value, int) and value >= 0 and math.isqrt(value) ** 2 == value:
        return math.isqrt(value)
    return math.sqrt(value)


def _logarithm(value: Number, base: Number = math.e) -> Number:
    # Of 2 and 10 there are exact results; and whole numbers may be larger than any float.
    if base == 2:
        return math.log2(value)
    if base == 10:
        return math.log10(value)
    return math.log(value) if base == math.e else math.log(value, base)


def _factorial(value: Number) -> Number:
    return math.factorial(_small(value))


def _combinations(count: Number, chosen: Number) -> Number:
    return math.comb(_small(count), _small(chosen))


def _permutations(count: Number, chosen: Number) -> Number:
    return math.perm(_small(count), _small(chosen))


def _least(values: list[Number]) -> Number:
    return min(values)


def _greatest(values: list[Number]) -> Number:
    return max(values)


def _total(values: list[Number]) -> Number:
    return reduce(lambda left, right: kept(left + right), values, 0)


def _mean(values: list[Number]) -> Number:
    return _divided(_total(values), len(values))


def _common_divisor(values: list[Number]) -> Number:
    return math.gcd(*map(_whole, values))


def _common_multiple(values: list[Number]) -> Number:
    found: Number = 1
    for value in values:
        found = kept(math.lcm(_whole(found), _whole(value)))
    return found


_OF_FEW: Mapping[str, Callable[..., Number]] = {
    "abs": _absolute,
    "round": _rounded,
    "floor": _floor,
    "ceil": _ceiling,
    "trunc": _truncated,
    "sqrt": _root,
    "pow": power,
    "log": _logarithm,
    "factorial": _factorial,
    "comb": _combinations,
    "perm": _permutations,
}
_OF_MANY: Mapping[str, Callable[[list[Number]], Number]] = {
    "min": _least,
    "max": _greatest,
    "sum": _total,
    "mean": _mean,
    "gcd": _common_divisor,
    "lcm": _common_multiple,
}
_OF_FLOATS: Mapping[str, Callable[..., float]] = {
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "cbrt": math.cbrt,
    "hypot": math.hypot,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "degrees": math.degrees,
    "radians": math.radians,
}
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e, "tau": math.tau}
FUNCTIONS = (*_OF_FEW, *_OF_MANY, *_OF_FLOATS)
