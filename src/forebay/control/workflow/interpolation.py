"""Variables in a text: `${NAME}` and `${NAME:-default}`. What is not set is empty."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_OPEN = "${"
_HEAD = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-)")
_DEEPEST = 20


class Expanded(NamedTuple):
    """A text with its variables put in."""

    text: str
    lines: list[int]
    """In which line of the original each of its lines begins, from 1."""
    unset: dict[int, str]
    """The variables that nobody has set, by the line of the original; of several the first."""


class CannotExpand(Exception):
    """What stands in a line cannot be read as a variable."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def expand(text: str, environment: Mapping[str, str]) -> Expanded:
    """Put the variables into a text. Raises CannotExpand."""
    parts: list[str] = []
    unset: dict[int, str] = {}
    lines, line, at = [1], 1, 0
    while (start := text.find(_OPEN, at)) >= 0:
        literal = text[at:start]
        for _ in range(literal.count("\n")):
            line += 1
            lines.append(line)
        try:
            value, at = _variable(text, start, environment, 0)
        except ValueError as error:
            raise CannotExpand(str(error), line) from error
        if not value and (head := _HEAD.match(text, start)) and head[2] == "}":
            unset.setdefault(line, head[1])
        parts += (literal, value)
        lines += [line] * value.count("\n")
        line += text.count("\n", start, at)
    parts.append(text[at:])
    lines += range(line + 1, line + 1 + text.count("\n", at))
    return Expanded("".join(parts), lines, unset)


def expand_value(text: str, environment: Mapping[str, str]) -> str:
    """Put in the variables that a value has brought, if all of them can be read."""
    if _OPEN not in text:
        return text
    try:
        return expand(text, environment).text
    except CannotExpand:
        return text  # a password may contain anything


def _variable(text: str, start: int, environment: Mapping[str, str], depth: int) -> tuple[str, int]:
    """The value of the variable that begins here, and where it ends. Raises ValueError."""
    head = _HEAD.match(text, start)
    if head is None:
        raise ValueError("${ begins neither ${NAME} nor ${NAME:-default}.")
    found = environment.get(head[1], "")
    if head[2] == "}":
        return found, head.end()
    end = _closing(text, head.end())
    if end is None:
        raise ValueError(f"${{{head[1]}:- is not closed by }}.")
    if depth == _DEEPEST:
        raise ValueError("defaults stand in one another too deeply.")
    return found or _inside(text[head.end() : end], environment, depth + 1), end + 1


def _inside(default: str, environment: Mapping[str, str], depth: int) -> str:
    parts: list[str] = []
    at = 0
    while (start := default.find(_OPEN, at)) >= 0:
        parts.append(default[at:start])
        value, at = _variable(default, start, environment, depth)
        parts.append(value)
    return "".join([*parts, default[at:]])


def _closing(text: str, start: int) -> int | None:
    """Where the brace is closed that was opened before."""
    depth = 1
    for found in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return None
