"""An input that an agent takes, made up from the JSON schema of its input."""

from collections.abc import Mapping
from typing import TypeGuard

from forebay.core.json import Json

_MOST_DEEP = 8


def example_of(schema: Json, *, text: str) -> Json:
    """A value that matches, with this text wherever any will do."""
    definitions = schema.get("$defs") if _is_object(schema) else None
    return _Examples(definitions if _is_object(definitions) else {}, text).of(schema, 0)


class _Examples:
    def __init__(self, definitions: Mapping[str, Json], text: str) -> None:
        self._definitions = definitions
        self._text = text

    def of(self, schema: Json, depth: int) -> Json:
        if not _is_object(schema) or depth > _MOST_DEEP:
            return self._text
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return self.of(self._definitions.get(name), depth + 1)
        given = _given(schema)
        if given is not None:
            return given[0]
        for choice in ("anyOf", "oneOf", "allOf"):
            options = schema.get(choice)
            if isinstance(options, list) and options:
                return self.of(options[0], depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Json], depth: int) -> Json:
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                items = schema.get("items")
                return [self.of(items, depth + 1)] if schema.get("minItems") else []
            case "integer" | "number":
                least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
                return least + 1 if isinstance(least, int | float) else 1
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text

    def _object(self, schema: Mapping[str, Json], depth: int) -> Json:
        properties, required = schema.get("properties"), schema.get("required")
        if not _is_object(properties) or not isinstance(required, list):
            return {}
        return {str(name): self.of(properties.get(str(name)), depth + 1) for name in required}


def _given(schema: Mapping[str, Json]) -> list[Json] | None:
    """A value that the schema itself brings."""
    for name in ("default", "const"):
        if name in schema:
            return [schema[name]]
    for name in ("examples", "enum"):
        values = schema.get(name)
        if isinstance(values, list) and values:
            return values[:1]
    return None


def _is_object(value: Json) -> TypeGuard[dict[str, Json]]:
    return isinstance(value, dict)
