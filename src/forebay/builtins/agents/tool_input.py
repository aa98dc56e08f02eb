"""What a model has written, or another function has returned, as arguments of a tool."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import cast

from forebay.authoring.acting import as_text
from forebay.authoring.arguments import read_json
from forebay.core.codec import decode_json, encode_json
from forebay.core.json import Json
from forebay.core.messages import ToolSpec

_FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)\s*(?:```.*)?", re.DOTALL)
_NOTHING = ("", "none", "null", "n/a", "{}")
_LARGEST_LITERAL = 20_000  # characters: the parser of Python needs a lot of memory for more
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip


def arguments_of(text: str, spec: ToolSpec, *, fix_quotes: bool) -> dict[str, Json]:
    """The arguments that an input means. Raises ValueError, with a message for the model."""
    text = _unfenced(text.strip())
    properties, required = _parameters(spec)
    value = _structured(text, fix_quotes=fix_quotes)
    if isinstance(value, dict) and not _is_one_argument(value, properties):
        return value
    if text.lower() in _NOTHING and not required:
        return {}
    name = _the_one(properties, required)
    if name is not None:
        return {name: _as_kind(properties[name], text, value)}
    if not properties:
        return {}
    raise ValueError(f"A JSON object is needed, with: {', '.join(properties)}.")


def arguments_from(value: Json, spec: ToolSpec) -> dict[str, Json]:
    """The arguments that a value is to be. Raises ValueError."""
    properties, required = _parameters(spec)
    if isinstance(value, dict) and (not properties or set(value) <= set(properties)):
        return value
    text = as_text(value)
    read = _structured(text, fix_quotes=False) if isinstance(value, str) else value
    name = _the_one(properties, required)
    if name is not None:
        return {name: _as_kind(properties[name], text, read)}
    if isinstance(read, dict) or not properties:
        return read if isinstance(read, dict) else {}
    raise ValueError(f"{spec.name} needs an object with: {', '.join(properties)}.")


def _the_one(properties: Mapping[str, Json], required: Sequence[Json]) -> str | None:
    """The argument that is meant when one value is given."""
    names = list(properties)
    if len(names) != 1:
        names = [name for name in names if name in required]
    return names[0] if len(names) == 1 else None


def _parameters(spec: ToolSpec) -> tuple[dict[str, Json], list[Json]]:
    schema = spec.parameters if isinstance(spec.parameters, dict) else {}
    properties, required = schema.get("properties"), schema.get("required")
    return (
        properties if isinstance(properties, dict) else {},
        required if isinstance(required, list) else [],
    )


def _is_one_argument(value: dict[str, Json], properties: Mapping[str, Json]) -> bool:
    """Whether an object is itself what the one argument of a tool is to be."""
    if len(properties) != 1 or not value or set(value) & set(properties):
        return False
    (schema,) = properties.values()
    return isinstance(schema, dict) and schema.get("type") == "object"


def _structured(text: str, *, fix_quotes: bool) -> Json:
    """What the text is as JSON, or as something near to it; else the text."""
    try:
        return read_json(text)
    except ValueError:
        pass
    if not fix_quotes or not text.startswith(("{", "[")):
        return text
    if len(text) <= _LARGEST_LITERAL:
        try:
            value = ast.literal_eval(text)
            if isinstance(value, dict | list):
                return decode_json(encode_json(cast(Json, value)))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
    try:
        return read_json(text.replace("'", '"'))
    except ValueError:
        return text


def _as_kind(schema: Json, text: str, value: Json) -> Json:
    """The one argument of a tool: text stays text, whatever it looks like."""
    kinds = _kinds(schema)
    if any(_is_of(kind, value) for kind in kinds if kind != "string"):
        return value
    if "string" not in kinds and "array" in kinds and not isinstance(value, dict):
        return [value]
    if isinstance(value, str) and value != text:
        return value  # it stood in quotes
    is_quoted = len(text) > 1 and text[0] == text[-1] == "'"
    return text[1:-1] if is_quoted else text


def _is_of(kind: str, value: Json) -> bool:
    python = _KINDS.get(kind)
    if python is None or (isinstance(value, bool) and kind != "boolean"):
        return False
    return isinstance(value, python)


def _kinds(schema: Json) -> list[str]:
    if not isinstance(schema, dict):
        return []
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list):
        return [kind for choice in choices for kind in _kinds(choice)]
    given = schema.get("type", "string")
    several = given if isinstance(given, list) else [given]
    return [kind for kind in several if isinstance(kind, str)]


def _unfenced(text: str) -> str:
    if text.startswith("```"):
        found = _FENCED.fullmatch(text)
        if found is not None:
            return found[1].strip()
    return text.strip("`").strip() if text.startswith("`") else text
