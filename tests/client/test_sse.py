"""Reading server-sent events from bytes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.client.errors import Unreadable
from forebay.client.sse import Frame, SseParser

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b"id: 1\nevent: first\ndata: one\n\n"
    b"data: two\ndata: lines\n\n"
    b"data\n\n"
    b"event: empty\n\n"
    b"data:no space\nid:\n\n"
    b"unknown: x\ndata: \xc3\xa4\xf0\x9f\x8c\x8d\n\n"
    b"retry: 1500\n\n"
    b"data: never finished\n"
)
FRAMES = [
    Frame("first", "one", "1"),
    Frame("message", "two\nlines", None),
    Frame("message", "", None),
    Frame("message", "no space", ""),
    Frame("message", "ä🌍", None),
]


def parsed(*chunks: bytes) -> list[Frame]:
    parser = SseParser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_three_ways(end: bytes) -> None:
    assert parsed(STREAM.replace(b"\n", end), b": more\n") == FRAMES


@given(
    st.lists(st.integers(0, len(STREAM) * 2), max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_chunks_may_end_anywhere(cuts: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    places = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parsed(*chunks, b": more\n") == FRAMES


def test_a_frame_is_told_as_soon_as_it_is_complete() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\n") == []
    assert parser.feed(b"\n") == [Frame("message", "x", None)]
    assert parser.feed(b"data: y\r\n\r") == []
    assert parser.feed(b"\n") == [Frame("message", "y", None)]


def test_an_id_with_a_null_is_ignored() -> None:
    assert parsed(b"id: a\0b\ndata: x\n\n") == [Frame("message", "x", None)]


def test_the_server_may_say_when_to_come_back() -> None:
    parser = SseParser()
    parser.feed(b"retry: 2500\nretry: soon\n\n")
    assert parser.retry_seconds == 2.5


def test_a_line_without_an_end_is_no_stream() -> None:
    parser = SseParser()
    with pytest.raises(Unreadable):
        for _ in range(70):
            parser.feed(b"x" * 2**20)


def test_many_small_chunks_of_a_long_line_are_put_together() -> None:
    text = b"x" * 300_000
    chunks = [text[at : at + 100] for at in range(0, len(text), 100)]
    (frame,) = parsed(b"data: ", *chunks, b"\n\n")
    assert len(frame.data) == 300_000
