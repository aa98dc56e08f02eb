"""The OpenAPI document: from a table of a test, and the one of the whole server."""

import json
from typing import Any, Literal

import pydantic
import pytest
from openapi_spec_validator import validate

from forebay.core.errors import Denied, Full, KeyReused, RunNotFound
from forebay.core.events import TYPES
from forebay.dialects.native.errors import problem_response
from forebay.dialects.native.models import RunBody
from forebay.http.errors import status_of
from forebay.http.openapi import About, document, errors_of, operation_id
from forebay.http.routing import Body, Route
from tests.support.edge import route, say_hello
from tests.support.server import Server, serving


class Thing(pydantic.BaseModel):
    """A thing."""

    name: str = pydantic.Field(description="What it is called.")
    size: int | None = None


class Filter(pydantic.BaseModel):
    color: Literal["red", "blue"] = pydantic.Field(description="Which color.")
    limit: int = pydantic.Field(10, ge=1)
    after: str | None = None


class Told(pydantic.BaseModel):
    """An error."""

    code: str


ABOUT = About(
    "Things", "1.2", {problem_response: Body("An error", Told, "application/problem+json")}
)

TABLE = [
    route("GET", "/things", query=Filter, answers={200: Body("Things", Thing, also=("text/csv",))}),
    route(
        "POST",
        "/things/{thing}/parts",
        tag="things",
        description="Adds a part.",
        path_values={"thing": "Which thing."},
        headers={"Idempotency-Key": "Once only."},
        body=Thing,
        answers={201: Body("The part", Thing, headers={"Location": "Where it is."})},
        raises=(KeyReused, Full),
    ),
    route(
        "DELETE", "/things/{thing}/parts", answers={204: Body("It is gone")}, needs_database=False
    ),
]


def described(table: list[Route] = TABLE, about: About = ABOUT) -> dict[str, Any]:
    """The document of a table, as a client reads it."""
    return json.loads(json.dumps(document(table, about)))


def test_a_document_is_valid() -> None:
    validate(described())


def test_a_document_has_every_route_of_the_table() -> None:
    paths = described()["paths"]
    found = {(method, path) for path, item in paths.items() for method in item}
    assert found == {(row.method.lower(), row.path) for row in TABLE}


def test_an_operation_says_what_its_row_says() -> None:
    operation = described()["paths"]["/things/{thing}/parts"]["post"]
    assert operation["operationId"] == "post_things_thing_parts"
    assert operation["summary"] == "For a test"
    assert operation["description"] == "Adds a part."
    assert operation["tags"] == ["things"]
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
    }


def test_the_title_and_version_are_those_given() -> None:
    assert described()["info"] == {"title": "Things", "version": "1.2"}


def test_a_query_becomes_parameters_without_null() -> None:
    told = described()["paths"]["/things"]["get"]["parameters"]
    assert told == [
        {
            "name": "color",
            "in": "query",
            "required": True,
            "description": "Which color.",
            "schema": {"type": "string", "enum": ["red", "blue"]},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "default": 10},
        },
        {"name": "after", "in": "query", "required": False, "schema": {"type": "string"}},
    ]


def test_a_query_is_no_schema_of_its_own() -> None:
    assert set(described()["components"]["schemas"]) == {"Thing", "Told"}


def test_names_in_a_path_and_headers_become_parameters() -> None:
    told = described()["paths"]["/things/{thing}/parts"]["post"]["parameters"]
    assert [(each["in"], each["name"], each["required"]) for each in told] == [
        ("path", "thing", True),
        ("header", "Idempotency-Key", False),
    ]
    assert [each["description"] for each in told] == ["Which thing.", "Once only."]


def test_an_answer_has_its_media_types_and_headers() -> None:
    paths = described()["paths"]
    assert list(paths["/things"]["get"]["responses"]["200"]["content"]) == [
        "application/json",
        "text/csv",
    ]
    created = paths["/things/{thing}/parts"]["post"]["responses"]["201"]
    assert created["headers"]["Location"]["description"] == "Where it is."
    assert "content" not in paths["/things/{thing}/parts"]["delete"]["responses"]["204"]


def test_errors_stand_under_their_status_with_their_codes() -> None:
    responses = described()["paths"]["/things/{thing}/parts"]["post"]["responses"]
    assert {status: answer.get("x-codes") for status, answer in responses.items()} == {
        "201": None,
        "400": ["bad_json"],
        "403": ["foreign_host", "foreign_origin"],
        "409": ["idempotency_key_reused"],
        "413": ["body_too_large"],
        "415": ["unsupported_media_type"],
        "422": ["invalid_body"],
        "500": ["internal_error"],
        "503": ["database_unavailable", "migration_needed", "starting"],
        "507": ["error"],
    }
    conflict = responses["409"]
    assert conflict["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Told"}}
    }
    assert KeyReused.__doc__ is not None
    assert f"`idempotency_key_reused`: {KeyReused.__doc__}" in conflict["description"]
    assert list(responses["503"]["headers"]) == ["retry-after"]


