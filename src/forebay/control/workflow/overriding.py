"""Overrides: values of the command line put into the tree of a workflow file."""

from collections.abc import Sequence
from dataclasses import replace

from forebay.core.errors import WorkflowError

from .places import Keys, Place, Problem
from .tree import Node, parse, scalar_of

_OPTION = "--override"
_JSON = ("[", "{", '"', "'")


def override(root: Node, key: str, value: str, problems: list[Problem]) -> Node:
    """The tree with this value at this dotted path, which may be new. Adds what is wrong."""
    parts = key.split(".")
    try:
        if not all(parts):
            raise _CannotOverride((), f"{key!r} is no path such as llms.main.temperature.")
        return _put(root, (), parts, value)
    except _CannotOverride as error:
        problems.append(Problem(Place(_OPTION), error.keys, error.message))
        return root


class _CannotOverride(Exception):
    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.keys = keys
        self.message = message


def _put(node: Node, above: Keys, parts: Sequence[str], value: str) -> Node:
    """The node with the value put in below it."""
    first, rest = parts[0], parts[1:]
    if isinstance(node.value, list):
        return _put_in_list(node, above, parts, value)
    if not isinstance(node.value, dict):
        raise _CannotOverride(above, f"is no mapping, so that it can have no {first!r}.")
    keys = (*above, first)
    old = node.value.get(first)
    if not rest:
        new = _read(value, old, keys)
    else:
        new = _put(old or Node({}, Place(_OPTION)), keys, rest, value)
    return replace(node, value={**node.value, first: new})


def _put_in_list(node: Node, above: Keys, parts: Sequence[str], value: str) -> Node:
    assert isinstance(node.value, list)
    first, rest = parts[0], parts[1:]
    if not first.isdecimal() or int(first) >= len(node.value):
        raise _CannotOverride(above, f"is a list of {len(node.value)}: there is no {first!r}.")
    items, at = list(node.value), int(first)
    keys = (*above, at)
    items[at] = _put(items[at], keys, rest, value) if rest else _read(value, items[at], keys)
    return replace(node, value=items)


def _read(text: str, old: Node | None, keys: Keys) -> Node:
    """The value that a text means, seen beside the one it takes the place of."""
    if text.lstrip().startswith(_JSON):
        try:
            return parse(text, _OPTION)
        except WorkflowError as error:
            message = "the value begins like JSON, but cannot be read as it."
            raise _CannotOverride(keys, message) from error
    before = None if old is None else old.value
    if isinstance(before, list):
        items = [Node(part.strip(), Place(_OPTION)) for part in text.split(",")]
        return Node(items, Place(_OPTION))
    try:
        value = scalar_of(text) if text else ""
    except ValueError:
        value = text
    is_text = isinstance(before, str) and value is not None
    return Node(text if is_text else value, Place(_OPTION))
