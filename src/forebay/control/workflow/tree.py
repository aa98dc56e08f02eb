"""A YAML text as a tree whose nodes know where they stand. Nothing in it is executed or made.

Only what JSON has is read, besides merge keys; and only so much of it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import yaml

from forebay.core.json import Json

from .places import Keys, Place, Problem, refusal

Scalar: TypeAlias = str | int | float | bool | None

_MOST_NODES = 100_000
_DEEPEST = 64
_MERGE = "<<"
_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_TEXTS = frozenset({_TEXT, f"{_TAG}timestamp", f"{_TAG}value"})
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


@dataclass(frozen=True, slots=True, repr=False)  # a value may be a secret
class Node:
    """A value, and the line it or its key stands in."""

    value: "Scalar | dict[str, Node] | list[Node]"
    place: Place

    def data(self) -> Json:
        """The plain value."""
        if isinstance(self.value, dict):
            return {key: child.data() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.data() for child in self.value]
        return self.value

    def at(self, keys: Sequence[str | int]) -> "Node":
        """What these keys lead to, or the nearest node around it."""
        node = self
        for key in keys:
            children = node.value
            if isinstance(children, dict):
                below = children.get(str(key))
            elif isinstance(children, list) and isinstance(key, int) and key < len(children):
                below = children[key]
            else:
                below = None
            if below is None:
                break
            node = below
        return node


def each_text(node: Node, change: Callable[[str, Node, Keys], str], keys: Keys = ()) -> Node:
    """The same tree with changed texts."""
    if isinstance(node.value, dict):
        children = node.value.items()
        return replace(node, value={k: each_text(c, change, (*keys, k)) for k, c in children})
    if isinstance(node.value, list):
        items = enumerate(node.value)
        return replace(node, value=[each_text(c, change, (*keys, i)) for i, c in items])
    if isinstance(node.value, str):
        return replace(node, value=change(node.value, node, keys))
    return node


def merged(base: Node, over: Node) -> Node:
    """The second on top of the first: mappings are joined, everything else is replaced."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    children = dict(base.value)
    for key, child in over.value.items():
        children[key] = merged(children[key], child) if key in children else child
    return Node(children, over.place)


def parse(text: str, source: str, lines: Sequence[int] | None = None) -> Node:
    """Read a text; `lines` are where its lines stand in `source`. Raises WorkflowError."""
    return _Composer(text, source, lines).document()


def scalar_of(text: str) -> Scalar:
    """What a text without quotes means. Raises ValueError if it is no value after all."""
    loader = _LOADER("")
    node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text)
    return _scalar(loader, node)


def _scalar(loader: Any, node: yaml.ScalarNode) -> Scalar:
    if node.tag in _TEXTS:
        return node.value
    if node.tag == f"{_TAG}null":
        return None
    read = {
        f"{_TAG}bool": loader.construct_yaml_bool,
        f"{_TAG}int": loader.construct_yaml_int,
        f"{_TAG}float": loader.construct_yaml_float,
    }.get(node.tag)
    if read is None:
        raise ValueError
    return read(node)


