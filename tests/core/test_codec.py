"""Bytes: entries, packed logs, values beside the log, and comparing requests."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.clock import Millis
from forebay.core.codec import (
    MAX_EVENT_BYTES,
    Entry,
    Said,
    canonical,
    decode_json,
    encode_event,
    encode_json,
    fingerprint,
    offload,
    pack,
    restore,
    type_in,
    unpack,
)
from forebay.core.errors import EventTooLarge
from forebay.core.events import (
    TYPES,
    Event,
    FileWritten,
    ModelChunk,
    ObjectRef,
    OutputChunk,
    OutputValue,
    RunSubmitted,
    ToolStarted,
)
from forebay.core.json import Json
from tests.support.strategies import entries, events, events_of, jsons, millis

AT = Millis(1_767_225_600_123)


# --- entries ------------------------------------------------------------------------------------


def test_a_line_is_the_entry_in_front_of_the_stored_event():
    entry = Entry(7, 2, AT, event=OutputChunk("hi"))
    assert entry.line() == (
        b'{"number":7,"attempt":2,"time":"2026-01-01T00:00:00.123Z","type":"output.chunk","text":"hi"}'
    )


@given(entries())
def test_a_line_is_json_that_holds_the_entry_and_its_event(entry: Entry):
    shown = json.loads(entry.line())
    assert (shown.pop("number"), shown.pop("attempt")) == (entry.number, entry.attempt)
    del shown["time"]
    assert shown == json.loads(encode_event(entry.event))
    assert b"\n" not in entry.line()


@given(entries())
def test_an_entry_read_from_bytes_is_the_one_that_was_written(entry: Entry):
    read = Entry(entry.number, entry.attempt, entry.time, data=entry.data)
    assert (read.type, read.event, read.data) == (entry.type, entry.event, entry.data)
    assert read == entry
    assert hash(read) == hash(entry)


@given(events)
def test_the_type_can_be_read_without_decoding(event: Event):
    assert type_in(encode_event(event)) == TYPES[type(event)]


def test_entries_differ_by_number_attempt_time_and_event():
    entry = Entry(1, 1, AT, event=OutputChunk("a"))
    others = [
        Entry(2, 1, AT, event=OutputChunk("a")),
        Entry(1, 0, AT, event=OutputChunk("a")),
        Entry(1, 1, Millis(AT + 1), event=OutputChunk("a")),
        Entry(1, 1, AT, event=OutputChunk("b")),
    ]
    assert all(entry != other for other in others)
    assert entry != "an entry"
    assert repr(entry) == "<Entry 1 output.chunk>"


# --- a packed log -------------------------------------------------------------------------------


@given(st.lists(st.builds(Said, st.integers(0, 5), millis, events), max_size=8))
def test_a_packed_log_comes_back_numbered_from_one(log: list[Said]):
    assert unpack(pack(log)) == [
        Entry(number, said.attempt, said.time, event=said.event)
        for number, said in enumerate(log, 1)
    ]


# --- values beside the log ----------------------------------------------------------------------

WITH_LARGE = [kind for kind in TYPES if kind.large is not None]


@pytest.mark.parametrize("kind", WITH_LARGE, ids=lambda kind: TYPES[kind])
def test_an_offloaded_event_is_small_and_comes_back_whole(kind: type[Event]):
    @given(events_of(kind))
    def comes_back(event: Event):
        assert kind.large is not None
        plain = restore(event, offload(event)[1])  # one that is not offloaded already
        smaller, stored = offload(plain)
        assert restore(smaller, stored) == plain
        assert getattr(smaller, kind.large) in ("", None)
        assert getattr(smaller, "stored") == ObjectRef(stored.id, len(stored.data))  # noqa: B009

    comes_back()


@given(jsons, jsons)
def test_objects_are_named_by_what_they_hold(one: Json, other: Json):
    first, second = offload(OutputValue(one))[1], offload(OutputValue(other))[1]
    assert (first.id == second.id) == (first.data == second.data)


def test_text_and_no_text_are_told_apart_beside_the_log():
    assert offload(FileWritten("a", "text"))[0] == FileWritten(
        "a",
        "",
        offload(FileWritten("b", "text"))[0].stored,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    )
    assert getattr(offload(ToolStarted("c", "t", {"a": 1}))[0], "input") is None  # noqa: B009


def test_an_event_without_a_large_field_cannot_be_offloaded():
    with pytest.raises(EventTooLarge, match=r"model\.chunk"):
        offload(ModelChunk("m", "x" * MAX_EVENT_BYTES))


@pytest.mark.parametrize(
    "event",
    [
        RunSubmitted("a", "in", "native", metadata={"note": "x" * MAX_EVENT_BYTES}),
        FileWritten("p" * MAX_EVENT_BYTES, "small"),
        ToolStarted("call", "t" * MAX_EVENT_BYTES, "small"),
    ],
    ids=lambda event: TYPES[type(event)],
)
def test_an_event_that_stays_too_large_without_its_large_field_is_refused(event: Event):
    with pytest.raises(EventTooLarge):
        offload(event)


# --- comparing requests -------------------------------------------------------------------------


def test_equal_json_has_equal_bytes_whatever_the_order_of_its_keys():
    one: Json = {"a": 1, "b": {"x": [1, 2], "y": None}}
    other: Json = {"b": {"y": None, "x": [1, 2]}, "a": 1}
    assert canonical(one) == canonical(other)
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ({"a": None}, {}),
        ("1", 1),
        (True, 1),
        ([], {}),
        ("", None),
        ({"a": "b"}, {"ab": ""}),
    ],
)
def test_different_json_has_different_fingerprints(one: Json, other: Json):
    assert fingerprint(one) != fingerprint(other)


@given(jsons)
def test_canonical_json_means_the_same(value: Json):
    assert decode_json(canonical(value)) == decode_json(encode_json(value))
    assert fingerprint(decode_json(canonical(value))) == fingerprint(value)
