"""JSON schemas as providers want them, and what to say to one that takes none."""

import re

from forebay.core.codec import encode_json
from forebay.core.json import Json

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", re.DOTALL)


def closed(schema: Json) -> tuple[Json, bool]:
    """The schema with objects that take no further members; whether it then is a strict one.

    OpenAI keeps to a schema strictly only if every object names all of its members as required
    and takes no others. One that does not is left as it is.
    """
    made = _closed(schema)
    return (made, True) if _is_strict(made) else (schema, False)


def in_words(schema: Json) -> str:
    """What a model is told that cannot be bound to a schema."""
    written = encode_json(schema).decode()
    return f"Answer with one JSON value that matches this JSON schema, and nothing else:\n{written}"


def bare(text: str) -> str:
    """The JSON in a text that has fences around it."""
    found = _FENCED.fullmatch(text)
    return found[1] if found else text


def _closed(schema: Json) -> Json:
    match schema:
        case list():
            return [_closed(each) for each in schema]
        case dict():
            made = {name: _closed(value) for name, value in schema.items()}
            if made.get("type") == "object" and "properties" in made:
                made.setdefault("additionalProperties", False)
            return made
        case _:
            return schema


def _is_strict(schema: Json) -> bool:
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        members, required = schema.get("properties"), schema.get("required", [])
        if not isinstance(members, dict) or not isinstance(required, list):
            return False
        if (
            set(members) != set(map(str, required))
            or schema.get("additionalProperties") is not False
        ):
            return False
    return "default" not in schema and all(map(_is_strict, schema.values()))
