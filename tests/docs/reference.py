"""The parts of docs/ that are written from the code. `make docs` writes them; a test compares.

A page marks such a part with two comments, `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from forebay.core.errors import ForebayError, MigrationNeeded, StartError
from forebay.http.errors import headers_of, status_of
from forebay.settings import Settings, variable
from tests.support.errors import every_error, every_raised_error, one_of

DOCS = Path(__file__).parents[2] / "docs"

_PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TYPES: dict[type, str] = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should be."""
    found: dict[Path, str] = {}
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        if _PART.search(text):
            found[page] = _PART.sub(_written, text)
    return found


def _written(part: re.Match[str]) -> str:
    return f"{part[1]}\n{PARTS[part[2]]()}\n\n{part[3]}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- settings -----------------------------------------------------------------------------------


def _settings() -> str:
    hints: dict[str, Any] = get_type_hints(Settings)
    rows: list[list[str]] = []
    for setting in fields(Settings):
        names = [variable(setting.name), *setting.metadata["aliases"]]
        variables = ", ".join(f"`{name}`" for name in names)
        kind, default = _type_of(hints[setting.name]), _default(setting.default)
        rows.append([f"`{setting.name}`", variables, kind, default, setting.metadata["doc"]])
    return _table(["Setting", "Variable", "Type", "Default", "Meaning"], rows)


def _type_of(hint: Any) -> str:
    options = [each for each in get_args(hint) if each is not type(None)]
    if not options:
        return _TYPES[hint]
    return _TYPES[options[0]] if type(None) in get_args(hint) else "list"


def _default(value: object) -> str:
    assert value is not MISSING
    if value is None or value == ():
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


# --- errors -------------------------------------------------------------------------------------


def _errors() -> str:
    rows: dict[tuple[int, str], list[str]] = {}
    for kind in every_raised_error():
        error = one_of(kind)
        status = status_of(error)
        names = sorted(name.decode() for name, _ in headers_of(error))
        headers = ", ".join(f"`{name.title()}`" for name in names)
        row = [str(status.value), f"`{error.code}`", _meaning(kind), headers]
        rows[status.value, error.code] = row
    return _table(["Status", "Code", "Meaning", "Headers"], [rows[key] for key in sorted(rows)])


def _start_errors() -> str:
    kinds = sorted([*every_error(StartError), MigrationNeeded], key=lambda kind: kind.code)
    return _table(["Code", "Meaning"], [[f"`{kind.code}`", _meaning(kind)] for kind in kinds])


def _meaning(kind: type[ForebayError]) -> str:
    return (kind.__doc__ or "").strip()


PARTS: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "errors": _errors,
    "start-errors": _start_errors,
}


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, "utf-8")
