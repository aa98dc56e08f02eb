"""`python -m forebay.cli.reference` writes `docs/cli.md` from the parser."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import cast

from forebay.settings import Settings, variable

from .parser import EXIT_CODES, build_parser

_BAR = "\\|"  # inside a table
_SETTINGS = {field.name for field in fields(Settings)} | {"server"}
_SOURCES = {"sources": "agents"}
_HEAD = """\
# Command line

<!-- Written by `python -m forebay.cli.reference > docs/cli.md`; do not edit. -->

`serve`, `worker`, `run`, `migrate`, `check`, `doctor`, `backup` and `restore` read the settings
themselves: command line, then `FOREBAY_*` variables, then `.env`, then the workflow file (see
[settings](settings.md) and [workflows](workflows.md)).
`agents` and `runs` ask a server: `--server`, then `FOREBAY_SERVER`; the token they present is
`FOREBAY_TOKEN`. Errors are one line on standard error, or one for each thing that is wrong with a
workflow file; with `--json` they are `{"error": {"code": …, "message": …}}`.
"""


def reference() -> str:
    """The whole page."""
    codes = EXIT_CODES.removeprefix("exit codes: ").replace("\n", " ")
    commands = "\n".join(part for parser in _commands(build_parser()) for part in _page(parser))
    return f"{_HEAD}\nExit codes: {codes}\n{commands}"


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser itself and all parsers below it, in the order they were made."""
    yield parser
    for action in _actions(parser):
        for each in _subcommands(action).values():
            yield from _commands(each)


def _page(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"\n## {parser.prog}\n\n{parser.description}\n"
    yield "| | | variable |\n|---|---|---|"
    for action in _actions(parser):
        if action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        for name, each in _subcommands(action).items():
            yield _row(name, each.description or "", "")
        if not _subcommands(action):
            yield _row(_name(action), action.help or "", _variable(action.dest))


def _row(name: str, meaning: str, setting: str) -> str:
    cells = (f"`{name}`", meaning, f"`{setting}`" if setting else "")
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _name(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest.upper()
    named = metavar if isinstance(metavar, str) else " ".join(metavar)
    value = "|".join(map(str, action.choices or ())) or named
    if not action.option_strings:
        return f"{value} …" if action.nargs == "*" else str(value)
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def _variable(dest: str) -> str:
    name = _SOURCES.get(dest, dest)
    return variable(name) if name in _SETTINGS else ""


def _subcommands(action: argparse.Action) -> Mapping[str, argparse.ArgumentParser]:
    found = cast("Mapping[str, argparse.ArgumentParser] | Sequence[str] | None", action.choices)
    return found if isinstance(found, Mapping) else {}


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 -- argparse shows its options nowhere else


if __name__ == "__main__":
    print(reference(), end="")
