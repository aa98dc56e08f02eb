"""Traces and the names of requests."""

import pytest

from forebay.http.trace import trace_of, traceparent, usable_request_id
from tests.support.asgi import Client
from tests.support.edge import edge_of, route

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"


@pytest.mark.parametrize("header", [b"00-%b-%b-01" % (TRACE, SPAN), b"00-%b-%b-00" % (TRACE, SPAN)])
def test_the_trace_of_a_traceparent_is_read(header: bytes):
    assert trace_of(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        b"",
        TRACE,
        b"00-%b-%b" % (TRACE, SPAN),
        b"00-%b-%b-01-more" % (TRACE, SPAN),
        b"00-%b-%b-01" % (TRACE.upper(), SPAN),
        b"00-%b-%b-01" % (b"0" * 32, SPAN),
        b"00-%b-%b-01" % (TRACE[1:], SPAN),
        b"00-%b-%b-0g" % (TRACE, SPAN),
        b" 00-%b-%b-01" % (TRACE, SPAN),
        b"\xff" * 55,
    ],
)
def test_what_is_no_traceparent_names_no_trace(header: bytes):
    assert trace_of(header) is None


def test_our_own_traceparent_can_be_read():
    header = traceparent(TRACE, b"4deb516e3695ef7aefdd33d200000002")
    assert header == b"00-" + TRACE + b"-efdd33d200000002-01"
    assert trace_of(header) == TRACE


@pytest.mark.parametrize("name", [b"a", b"abc-123_/+=", b"x" * 128])
def test_a_name_that_can_stand_in_a_header_is_kept(name: bytes):
    assert usable_request_id(name) == name


@pytest.mark.parametrize("name", [b"", b"x" * 129, b"a b", b"a\r\nb: c", b"a\n", b"\xe9", b"\0"])
def test_a_name_that_cannot_is_not(name: bytes):
    assert usable_request_id(name) is None


CLIENT = Client(edge_of(route("GET", "/")))


async def test_every_answer_names_its_request():
    answers = [await CLIENT.get("/") for _ in range(2)] + [await CLIENT.get("/nothing")]
    names = {answer.headers["x-request-id"] for answer in answers}
    assert len(names) == 3
    assert answers[2].json()["request_id"] == answers[2].headers["x-request-id"]


async def test_a_client_that_names_its_request_and_trace_gets_them_back():
    got = await CLIENT.get(
        "/",
        headers={"x-request-id": "mine", "traceparent": f"00-{TRACE.decode()}-{SPAN.decode()}-01"},
    )
    assert got.headers["x-request-id"] == "mine"
    assert got.headers["traceparent"].startswith(f"00-{TRACE.decode()}-")
    assert SPAN.decode() not in got.headers["traceparent"]


async def test_names_that_cannot_be_used_are_replaced():
    got = await CLIENT.get("/", headers={"x-request-id": "a b", "traceparent": "nonsense"})
    assert got.status == 200
    assert got.headers["x-request-id"] != "a b"
    assert trace_of(got.headers["traceparent"].encode())
