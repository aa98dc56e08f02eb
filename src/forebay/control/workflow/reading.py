"""Reading a workflow file: variables, bases, texts and overrides. Every value keeps its place."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forebay.core.json import Json

from .interpolation import CannotExpand, expand, expand_value
from .overriding import override
from .places import Keys, Place, Problem, refusal
from .tree import Node, each_text, merged, parse

TEXTS = (".j2", ".jinja", ".jinja2", ".md", ".prompt", ".template", ".tpl", ".txt")
"""Which files a `file://…` may name."""

_BASE = "base"
_TEXT = "file://"
_LARGEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """A workflow file with everything that it takes in."""

    path: Path
    root: Node
    files: tuple[Path, ...]
    """The file, its bases and its texts: what has to be looked at to know whether it changed."""
    unset: Mapping[Place, str] = field(default_factory=dict[Place, str])
    """Variables that it names and nobody has set."""

    @property
    def data(self) -> dict[str, Json]:
        """What it says, as plain values."""
        found = self.root.data()
        return found if isinstance(found, dict) else {}

    def place(self, keys: Sequence[str | int] = ()) -> Place:
        """Where this value stands, or the nearest one around it."""
        return self.root.at(keys).place

    def problem(self, keys: Keys, message: str) -> Problem:
        """Something that is wrong there, perhaps because a variable of this line is not set."""
        place = self.place(keys)
        if name := self.unset.get(place):
            message = f"{message} The variable {name} is not set, or empty."
        return Problem(place, keys, message)


def read_workflow(
    path: Path, environment: Mapping[str, str], overrides: Sequence[tuple[str, str]] = ()
) -> WorkflowFile:
    """Read a file with its bases and texts. Raises WorkflowError with all that is wrong."""
    reader = _Reader(environment)
    root = reader.read(path, ())
    for key, value in overrides:
        root = override(root, key, value, reader.problems)
    if reader.problems:
        raise refusal(reader.problems)
    return WorkflowFile(path, root, tuple(reader.files), reader.unset)


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.files: dict[Path, None] = {}
        self.unset: dict[Place, str] = {}
        self.problems: list[Problem] = []

    def read(self, path: Path, before: tuple[Path, ...]) -> Node:
        """A file on top of its base; `before` are those that led to it."""
        root = self._own(path)
        children = root.value
        if not isinstance(children, dict):
            raise refusal([Problem(root.place, (), "a workflow file has `key: value` lines.")])
        base = children.pop(_BASE, None)
        if base is None:
            return root
        if not isinstance(base.value, str) or not base.value:
            raise refusal(
                [Problem(base.place, (_BASE,), "it has to be the name of another workflow file.")]
            )
        below = Path(os.path.normpath(path.parent / base.value))
        chain = (*before, path)
        if below.resolve() in (each.resolve() for each in chain):
            told = " → ".join(map(str, (*chain, below)))
            message = f"a file cannot be its own base: {told}."
            raise refusal([Problem(base.place, (_BASE,), message)])
        if not below.is_file():
            raise refusal([Problem(base.place, (_BASE,), f"there is no file {below}.")])
        return merged(self.read(below, chain), root)

    def _own(self, path: Path) -> Node:
        """What a file says itself."""
        try:
            expanded = expand(self._text(path), self._environment)
        except _CannotRead as error:
            raise refusal([Problem(Place("workflow file"), (), error.message)]) from error
        except CannotExpand as error:
            place = Place(str(path), error.line)
            raise refusal([Problem(place, (), error.message)]) from error
        for line, name in expanded.unset.items():
            self.unset[Place(str(path), line)] = name
        root = parse(expanded.text, str(path), expanded.lines)

        def change(value: str, node: Node, keys: Keys) -> str:
            value = expand_value(value, self._environment)
            # An item of a list is a name or a URL, and left alone.
            if not value.startswith(_TEXT) or isinstance(keys[-1], int):
                return value
            return self._referred(path.parent, value.removeprefix(_TEXT), node.place, keys)

        return each_text(root, change) if isinstance(root.value, dict) else root

    def _referred(self, folder: Path, name: str, place: Place, keys: Keys) -> str:
        """The text that a value names instead of holding it."""
        found = (folder / name).resolve()
        if found.suffix.lower() not in TEXTS:
            suffixes = ", ".join(TEXTS)
            message = f"file:// reads texts only ({suffixes}), not {found.suffix or 'this file'}."
            self.problems.append(Problem(place, keys, message))
            return ""
        try:
            return self._text(found)
        except _CannotRead as error:
            self.problems.append(Problem(place, keys, error.message))
            return ""

    def _text(self, path: Path) -> str:
        try:
            data = path.read_bytes()
            self.files[path.absolute()] = None
            if len(data) > _LARGEST_BYTES:
                message = f"{path} is larger than {_LARGEST_BYTES // 2**20} MiB."
            else:
                return data.decode("utf-8-sig")
        except FileNotFoundError:
            message = f"there is no file {path}."
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}."
        except UnicodeDecodeError:
            message = f"{path} is not written in UTF-8."
        raise _CannotRead(message)


class _CannotRead(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
