"""Following, without a network: what is asked, what is told, and when it ends."""

import json
from typing import Any

import pytest

from forebay.client import (
    Denied,
    Entry,
    Following,
    NotFound,
    Patience,
    UnknownEvent,
    Unreachable,
    Unreadable,
)
from forebay.client.exchange import Reply
from forebay.core.events import OutputChunk

SSE = "text/event-stream; charset=utf-8"
RUN = "01a1f961-cdb8-7937-9daa-bd8d21ff184c"


def following(after: int = 0, seconds: float = 60.0) -> Following:
    return Following(RUN, after, Patience(seconds, now=lambda: 0.0, chance=lambda: 1.0))


def opened(after: int = 0) -> Following:
    """One whose stream has begun."""
    made = following(after)
    assert made.accepts(200, SSE)
    return made


def frame(number: int, type: str = "output.chunk", *, committed: bool = True, **rest: Any) -> bytes:
    """An entry as the server sends it."""
    entry = {"number": number, "attempt": 1, "time": "2026-01-01T00:00:00.250Z", "type": type}
    fields = {"text": "x"} if type == "output.chunk" else {}
    head = f"id: {number}\n" if committed else ""
    return f"{head}event: {type}\ndata: {json.dumps(entry | fields | rest)}\n\n".encode()


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def test_it_asks_from_the_beginning_and_then_from_where_it_stands() -> None:
    made = opened()
    assert made.question().path == f"/api/runs/{RUN}/events"
    assert "last-event-id" not in made.question().headers
    made.feed(frame(1) + frame(2))
    assert made.question().headers["last-event-id"] == "2"
    assert following(7).question().headers["last-event-id"] == "7"


def test_entries_are_typed() -> None:
    (entry,) = opened().feed(frame(1, text="hi"))
    assert entry.event == OutputChunk("hi")
    assert (entry.number, entry.attempt, entry.type) == (1, 1, "output.chunk")
    assert entry.time.isoformat() == "2026-01-01T00:00:00.250000+00:00"
    assert json.loads(entry.line)["text"] == "hi"


def test_an_event_of_a_newer_server_breaks_nothing() -> None:
    (entry,) = opened().feed(frame(1, "step.started", name="plan", n=[1]))
    assert entry.event == UnknownEvent("step.started", {"name": "plan", "n": [1]})
    (changed,) = opened().feed(frame(1, "output.chunk", text={"now": "an object"}))
    assert changed.event == UnknownEvent("output.chunk", {"text": {"now": "an object"}})


@pytest.mark.parametrize("last", ["run.succeeded", "run.failed", "run.interrupted"])
def test_it_is_over_after_the_last_entry(last: str) -> None:
    made = opened()
    made.feed(frame(1))
    assert not made.is_over
    (entry,) = made.feed(frame(2, last, reason="r", message="m"))
    assert made.is_over
    assert entry.is_final


def test_it_is_over_when_there_is_nothing_left() -> None:
    made = following(5)
    assert not made.accepts(204, "")
    assert made.is_over


def test_after_a_cut_nothing_comes_twice() -> None:
    made = opened()
    assert numbers(made.feed(frame(1) + frame(2) + frame(3)[:10])) == [1, 2]
    made.lost(Unreachable("cut"))
    assert made.pause() == 0.0
    assert made.accepts(200, SSE)
    assert numbers(made.feed(frame(2) + frame(3))) == [3]
    assert made.connections == 2


def test_what_was_not_committed_is_asked_for_again() -> None:
    made = opened()
    assert numbers(made.feed(frame(1) + frame(2, committed=False))) == [1, 2]
    assert made.question().headers["last-event-id"] == "1"
    made.lost(Unreachable("cut"))
    assert made.accepts(200, SSE)
    assert numbers(made.feed(frame(2) + frame(3))) == [3]


def test_a_gap_is_an_error() -> None:
    made = opened()
    made.feed(frame(1))
    with pytest.raises(Unreadable, match="After entry 1 came entry 3"):
        made.feed(frame(3))


def test_one_that_waits_for_the_end_may_see_gaps() -> None:
    made = Following.to_the_end(RUN, Patience(1))
    assert made.question().query == {"types": "run.succeeded"}
    assert made.accepts(200, SSE)
    assert numbers(made.feed(frame(9, "run.succeeded"))) == [9]
    assert made.is_over


def test_words_of_the_server_that_are_no_entries_are_passed_over() -> None:
    made = opened()
    assert made.feed(b'event: server.stopping\ndata: {"code":"stopping"}\n\n') == []
    assert "shutting down" in str(made.problem)
    assert made.feed(b"event: something.new\ndata: {}\n\n: keep-alive\n\n") == []
    with pytest.raises(Unreadable):
        made.feed(b"id: 4\ndata: {}\n\n")


def test_a_server_that_is_busy_is_asked_again_when_it_says() -> None:
    made = following()
    assert not made.accepts(503, "application/problem+json")
    made.refused(Reply(503, b'{"code":"starting","detail":"The server is starting."}', 3.0))
    assert "starting" in str(made.problem)
    assert made.pause() == 3.0


@pytest.mark.parametrize("status", [502, 504, 429])
def test_a_proxy_that_reaches_nobody_is_asked_again(status: int) -> None:
    made = following()
    assert not made.accepts(status, "text/html")
    made.refused(Reply(status, b"<html>", None))
    assert made.pause() == 0.0


def test_an_answer_that_will_not_change_is_raised() -> None:
    with pytest.raises(NotFound) as missing:
        following().refused(Reply(404, b'{"code":"run_not_found","detail":"No run.","status":404}'))
    assert (missing.value.code, missing.value.status) == ("run_not_found", 404)
    with pytest.raises(Denied):
        following().refused(Reply(401, b"{}"))


def test_a_page_of_somebody_else_is_no_stream() -> None:
    with pytest.raises(Unreadable, match="text/html"):
        following().accepts(200, "text/html")


def test_patience_has_an_end() -> None:
    made = following(seconds=0)
    made.lost(Unreachable("gone"))
    with pytest.raises(Unreachable, match="gone"):
        made.pause()
