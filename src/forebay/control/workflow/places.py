"""Where something stands in a workflow file, and what is wrong there.

A message names places, keys, types and names of components, never other values: they may be secret.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from forebay.core.errors import FieldProblem, WorkflowError

Keys: TypeAlias = tuple[str | int, ...]
"""What leads to a value: names, and numbers in lists."""

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, or an option of the command line."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    place: Place
    keys: Keys
    message: str

    def __str__(self) -> str:
        parts = (str(self.place), dotted(self.keys), self.message)
        return ": ".join(part for part in parts if part)


def dotted(keys: Sequence[str | int]) -> str:
    """Keys as they are written for people."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def shown(name: str) -> str:
    """A name in a message."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as the end of a message."""
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f" Did you mean {near[0]}?" if near else ""


def refusal(problems: Iterable[Problem]) -> WorkflowError:
    """An error that tells all of these, a line each, in the order of the file."""
    told = _in_order(dict.fromkeys(problems))
    return WorkflowError(
        "\n".join(map(str, told)),
        problems=[FieldProblem(each.keys, str(each), "workflow_error") for each in told],
    )


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    by_source: dict[str, list[Problem]] = {}
    for each in problems:
        by_source.setdefault(each.place.source, []).append(each)
    return [
        each
        for those in by_source.values()
        for each in sorted(those, key=lambda p: p.place.line or 0)
    ]
