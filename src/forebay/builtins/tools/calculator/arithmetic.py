"""Arithmetic on text: only numbers, operators and the functions named here are known.

It is read as Python reads an expression, and never executed: a model wrote it.
"""

import ast
from collections.abc import Callable

from forebay.core.errors import InvalidArguments, ToolError

from .exact import CONSTANTS, FUNCTIONS, Number, called, combined, literal

MAX_CHARACTERS = 2000
_MAX_DEPTH = 100
_MAX_DIGITS = 15  # what every reader of JSON keeps of a number

_SIGNS = str.maketrans(
    {
        "^": "**",
        "²": "**2",
        "³": "**3",
        "\N{MULTIPLICATION SIGN}": "*",
        "\N{MIDDLE DOT}": "*",
        "\N{DIVISION SIGN}": "/",
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
    }
)


def calculate(expression: str) -> int | float | str:
    """The value of an expression, as `shown`. Raises InvalidArguments, ToolError."""
    return shown(lambda: _value(_parsed(expression), 0))


def shown(compute: Callable[[], Number]) -> int | float | str:
    """A value as JSON: a whole number that is too long for a number of JSON as a text.

    Raises ToolError for what has no value, or too large a one.
    """
    try:
        value = compute()
        if isinstance(value, int):
            return value if len(str(abs(value))) <= _MAX_DIGITS else str(value)
        rounded = float(f"{float(value):.{_MAX_DIGITS}g}")
    except ZeroDivisionError:
        raise ToolError("That divides by zero.") from None
    except OverflowError:
        raise ToolError("A number in it gets too large.") from None
    is_short = abs(rounded) < 10**_MAX_DIGITS
    return int(rounded) if is_short and rounded.is_integer() else rounded


# --- reading ------------------------------------------------------------------------------------


def _parsed(expression: str) -> ast.expr:
    text = expression.strip().translate(_SIGNS)
    if not text:
        raise InvalidArguments("expression: it is empty. Write one like (2 + 3) * 4.")
    if len(text) > MAX_CHARACTERS:
        raise InvalidArguments(f"expression: it has more than {MAX_CHARACTERS} characters.")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidArguments(f"expression: it cannot be read. {_advice(text)}") from None


def _advice(text: str) -> str:
    if "%" in text:
        return "`%` is the remainder: write 15% of 80 as 80 * 15 / 100."
    if "!" in text:
        return "Write 5! as factorial(5)."
    if "=" in text:
        return "Write only what is to be computed, without `=`."
    return "Write arithmetic with numbers, like (2 + 3) * sqrt(16) / 7."


# --- computing ----------------------------------------------------------------------------------


def _value(node: ast.expr, depth: int) -> Number:
    if depth > _MAX_DEPTH:
        raise InvalidArguments(f"expression: it is nested more than {_MAX_DEPTH} levels deep.")
    match node:
        case ast.BinOp():
            return _chain(node, depth)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = _value(operand, depth + 1)
            return -value if isinstance(sign, ast.USub) else value
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return literal(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=nodes, keywords=[]) if name in FUNCTIONS:
            return called(name, _arguments(nodes, depth + 1))
        case _:
            raise InvalidArguments(f"expression: {_reason(node)}")


def _chain(node: ast.BinOp, depth: int) -> Number:
    """`1 + 2 + 3 + …` is nested to the left, however long it is: it does not count as deep."""
    rights: list[tuple[ast.operator, ast.expr]] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp):
        rights.append((left.op, left.right))
        left = left.left
    value = _value(left, depth + 1)
    for sign, right in reversed(rights):
        value = combined(sign, value, _value(right, depth + 1))
    return value


def _arguments(nodes: list[ast.expr], depth: int) -> list[Number]:
    values: list[Number] = []
    for node in nodes:
        match node:
            case ast.List(elts=inner) | ast.Tuple(elts=inner):
                values += [_value(each, depth + 1) for each in inner]
            case _:
                values.append(_value(node, depth))
    return values


def _reason(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            known = ", ".join([*CONSTANTS, *FUNCTIONS])
            return f"{name[:50]} is not known. There are: {known}."
        case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
            return f"there is no function {name[:50]}. There are: {', '.join(FUNCTIONS)}."
        case ast.Tuple() | ast.List():
            return "it has several values. Write numbers without a comma, like 1234.5."
        case _:
            return "it has something in it that is not arithmetic with numbers."