class _Composer:
    def __init__(self, text: str, source: str, lines: Sequence[int] | None) -> None:
        self._source = source
        self._lines = lines
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._count = 0
        try:
            self._loader = _LOADER(text)
        except yaml.YAMLError as error:
            raise self._unreadable(error) from error

    def document(self) -> Node:
        try:
            self._loader.get_event()
            if self._loader.check_event(yaml.StreamEndEvent):
                return Node(None, Place(self._source))
            self._loader.get_event()
            root = self._node(1)
            self._loader.get_event()
            after = self._loader.get_event()
        except yaml.YAMLError as error:
            raise self._unreadable(error) from error
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._wrong(after, "a second document begins; only one is read.")
        return root

    def _node(self, depth: int) -> Node:
        event = self._loader.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > _DEEPEST:
            raise self._wrong(event, f"values stand in one another more than {_DEEPEST} deep.")
        before = self._count
        self._add(1, event)
        anchor: str | None = event.anchor
        if anchor is not None:
            self._open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            node = self._read_scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = node, self._count - before
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor in self._open:
            raise self._wrong(event, "an alias stands inside what it stands for.")
        if event.anchor not in self._anchors:
            raise self._wrong(event, "an alias (*…) stands for an anchor (&…) that is not there.")
        node, count = self._anchors[event.anchor]
        self._add(count, event)
        return Node(node.value, self._place(event))

    def _add(self, count: int, event: yaml.Event) -> None:
        self._count += count
        if self._count > _MOST_NODES:
            raise self._wrong(event, f"these are more than {_MOST_NODES:,} values.")

    def _read_scalar(self, event: yaml.ScalarEvent) -> Node:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        try:
            value = _scalar(self._loader, yaml.ScalarNode(tag, event.value))
        except ValueError as error:
            raise self._wrong(event, "this tag, or a value with it, is not read here.") from error
        return Node(value, self._place(event))

    def _sequence(self, event: yaml.SequenceStartEvent, depth: int) -> Node:
        self._refuse_tag(event, "seq")
        items: list[Node] = []
        while not self._loader.check_event(yaml.SequenceEndEvent):
            items.append(self._node(depth + 1))
        self._loader.get_event()
        return Node(items, self._place(event))

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Node:
        self._refuse_tag(event, "map")
        own: dict[str, Node] = {}
        brought: list[Node] = []
        while not self._loader.check_event(yaml.MappingEndEvent):
            key = self._loader.get_event()
            if not isinstance(key, yaml.ScalarEvent):
                raise self._wrong(key, "a key has to be a text.")
            child = self._node(depth + 1)
            if key.value == _MERGE and key.implicit[0]:
                brought += child.value if isinstance(child.value, list) else [child]
                continue
            if key.value in own:
                line = own[key.value].place.line
                raise self._wrong(key, f"this key stands in line {line} too.")
            own[key.value] = Node(child.value, self._place(key))
        self._loader.get_event()
        return Node(self._with_brought(event, own, brought), self._place(event))

    def _with_brought(
        self, event: yaml.Event, own: Mapping[str, Node], brought: Sequence[Node]
    ) -> dict[str, Node]:
        """What stands in a mapping itself comes first, then what earlier merge keys bring."""
        found: dict[str, Node] = {}
        for each in reversed(brought):
            if not isinstance(each.value, dict):
                raise self._wrong(event, f"{_MERGE} takes a mapping, or a list of mappings.")
            self._add(len(each.value), event)
            found |= each.value
        return found | dict(own)

    def _refuse_tag(self, event: Any, expected: str) -> None:
        if event.tag not in (None, "!", f"{_TAG}{expected}"):
            raise self._wrong(event, "this tag is not read here.")

    # --- places ---------------------------------------------------------------------------------

    def _place(self, event: yaml.Event) -> Place:
        return self._place_of(event.start_mark)

    def _place_of(self, mark: Any) -> Place:
        if self._lines is None:
            return Place(self._source)
        line: int = mark.line
        return Place(self._source, self._lines[min(line, len(self._lines) - 1)])

    def _wrong(self, event: yaml.Event, message: str) -> Exception:
        return refusal([Problem(self._place(event), (), message)])

    def _unreadable(self, error: yaml.YAMLError) -> Exception:
        mark = getattr(error, "problem_mark", None)
        place = self._place_of(mark) if mark is not None else Place(self._source)
        problem: str = getattr(error, "problem", None) or "there is a character that YAML has not"
        return refusal([Problem(place, (), f"this is no YAML: {_without_values(problem)}.")])


def _without_values(problem: str) -> str:
    """Without what it quotes, if that is more than a character: it may be a piece of a value."""
    return _QUOTED.sub(lambda quoted: quoted[0] if len(quoted[0]) <= 3 else "…", problem)
