"""The edge: every request is answered, whatever happens, in the shape of its dialect."""

import logging

import pytest

from forebay.core.errors import DatabaseUnavailable, ForebayError, RunNotFound
from forebay.http.request import Request
from forebay.http.response import Answer, Response, empty
from tests.support.asgi import Client
from tests.support.edge import edge_of, route


async def fail(request: Request) -> Answer:
    raise RunNotFound(f"none in {request.path['what']}")


async def make_a_mistake(request: Request) -> Answer:
    kinds: dict[str, Exception] = {
        "key": KeyError("secret-key"),
        "value": ValueError("secret-value"),
        "assertion": AssertionError("secret-assertion"),
        "type": TypeError("secret-type"),
        "attribute": AttributeError("secret-attribute"),
        "recursion": RecursionError("secret-recursion"),
        "zero": ZeroDivisionError("secret-zero"),
        "unicode": UnicodeEncodeError("utf-8", "secret", 0, 1, "secret"),
        "os": OSError("secret-os"),
        "timeout": TimeoutError("secret-timeout"),
        "stop": StopAsyncIteration("secret-stop"),
        "own": type("OwnError", (Exception,), {})("secret-own"),
    }
    raise kinds[request.path["what"]]


async def nothing(request: Request) -> Answer:
    del request
    return empty()


def shout(error: ForebayError, request: Request) -> Response:
    del request
    return Response(error.code.upper().encode(), 418, b"text/plain")


EDGE = edge_of(
    route("GET", "/"),
    route("POST", "/runs"),
    route("GET", "/fail/{what}", fail),
    route("GET", "/mistake/{what}", make_a_mistake),
    route("DELETE", "/thing", nothing),
)
CLIENT = Client(EDGE)


async def test_an_answer_has_a_length_and_a_type():
    got = await CLIENT.get("/")
    assert (got.status, got.body) == (200, b'"hello"')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["content-length"] == "7"


async def test_an_empty_answer_has_neither():
    got = await CLIENT.delete("/thing")
    assert (got.status, got.body) == (204, b"")
    assert not {"content-type", "content-length"} & set(got.headers)


async def test_head_is_answered_as_get_is():
    got, head = await CLIENT.get("/"), await CLIENT.send("HEAD", "/")
    assert (head.status, head.headers["content-length"]) == (200, got.headers["content-length"])


async def test_an_unknown_path_is_told_in_the_words_that_others_compare():
    got = await CLIENT.get("/nothing/here")
    assert (got.status, got.json()["detail"]) == (404, "Not Found")
    assert got.json()["code"] == "route_not_found"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/", "GET"),
        ("GET", "/runs", "POST"),
        ("HEAD", "/runs", "POST"),
        ("BREW", "/", "GET"),
    ],
)
async def test_a_wrong_method_is_a_405_with_allow(method: str, path: str, allow: str):
    got = await CLIENT.send(method, path)
    assert (got.status, got.headers["allow"]) == (405, allow)
    assert got.json()["code"] == "method_not_allowed"


async def test_what_a_handler_raises_is_answered():
    got = await CLIENT.get("/fail/here")
    assert (got.status, got.json()["code"], got.json()["detail"]) == (
        404,
        "run_not_found",
        "none in here",
    )


MISTAKES = ["key", "value", "assertion", "type", "attribute", "recursion", "zero", "unicode"]
STRANGE = ["os", "timeout", "stop", "own"]


@pytest.mark.parametrize("what", MISTAKES)
async def test_a_mistake_of_ours_is_logged_and_told_without_its_details(
    what: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.ERROR):
        got = await CLIENT.get(f"/mistake/{what}")
    assert (got.status, got.json()["code"]) == (500, "internal_error")
    assert b"secret" not in got.body
    (record,) = caplog.records
    assert got.headers["x-request-id"] in record.getMessage()
    assert record.exc_info


@pytest.mark.parametrize("what", STRANGE)
async def test_any_other_exception_is_answered_too(what: str):
    got = await CLIENT.get(f"/mistake/{what}")
    assert (got.status, got.json()["code"]) == (500, "internal_error")


async def test_a_dialect_gives_errors_its_own_shape():
    edge = edge_of(route("POST", "/runs"))
    other = edge_of(route("GET", "/fail/{what}", fail), route("POST", "/{x}"))
    assert (await Client(edge).get("/runs")).headers["content-type"] == "application/problem+json"
    assert (await Client(other).get("/fail/a")).headers["content-type"] == (
        "application/problem+json"
    )


async def test_answers_are_counted_by_status():
    edge = edge_of(route("GET", "/"))
    client = Client(edge)
    for path in ("/", "/", "/nothing"):
        await client.get(path)
    assert dict(edge.answers) == {200: 2, 404: 1}


# --- the gate -----------------------------------------------------------------------------------


async def test_while_the_database_is_away_only_what_needs_none_is_answered():
    client = Client(
        edge_of(
            route("GET", "/"),
            route("GET", "/health", needs_database=False),
            closed_by=DatabaseUnavailable("It is being moved."),
        )
    )
    closed = await client.get("/")
    assert (closed.status, closed.json()["code"]) == (503, "database_unavailable")
    assert closed.json()["detail"] == "It is being moved."
    assert closed.headers["retry-after"] == "1"
    assert (await client.get("/health")).status == 200
    assert (await client.get("/nothing")).status == 404


# --- what is no request -------------------------------------------------------------------------


async def test_a_websocket_is_closed():
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    await EDGE({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": b"\xff\xfe\x00"},
        {"authorization": b"\xff"},
        {"x-request-id": b"\xff\xfe"},
        {"traceparent": b"\xff"},
        {"content-type": b"\xff"},
        {"content-length": b"\xff"},
        {"": b""},
        {"x" * 10_000: b"y" * 10_000},
    ],
    ids=lambda headers: next(iter(headers))[:20],
)
async def test_header_junk_never_breaks_the_server(headers: dict[str, bytes]):
    assert (await CLIENT.get("/", headers=headers)).status == 200


@pytest.mark.parametrize(
    "path", ["", "*", "/\0", "/%00", "/\ud800", "//", "/..", "/" + "x" * 100_000, "http://x/"]
)
async def test_path_junk_is_not_found(path: str):
    assert (await CLIENT.get(path)).status == 404
