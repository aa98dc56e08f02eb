"""Asking and being answered, without a network."""

import json

import pytest

from forebay.client import (
    ApiError,
    Conflict,
    Denied,
    NotFound,
    Patience,
    Rejected,
    Unavailable,
    Unreachable,
    Unreadable,
    exchange,
)
from forebay.client.errors import error_of
from forebay.client.exchange import Call, Exchange, Reply
from forebay.client.models import read_nothing, read_run

STARTING = Reply(503, b'{"code":"starting","detail":"The server is starting."}', 2.0)


def asking(call: Call[None], seconds: float = 60.0) -> Exchange[None]:
    return Exchange(call, Patience(seconds, now=lambda: 0.0, chance=lambda: 1.0))


ONCE = Call("POST", "/x", read_nothing, may_repeat=False)
OFTEN = Call("GET", "/x", read_nothing)


def test_an_answer_ends_it() -> None:
    assert asking(OFTEN).answered(Reply(200, b"")) is None
    assert asking(OFTEN).answered(Reply(204, b"")) is None


def test_a_server_that_is_starting_is_asked_again_when_it_says() -> None:
    assert asking(OFTEN).answered(STARTING) == 2.0
    with pytest.raises(Unavailable, match="starting"):
        asking(OFTEN, seconds=1).answered(STARTING)


def test_a_lost_connection_is_tried_again() -> None:
    assert asking(OFTEN).lost(Unreachable("cut")) == 0.0
    with pytest.raises(Unreachable):
        asking(OFTEN, seconds=0).lost(Unreachable("cut"))


def test_what_must_not_be_done_twice_is_repeated_only_if_nobody_got_it() -> None:
    assert asking(ONCE).lost(Unreachable("refused", was_sent=False)) == 0.0
    with pytest.raises(Unreachable):
        asking(ONCE).lost(Unreachable("cut"))
    with pytest.raises(Unavailable):
        asking(ONCE).answered(STARTING)


def test_a_submission_names_itself_so_that_it_can_be_sent_twice() -> None:
    first, second = exchange.submit("x", {}, wait=False), exchange.submit("x", {}, wait=False)
    assert first.may_repeat
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    named = exchange.submit("x", {"idempotency_key": "mine"}, wait=False)
    assert named.headers["idempotency-key"] == "mine"
    assert named.body is not None
    assert json.loads(named.body) == {"input": "x", "mode": "background"}


def test_a_submission_says_what_is_wanted() -> None:
    call = exchange.submit({"a": 1}, {"agent": "deep", "deadline_seconds": 5}, wait=True)
    assert call.body is not None
    body = json.loads(call.body)
    assert body.pop("wait_seconds") > 0
    assert body == {"input": {"a": 1}, "mode": "wait", "agent": "deep", "deadline_seconds": 5}


def test_an_answer_may_be_sent_twice() -> None:
    call = exchange.answer("r", "q", ["a", None])
    assert (call.method, call.path, call.may_repeat) == ("POST", "/api/runs/r/answers/q", True)
    assert call.body is not None
    assert json.loads(call.body) == {"answer": ["a", None]}


def test_what_stands_in_a_path_is_quoted() -> None:
    assert exchange.answer("r/1", "q?2", "x").path == "/api/runs/r%2F1/answers/q%3F2"
    assert exchange.get("a/../b c").path == "/api/runs/a%2F..%2Fb%20c"
    assert exchange.read_object("r", "o?x").path == "/api/runs/r/objects/o%3Fx"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflict),
        (422, Rejected),
        (429, Unavailable),
        (500, ApiError),
        (503, Unavailable),
        (507, Unavailable),
        (599, ApiError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[ApiError]) -> None:
    body = b'{"code":"some_code","detail":"Told.","request_id":"r7","status":1}'
    error = error_of(status, body)
    assert type(error) is kind
    assert (error.status, error.code, error.detail) == (status, "some_code", "Told.")
    assert error.request_id == "r7"
    assert type(error_of(status, b"<html>")) is kind
    assert error_of(status, b"<html>").code == "unknown"


def test_an_answer_of_somebody_else_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_run(b"<html>")
    with pytest.raises(Unreadable):
        read_run(b'{"id": 1}')
