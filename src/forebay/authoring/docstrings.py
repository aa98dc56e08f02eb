"""Reading a docstring: what a function does, and what each of its parameters is.

The usual ways of writing are known: sections as Google and NumPy have them, and `:param name:`.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

_ARGUMENTS = ("args", "arguments", "parameters", "params")
_ERRORS = ("raises", "raise")
_HEADER = re.compile(r"(\w+):\s*")
_RULE = re.compile(r"-{3,}\s*")
_ITEM = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_RULED_ITEM = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?()")
_FIELD = re.compile(r":(\w+)(?:\s[^:]*?)??(\w*):\s*(.*)")


class Docstring(NamedTuple):
    """What a docstring says."""

    text: str
    """All of it that is not about parameters or errors."""
    parameters: dict[str, str]


def docstring_of(body: object) -> Docstring:
    """Read the docstring of a function."""
    text: list[str] = []
    parameters: dict[str, str] = {}
    for section in _sections((inspect.getdoc(body) or "").splitlines()):
        if section.word in _ARGUMENTS:
            parameters |= _items(section)
        elif section.word not in _ERRORS:
            text += _without_fields(section.lines, parameters)
    return Docstring("\n".join(text).strip(), parameters)


class _Section(NamedTuple):
    word: str
    is_ruled: bool
    """Whether its header is underlined, as NumPy has it: then it goes on until the next one."""
    lines: list[str]


def _sections(lines: list[str]) -> Iterator[_Section]:
    section = _Section("", False, [])
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        is_outside = bool(line) and not line[0].isspace()
        is_ruled = is_outside and _RULE.fullmatch(following) is not None
        header = _HEADER.fullmatch(line)
        if is_ruled:
            yield section
            section = _Section(line.strip().lower(), True, [])
        elif header is not None and header[1].lower() in (*_ARGUMENTS, *_ERRORS):
            yield section
            section = _Section(header[1].lower(), False, [])
            continue
        elif section.word and not section.is_ruled and is_outside:
            yield section
            section = _Section("", False, [])
        if _RULE.fullmatch(line) is None:
            section.lines.append(line)
    yield section


def _items(section: _Section) -> dict[str, str]:
    lines = [line for line in section.lines[section.is_ruled :] if line.strip()]
    outermost = min((_indent(line) for line in lines), default=0)
    found: dict[str, list[str]] = {}
    about: list[str] = []
    for line in lines:
        item = (_RULED_ITEM if section.is_ruled else _ITEM).fullmatch(line.strip())
        if _indent(line) > outermost:
            about.append(line.strip())
        elif item is not None:
            about = found.setdefault(item[1], [])
            about.append(item[2])
        else:
            about = []
    return {name: " ".join(said).strip() for name, said in found.items()}


def _without_fields(lines: list[str], parameters: dict[str, str]) -> Iterator[str]:
    """The lines that are no `:field:`; those of `:param name:` are put into `parameters`."""
    name: str | None = None
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is not None:
            name = found[2] if found[1] in ("param", "parameter", "arg", "argument") else ""
            if name:
                parameters[name] = found[3]
            elif found[1] in ("return", "returns"):
                name = None
                yield f"Returns: {found[3]}"
        elif name is not None and _indent(line):
            parameters.update({name: f"{parameters[name]} {line.strip()}"} if name else {})
        else:
            name = None
            yield line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