def test_a_route_without_a_database_does_not_fail_with_it() -> None:
    assert "503" not in described()["paths"]["/things/{thing}/parts"]["delete"]["responses"]


def test_a_status_that_is_answer_and_error_shows_both() -> None:
    table = [route("GET", "/a", answers={503: Body("Not now", Thing)})]
    told = described(table)["paths"]["/a"]["get"]["responses"]["503"]
    assert told["description"].startswith("Not now\n\n- `database_unavailable`")
    assert set(told["content"]) == {"application/json", "application/problem+json"}


def test_two_errors_with_one_code_are_told_once_in_the_words_of_the_row() -> None:
    class Elsewhere(RunNotFound):
        """It is elsewhere."""

    table = [route("GET", "/a", raises=(Elsewhere, RunNotFound))]
    told = described(table)["paths"]["/a"]["get"]["responses"]["404"]
    assert told["description"] == "- `run_not_found`: It is elsewhere."


def test_a_given_schema_takes_the_place_of_a_model() -> None:
    about = About("Things", "1", ABOUT.errors, schemas={"Thing": {"type": "null"}, "Other": {}})
    schemas = described(about=about)["components"]["schemas"]
    assert schemas["Thing"] == {"type": "null"}
    assert schemas["Other"] == {}


def test_an_operator_route_may_ask_for_a_token() -> None:
    row = Route(
        method="GET", path="/a", handler=say_hello, access="operator", errors=problem_response,
        summary="",
    )  # fmt: skip
    assert "token_required" in {kind.code for kind in errors_of(row)}
    assert "token_required" not in {kind.code for kind in errors_of(route("GET", "/a"))}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", "get"),
        ("GET", "/api/runs/{run}/events", "get_api_runs_run_events"),
        ("GET", "/openapi.json", "get_openapi_json"),
    ],
)
def test_an_operation_id_follows_method_and_path(
    method: Literal["GET"], path: str, expected: str
) -> None:
    assert operation_id(route(method, path)) == expected


# --- the document of the server -----------------------------------------------------------------


async def of_server(server: Server) -> dict[str, Any]:
    answer = await server.client.get("/openapi.json")
    assert answer.status == 200
    return answer.json()


async def test_the_document_of_the_server_is_valid_and_complete() -> None:
    async with serving() as server:
        told = await of_server(server)
        validate(told)
        found = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
        assert found == {(row.method, row.path) for row in server.app.router.routes}


async def test_operation_ids_stay_what_generated_clients_know() -> None:
    async with serving() as server:
        told = await of_server(server)
    ids = [each["operationId"] for item in told["paths"].values() for each in item.values()]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {
        "post_api_runs",
        "get_api_runs",
        "get_api_runs_run",
        "delete_api_runs_run",
        "get_api_runs_run_events",
        "post_api_runs_run_cancel",
        "get_api_runs_run_objects_object",
        "get_api_agents",
        "get_health",
        "get_ready",
        "get_metrics",
    }


async def test_every_event_has_a_schema_and_is_one_of_an_entry() -> None:
    async with serving() as server:
        schemas = (await of_server(server))["components"]["schemas"]
    mapping = schemas["EventModel"]["discriminator"]["mapping"]
    assert set(mapping) == set(TYPES.values())
    for kind, name in TYPES.items():
        assert schemas[kind.__name__]["properties"]["type"] == {"enum": [name]}
        assert schemas[kind.__name__]["description"] == kind.__doc__


async def test_a_name_stands_for_one_schema() -> None:
    """A model and an event of one name would hide each other."""
    async with serving() as server:
        routes = server.app.router.routes
    models = {
        model.__name__
        for row in routes
        for model in (row.body, *(answer.model for answer in row.answers.values()))
        if model is not None
    }
    assert RunBody.__name__ in models
    assert not models & {kind.__name__ for kind in TYPES}


async def test_the_agents_of_the_server_are_told_with_what_they_take() -> None:
    async with serving() as server:
        told = (await of_server(server))["info"]["description"]
    assert "**echo**" in told
    assert '`{"type":"string"}`' in told


async def test_the_document_is_there_before_the_database_is() -> None:
    async with serving() as server:
        server.app.gate.closed_by = Denied()
        assert (await server.client.get("/openapi.json")).status == 200
        assert (await server.client.get("/docs")).status == 200


async def test_every_status_that_a_run_route_answers_with_an_error_is_in_the_document() -> None:
    async with serving() as server:
        told = await of_server(server)
    start: dict[str, Any] = told["paths"]["/api/runs"]["post"]["responses"]
    for row in server.app.router.routes:
        responses = told["paths"][row.path][row.method.lower()]["responses"]
        for kind in row.raises:
            assert kind.code in responses[str(status_of(kind()).value)]["x-codes"], row.path
    assert {"400", "401", "403", "404", "409", "413", "415", "422", "500", "503", "507"} < set(
        start
    )
