"""Every error in the native shape: problem details of RFC 9457, with a code."""

import http

import pytest

from forebay.core.errors import FieldProblem, ForebayError, InvalidInput
from forebay.dialects.native.errors import problem_response
from forebay.dialects.native.models import Problem
from forebay.http.errors import status_of
from forebay.http.request import Request
from forebay.http.response import Answer
from tests.support.asgi import Client
from tests.support.edge import edge_of, route
from tests.support.errors import every_raised_error, one_of

KINDS = {kind.__name__: kind for kind in every_raised_error()}
SHAPES = {"native": problem_response}
"""The error shape of every dialect. A new dialect adds its own, and a test of its body."""


async def fail(request: Request) -> Answer:
    raise one_of(KINDS[request.path["kind"]])


CLIENT = Client(edge_of(route("GET", "/fail/{kind}", fail)))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_every_error_is_a_problem_of_rfc_9457(kind: type[ForebayError]):
    error = one_of(kind)
    got = await CLIENT.get(f"/fail/{kind.__name__}")
    told = got.json()
    Problem.model_validate(told)
    assert got.headers["content-type"] == "application/problem+json"
    assert got.status == told["status"] == status_of(error)
    assert told["type"] == "about:blank"
    assert told["title"] == http.HTTPStatus(got.status).phrase
    assert told["code"] == error.code
    assert told["detail"] == error.message
    assert told["request_id"] == got.headers["x-request-id"]
    assert "errors" not in told


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_every_error_brings_the_headers_of_its_status(kind: type[ForebayError]):
    got = await CLIENT.get(f"/fail/{kind.__name__}")
    assert ("retry-after" in got.headers) == (got.status in (429, 503, 507))
    assert ("allow" in got.headers) == (got.status == 405)
    assert ("www-authenticate" in got.headers) == (got.status == 401)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_every_dialect_has_a_shape_for_every_error(kind: type[ForebayError], shape: object):
    assert shape is problem_response
    got = await CLIENT.get(f"/fail/{kind.__name__}")
    assert got.status == status_of(one_of(kind))
    assert got.body


async def test_problems_of_fields_are_listed_with_their_places():
    async def refuse(request: Request) -> Answer:
        del request
        raise InvalidInput("No.", problems=[FieldProblem(("input", 0, "role"), "odd", "enum")])

    got = await Client(edge_of(route("GET", "/", refuse))).get("/")
    assert got.json()["errors"] == [
        {"location": ["input", 0, "role"], "message": "odd", "type": "enum"}
    ]
