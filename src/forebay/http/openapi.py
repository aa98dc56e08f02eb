"""The OpenAPI document: the route table in the words of OpenAPI 3.1.

Knows HTTP and the table, and nothing of the product: title, bodies of errors and further schemas
are given. What every route of its kind can answer is derived; a row names only what is its own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import pydantic
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from forebay.core.errors import (
    BadJson,
    BodyTooLarge,
    Broken,
    DatabaseUnavailable,
    ForebayError,
    ForeignHost,
    ForeignOrigin,
    InvalidBody,
    InvalidQuery,
    MigrationNeeded,
    Starting,
    TokenNotAccepted,
    TokenRequired,
)
from forebay.core.json import Json

from .errors import UnsupportedMediaType, headers_of, status_of
from .routing import Access, Body, ErrorShape, Route

Model: TypeAlias = type[pydantic.BaseModel]
Object: TypeAlias = dict[str, Json]

_SCHEMA = "#/components/schemas/{model}"
_OF_EVERY_ROUTE = (ForeignHost, ForeignOrigin, Broken)
_OF_A_BODY = (BadJson, InvalidBody, BodyTooLarge, UnsupportedMediaType)
_OF_A_DATABASE = (Starting, DatabaseUnavailable, MigrationNeeded)
_OF_ACCESS: dict[Access, tuple[type[ForebayError], ...]] = {
    "always open": (),
    "anonymous unless auth is required": (TokenNotAccepted,),
    "operator": (TokenRequired,),
}
_WITHOUT_BODY = (204, 304)
_HEADERS = {
    "retry-after": "Seconds after which to try again.",
    "www-authenticate": "How to authenticate.",
    "location": "Where to find what was made.",
}


@dataclass(frozen=True, slots=True)
class About:
    """What the document says of itself, and what the table does not know."""

    title: str
    version: str
    errors: Mapping[ErrorShape, Body]
    """The body that each shape gives to errors."""
    description: str = ""
    schemas: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Schemas beside those of the models; one of the same name takes the model's place."""


def document(routes: Sequence[Route], about: About) -> Object:
    """The whole document."""
    schemas = _Schemas(routes, about.errors)
    paths: dict[str, Object] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, about, schemas)
    return {
        "openapi": "3.1.0",
        "info": _told(
            title=about.title, version=about.version, description=about.description or None
        ),
        "paths": cast(Object, paths),
        "components": {"schemas": {**schemas.all, **about.schemas}},
    }


def operation_id(route: Route) -> str:
    """The name under which generated clients know a route. As stable as its method and path."""
    return "_".join([route.method.lower(), *re.findall(r"\w+", route.path)])


def errors_of(route: Route) -> list[type[ForebayError]]:
    """Everything a route may fail with: what its row says, and what all of its kind do."""
    found = [
        *route.raises,
        *(_OF_A_BODY if route.body else ()),
        *((InvalidQuery,) if route.query else ()),
        *_OF_ACCESS[route.access],
        *(_OF_A_DATABASE if route.needs_database else ()),
        *_OF_EVERY_ROUTE,
    ]
    return list(dict.fromkeys(found))


def _operation(route: Route, about: About, schemas: "_Schemas") -> Object:
    answers = {status: _answer(body, status, schemas) for status, body in route.answers.items()}
    error_body = about.errors[route.errors]
    for status, kinds in _by_status(errors_of(route)).items():
        failure = _failure(kinds, error_body, schemas)
        answers[status] = _either(answers[status], failure) if status in answers else failure
    return _told(
        operationId=operation_id(route),
        summary=route.summary,
        description=route.description or None,
        tags=[route.tag] if route.tag else None,
        parameters=_parameters(route, schemas) or None,
        requestBody=_request_body(route.body, schemas) if route.body else None,
        responses={str(status): answers[status] for status in sorted(answers)},
    )


# --- what is sent -------------------------------------------------------------------------------


