"""Events out of bytes, however these are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from forebay.builtins.models.failures import Unreadable
from forebay.builtins.models.sse import EventReader


def read(*parts: bytes) -> list[bytes]:
    reader = EventReader()
    return [data for part in parts for data in reader.feed(part)] + reader.end()


STREAM = (
    ": hello\n\n"
    'data: {"text":"größe 日本"}\n\n'
    'event: piece\nid: 7\ndata: {"n":1}\n\n'
    'data:{"n":2}\n\n\n'
    "data: two\ndata: lines\n\n"
    "retry: 3\n\n"
    "data: [DONE]\n\n"
)
DATA = [
    '{"text":"größe 日本"}'.encode(),
    b'{"n":1}',
    b'{"n":2}',
    b"two\nlines",
    b"[DONE]",
]


def test_each_event_gives_its_data() -> None:
    assert read(STREAM.encode()) == DATA


@given(
    cuts=st.lists(st.integers(0, len(STREAM.encode())), max_size=12),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_it_does_not_matter_where_a_stream_is_cut(cuts: list[int], newline: str) -> None:
    raw = STREAM.replace("\n", newline).encode()
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    parts = [raw[start:end] for start, end in pairwise(edges)]

    assert read(*parts) == DATA


def test_single_bytes_are_enough() -> None:
    raw = STREAM.replace("\n", "\r\n").encode()

    assert read(*(raw[at : at + 1] for at in range(len(raw)))) == DATA


def test_a_mark_at_the_beginning_is_no_part_of_it() -> None:
    assert read("\ufeffdata: 1\n\n".encode()) == [b"1"]


def test_an_event_without_an_end_is_given_at_the_end() -> None:
    assert read(b"data: 1\n\ndata: 2") == [b"1", b"2"]


def test_events_are_given_as_soon_as_they_are_whole() -> None:
    reader = EventReader()

    assert reader.feed(b"data: 1\n\ndata: 2\n") == [b"1"]
    assert reader.feed(b"\n") == [b"2"]


def test_an_event_without_end_is_not_kept_for_ever() -> None:
    reader = EventReader()
    bit = b"x" * (1024 * 1024)
    given = 0
    try:
        for _ in range(100):
            reader.feed(bit)
            given += 1
    except Unreadable:
        pass

    assert given < 20


def test_an_event_without_data_is_none() -> None:
    assert read(b"data:\n\ndata: \n\ndata: 1\n\n") == [b"1"]


def test_events_at_the_end_are_told_apart_however_their_lines_end() -> None:
    assert read(b"data: 1\r\r", b"data: 2") == [b"1", b"2"]


LINES = st.sampled_from(
    [
        b"data: x", b"data:", b"data:  y", b"event: a", b":c", b'data: {"a":1}', b"id: 1",
        b"\xc3", b"datax: 1", b" data: z", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r",
    ]
)  # fmt: skip


def slowly_read(raw: bytes) -> list[bytes]:
    """The same, line by line, of a stream that is there as a whole."""
    found: list[bytes] = []
    lines: list[bytes] = []
    for line in [*raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line:
            found.append(b"\n".join(lines))
            lines = []
    return found


@given(parts=st.lists(LINES, max_size=14), cuts=st.lists(st.integers(0, 80), max_size=8))
def test_any_stream_is_read_as_if_it_came_whole(parts: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(parts)
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    got = read(*(raw[start:end] for start, end in pairwise(edges)))
    assert [data for data in got if data.strip()] == [
        data for data in slowly_read(raw) if data.strip()
    ]
