"""What a handler reads: bounded, and named when it cannot be read."""

import json

import pydantic
import pytest

from forebay.http.request import Request
from forebay.http.response import Response
from tests.support.asgi import Client, Exchange
from tests.support.edge import edge_of, route

LIMIT = 100
JSON = {"content-type": "application/json"}


class Order(pydantic.BaseModel):
    """What the route of these tests reads."""

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str
    count: int = 1


class Filter(pydantic.BaseModel):
    """The query that it reads."""

    model_config = pydantic.ConfigDict(extra="forbid")

    limit: int = pydantic.Field(10, ge=1)
    name: str | None = None


async def repeat(request: Request) -> Response:
    order = await request.read(Order)
    return Response(order.model_dump_json().encode())


async def measure(request: Request) -> Response:
    return Response(b"%d" % len(await request.body()))


async def select(request: Request) -> Response:
    return Response(request.query_as(Filter).model_dump_json().encode())


async def name_headers(request: Request) -> Response:
    found = [request.header(b"x-one"), request.header(b"x-two"), request.method]
    return Response(json.dumps(found).encode())


CLIENT = Client(
    edge_of(
        route("POST", "/orders", repeat),
        route("POST", "/size", measure),
        route("POST", "/large", measure, body_limit=10 * LIMIT),
        route("GET", "/select", select),
        route("GET", "/header", name_headers),
        body_limit=LIMIT,
    )
)


async def post(raw: bytes | list[bytes], path: str = "/orders", **headers: str) -> Exchange:
    return await CLIENT.send(
        "POST", path, raw=raw, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


async def test_a_body_is_read_as_its_model():
    got = await post(b'{"name":"a"}')
    assert (got.status, got.json()) == (200, {"name": "a", "count": 1})


async def test_a_body_may_come_in_parts():
    got = await post([b'{"na', b"", b'me":"', b'a"}'])
    assert (got.status, got.json()) == (200, {"name": "a", "count": 1})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{}{}",
        b"{'name': 'a'}",
        b'{"name": "a",}',
        b"nul",
        b'{"name":"\xff"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":"\\ud800"}',
        b'{"name":"\\udc00\\ud800"}',
        b'{"name":"a\x00"}',
        b'{"name":"a\nb"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 99,
        b'{"name":' * 12,
        b'{"name":"\\x41"}',
        b'{"count":1e}',
        b'{"count":01}',
    ],
)
async def test_what_is_not_json_is_a_400(raw: bytes):
    got = await post(raw)
    assert (got.status, got.json()["code"]) == (400, "bad_json")


async def test_deep_nesting_is_a_400():
    edge = edge_of(route("POST", "/orders", repeat), body_limit=10**7)
    got = await Client(edge).send("POST", "/orders", raw=b'{"name":' + b"[" * 10**6)
    assert (got.status, got.json()["code"]) == (400, "bad_json")


@pytest.mark.parametrize(
    ("raw", "location"),
    [
        (b"{}", ["body", "name"]),
        (b'{"name":1}', ["body", "name"]),
        (b'{"name":null}', ["body", "name"]),
        (b'{"name":"a","count":"many"}', ["body", "count"]),
        (b'{"name":"a","count":1.5}', ["body", "count"]),
        (b'{"name":"a","other":1}', ["body", "other"]),
        (b"[]", ["body"]),
        (b'"a"', ["body"]),
        (b"null", ["body"]),
        (b"1", ["body"]),
    ],
)
async def test_a_body_with_other_fields_is_a_422_that_says_where(raw: bytes, location: list[str]):
    got = await post(raw)
    problem = got.json()
    assert (got.status, problem["code"]) == (422, "invalid_body")
    assert [each["location"] for each in problem["errors"]] == [location]
    assert location[-1] in problem["detail"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/merge-patch+json",
        "application/Problem+JSON",
    ],
)
async def test_every_name_of_json_is_read(kind: str):
    assert (await post(b'{"name":"a"}', content_type=kind)).status == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
     "json", "application/jsonp", "\xff\xfe"],
)  # fmt: skip
async def test_another_media_type_is_a_415(kind: str):
    got = await post(b'{"name":"a"}', content_type=kind)
    assert (got.status, got.json()["code"]) == (415, "unsupported_media_type")


async def test_whoever_forgets_the_header_of_curl_is_told_of_it():
    got = await post(b"{}", content_type="application/x-www-form-urlencoded")
    assert "-H 'content-type: application/json'" in got.json()["detail"]


# --- size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"x" * (LIMIT + 1),
        [b"x" * LIMIT, b"x"],
        [b"x"] * (LIMIT + 1),
        [b"x" * 10 * LIMIT, b""],
    ],
    ids=["at once", "in two", "byte by byte", "first part alone"],
)
async def test_a_body_that_is_too_large_is_a_413(raw: bytes | list[bytes]):
    got = await post(raw, "/size")
    assert (got.status, got.json()["code"]) == (413, "body_too_large")


async def test_a_body_that_says_it_is_too_large_is_a_413_before_it_has_come():
    got = await post(b"", "/size", content_length=str(LIMIT + 1))
    assert (got.status, got.json()["code"]) == (413, "body_too_large")


async def test_a_body_of_just_the_limit_is_read():
    assert (await post(b"x" * LIMIT, "/size")).json() == LIMIT


async def test_a_route_may_take_more():
    assert (await post(b"x" * 5 * LIMIT, "/large")).json() == 5 * LIMIT


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "abc", "", "1e3", "²"])
async def test_a_length_that_is_no_number_never_breaks_the_server(length: str):
    assert (await post(b"x", "/size", content_length=length)).status in (200, 413)


async def test_a_client_that_leaves_before_its_body_is_not_waited_for():
    exchange = CLIENT.begin("POST", "/size", raw=[])
    exchange.leave()
    await exchange.until_over()
    assert exchange.broken is None
    assert exchange.status == 400


# --- the query ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"limit": 10, "name": None}),
        ("limit=5", {"limit": 5, "name": None}),
        ("limit=5&limit=6", {"limit": 6, "name": None}),
        ("name=a%20b+c", {"limit": 10, "name": "a b c"}),
        ("name=", {"limit": 10, "name": ""}),
        ("name=%00", {"limit": 10, "name": "\0"}),
        ("&&&", {"limit": 10, "name": None}),
    ],
)
async def test_a_query_is_read_as_its_model(query: str, found: dict[str, object]):
    got = await CLIENT.get("/select", query=query)
    assert (got.status, got.json()) == (200, found)


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=0", ["query", "limit"]),
        ("limit=", ["query", "limit"]),
        ("limit=many", ["query", "limit"]),
        ("limit=" + "9" * 5000, ["query", "limit"]),
        ("limit=1.5", ["query", "limit"]),
        ("other=1", ["query", "other"]),
        ("=1", ["query", ""]),
    ],
)
async def test_a_query_with_other_values_is_a_422_that_says_where(query: str, location: list[str]):
    got = await CLIENT.get("/select", query=query)
    problem = got.json()
    assert (got.status, problem["code"]) == (422, "invalid_query")
    assert [each["location"] for each in problem["errors"]] == [location]


async def test_bytes_that_are_no_text_never_break_the_query():
    got = await CLIENT.get("/select", query="name=%ff%fe\xff")
    assert got.status == 200
    json.loads(got.body)


async def test_a_header_is_found_by_its_name_in_lower_case():
    got = await CLIENT.get("/header", headers={"x-one": b"1\xe9"})
    assert got.json() == ["1é", None, "GET"]