def _parameters(route: Route, schemas: "_Schemas") -> list[Json]:
    found: list[Json] = [
        _parameter("path", name, route.path_values.get(name), required=True)
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if route.query is not None:
        shown = schemas.properties(route.query)
        found += [
            _parameter("query", name, about.description, about.is_required(), shown[name])
            for name, about in route.query.model_fields.items()
        ]
    found += [_parameter("header", name, about) for name, about in route.headers.items()]
    return found


def _parameter(
    place: str,
    name: str,
    description: str | None,
    required: bool = False,
    schema: Mapping[str, Json] | None = None,
) -> Object:
    shown = _without_null(schema) if schema else {"type": "string"}
    told = {"name": name, "in": place, "required": required, "schema": cast(Json, shown)}
    return told | _told(description=description)


def _without_null(schema: Mapping[str, Json]) -> Object:
    """A parameter is absent where a field would be null."""
    rest = {key: value for key, value in schema.items() if key != "description"}
    if rest.get("default", "") is None:
        del rest["default"]
    choices = rest.pop("anyOf", None)
    if not isinstance(choices, list):
        return rest
    some = [each for each in choices if each != {"type": "null"}]
    (only,) = some if len(some) == 1 else ({"anyOf": some},)
    return rest | cast(Object, only)


def _request_body(model: Model, schemas: "_Schemas") -> Object:
    content: Object = {"application/json": {"schema": schemas.of(model, "validation")}}
    return {"required": True, "content": content}


# --- what is answered ---------------------------------------------------------------------------


def _answer(body: Body, status: int, schemas: "_Schemas") -> Object:
    told: Object = {"description": body.description}
    if body.headers:
        told["headers"] = {name: _header(about) for name, about in body.headers.items()}
    if status not in _WITHOUT_BODY:
        told["content"] = {
            body.kind: _content(body, schemas),
            **{kind: {"schema": {"type": "string"}} for kind in body.also},
        }
    return told


def _content(body: Body, schemas: "_Schemas") -> Object:
    if body.model is not None:
        return {"schema": schemas.of(body.model, "serialization")}
    return {"schema": {} if body.kind.endswith("json") else {"type": "string"}}


def _failure(kinds: Sequence[type[ForebayError]], body: Body, schemas: "_Schemas") -> Object:
    errors = {kind.code: kind() for kind in reversed(kinds)}  # the row's own words come first
    headers = dict.fromkeys(
        name.decode() for error in errors.values() for name, _ in headers_of(error)
    )
    lines = [f"- `{code}`: {error.message}" for code, error in sorted(errors.items())]
    return {
        "description": "\n".join(lines),
        **_told(headers={name: _header(_HEADERS[name]) for name in headers} or None),
        "content": {body.kind: _content(body, schemas)},
        "x-codes": list[Json](sorted(errors)),
    }


def _either(answer: Object, failure: Object) -> Object:
    """One status that a route uses for an answer of its own and for errors."""
    merged = failure | answer
    merged["description"] = f"{answer['description']}\n\n{failure['description']}"
    for part in ("headers", "content"):
        both = {**_object(failure.get(part)), **_object(answer.get(part))}
        if both:
            merged[part] = both
    return merged


def _header(description: str) -> Object:
    return {"description": description, "schema": {"type": "string"}}


def _by_status(
    kinds: Iterable[type[ForebayError]],
) -> dict[int, list[type[ForebayError]]]:
    found: dict[int, list[type[ForebayError]]] = {}
    for kind in kinds:
        found.setdefault(status_of(kind()).value, []).append(kind)
    return found


# --- schemas ------------------------------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    """Without a title for each field: it would repeat the field's name in other letters."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


class _Schemas:
    """The schemas of every model in the table, each under one name."""

    def __init__(self, routes: Sequence[Route], errors: Mapping[ErrorShape, Body]) -> None:
        wanted = dict.fromkeys(_models(routes, errors))
        self._refs, found = models_json_schema(
            list(wanted), ref_template=_SCHEMA, schema_generator=_Generator
        )
        self.all = cast(Object, found.get("$defs", {}))
        queries = {route.query for route in routes if route.query is not None}
        self._queries = {query: self.all.pop(self._name(query, "validation")) for query in queries}

    def of(self, model: Model, mode: JsonSchemaMode) -> Json:
        """A reference to a model's schema."""
        return cast(Json, self._refs[model, mode])

    def properties(self, query: Model) -> Mapping[str, Mapping[str, Json]]:
        """The schemas of a query's parameters."""
        schema = _object(self._queries[query])
        return cast(Mapping[str, Mapping[str, Json]], schema.get("properties", {}))

    def _name(self, model: Model, mode: JsonSchemaMode) -> str:
        return self._refs[model, mode]["$ref"].rpartition("/")[2]


def _models(
    routes: Sequence[Route], errors: Mapping[ErrorShape, Body]
) -> Iterable[tuple[Model, JsonSchemaMode]]:
    for route in routes:
        for model in (route.body, route.query):
            if model is not None:
                yield model, "validation"
        for answer in (*route.answers.values(), errors[route.errors]):
            if answer.model is not None:
                yield answer.model, "serialization"


def _object(value: Json) -> Object:
    return value if isinstance(value, dict) else {}


def _told(**values: Json) -> Object:
    """An object without what is not there."""
    return {name: value for name, value in values.items() if value is not None}
