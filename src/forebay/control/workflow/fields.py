"""What a class of pydantic says about a part of a file: what is wrong, without effect, referred to.

The marks of a field are described in `ports/components.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

import pydantic
from pydantic.fields import FieldInfo

from forebay.core.json import Json

from .places import Keys, Problem, nearest, shown
from .reading import WorkflowFile
from .tree import Node

_UNDERSTOOD = {
    "llm_name": "llms",
    "embedder_name": "embedders",
    "tool_names": "functions",
    "config_name": "functions",
}
"""Fields that name components even without a mark, as NAT calls them."""


class Reference(NamedTuple):
    """A value that names a component."""

    keys: Keys
    section: str
    name: str


def problems_of(
    file: WorkflowFile,
    keys: Keys,
    config: type[pydantic.BaseModel],
    error: pydantic.ValidationError,
) -> list[Problem]:
    """What is wrong below these keys, each at its place and without the value."""
    told: dict[Keys, dict[str, None]] = {}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        where, is_there = _located(file, keys, each["loc"])
        message = _message(each["type"], each["msg"])
        if each["type"] == "extra_forbidden" and is_there:
            known = _names_below(config, where[len(keys) : -1])
            message = f"there is no such key.{nearest(str(where[-1]), known)}"
        told.setdefault(where, {})[message] = None
    return [file.problem(where, " Or: ".join(messages)) for where, messages in told.items()]


def without_effect(file: WorkflowFile, keys: Keys, config: pydantic.BaseModel) -> list[Keys]:
    """The keys that stand below these and change nothing here."""
    found: list[Keys] = []
    for each in _marked(config, keys, file.root.at(keys)):
        is_below = any(each.keys[: len(above)] == above for above in found)
        if each.mark.get("has_effect") is False and not is_below:
            found.append(each.keys)
    return found


def references(file: WorkflowFile, keys: Keys, config: pydantic.BaseModel) -> list[Reference]:
    """Every component that is named below these keys."""
    return [
        Reference(where, section, name)
        for each in _marked(config, keys, file.root.at(keys))
        if isinstance(section := each.mark.get("refers_to", _UNDERSTOOD.get(each.name)), str)
        for where, name in _texts(each.value, each.keys)
    ]


def is_of_group(name: str, groups: Iterable[str]) -> bool:
    """Whether this names what a group offers, which is not known before it is asked."""
    return any(name.startswith((f"{group}.", f"{group}__")) for group in groups)


def missing(reference: Reference, known: Iterable[str]) -> str:
    """What to say of a name that nothing has."""
    names = sorted(known)
    has = f"It has: {', '.join(names)}." if names else "It is empty."
    near = nearest(reference.name, names)
    return f"`{reference.section}` has no {shown(reference.name)}.{near} {has}"


# --- what is wrong ------------------------------------------------------------------------------


def _located(file: WorkflowFile, keys: Keys, location: Sequence[str | int]) -> tuple[Keys, bool]:
    """Where pydantic means, without the branches of unions that it names; and if that is there."""
    found, node = list(keys), file.root.at(keys)
    is_there = True
    for at, key in enumerate(location):
        below = node.at((key,))
        if below is not node:
            found.append(key)
            node = below
        elif at == len(location) - 1 and isinstance(key, str) and isinstance(node.value, dict):
            found.append(key)
            is_there = False
    return tuple(found), is_there


def _message(kind: str, message: str) -> str:
    if kind == "missing":
        return "this key is needed."
    if kind == "union_tag_invalid":  # whose message repeats the value
        return "this is none of the kinds that there are."
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message[:1].lower() + message[1:]
    return message if message.endswith((".", "!", "?")) else f"{message}."


def _names_below(config: type[pydantic.BaseModel] | None, keys: Keys) -> Iterator[str]:
    """Which keys there are where these lead to."""
    for key in keys:
        if config is not None and isinstance(key, str):
            config = _config_below(config, key)
    for name, field in config.model_fields.items() if config is not None else ():
        yield name
        yield from _aliases(field)


def _config_below(config: type[pydantic.BaseModel], key: str) -> type[pydantic.BaseModel] | None:
    for name, field in config.model_fields.items():
        if key in (name, *_aliases(field)):
            return next(_configs_in(field.annotation), None)
    return None


def _configs_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _configs_in(inner)


def _aliases(field: FieldInfo) -> Iterator[str]:
    for alias in (field.alias, field.validation_alias):
        if isinstance(alias, str):
            yield alias
        elif isinstance(alias, pydantic.AliasChoices):
            yield from (choice for choice in alias.choices if isinstance(choice, str))


# --- marks --------------------------------------------------------------------------------------


class _Marked(NamedTuple):
    name: str
    keys: Keys
    mark: Mapping[str, Json]
    value: object


def _marked(config: pydantic.BaseModel, keys: Keys, node: Node) -> Iterator[_Marked]:
    """Every field that is set, also those of configurations inside."""
    for name, field in type(config).model_fields.items():
        if name not in config.model_fields_set:
            continue
        value: object = getattr(config, name)
        written = _written(name, field, node)
        where = (*keys, written)
        yield _Marked(name, where, _mark(field), value)
        yield from _inside(value, where, node.at((written,)))


def _mark(field: FieldInfo) -> Mapping[str, Json]:
    extra = field.json_schema_extra
    return cast("Mapping[str, Json]", extra) if isinstance(extra, dict) else {}


def _written(name: str, field: FieldInfo, node: Node) -> str:
    """Under which of its names a field stands there."""
    names = (name, *_aliases(field))
    return next((each for each in names if node.at((each,)) is not node), name)


def _inside(value: object, keys: Keys, node: Node) -> Iterator[_Marked]:
    if isinstance(value, pydantic.BaseModel):
        yield from _marked(value, keys, node)
        return
    for key, item in _items(value):
        yield from _inside(item, (*keys, key), node.at((key,)))


def _items(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, list | tuple):
        yield from enumerate(cast("Sequence[object]", value))
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, object]", value).items():
            yield str(key), item


def _texts(value: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, str):
        yield keys, value
    for key, item in _items(value):
        yield from _texts(item, (*keys, key))
