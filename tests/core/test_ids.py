"""Ids: 128 bits with several faces."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.clock import Millis
from forebay.core.errors import MalformedId, NotFound
from forebay.core.ids import (
    Names,
    RunId,
    as_ulid,
    as_uuid,
    created_at,
    new_run_id,
    parse_run_id,
    with_prefix,
)

ids = st.binary(min_size=16, max_size=16).map(RunId)
times = st.integers(0, 2**48 - 1).map(Millis)


@given(ids)
def test_every_rendering_is_read_back(run: RunId):
    forms = [as_uuid(run), as_ulid(run), with_prefix("resp", run), run.hex()]
    assert [parse_run_id(form) for form in forms] == [run] * 4
    assert [parse_run_id(form.upper()) for form in forms] == [run] * 4
    assert [parse_run_id(form.lower()) for form in forms] == [run] * 4


@given(ids)
def test_the_renderings_are_the_usual_ones(run: RunId):
    assert UUID(as_uuid(run)).bytes == run
    assert len(as_ulid(run)) == 26
    assert with_prefix("chatcmpl", run) == f"chatcmpl_{run.hex()}"


@given(ids, ids)
def test_every_rendering_sorts_as_the_bits_do(one: RunId, other: RunId):
    assert (as_uuid(one) < as_uuid(other)) == (one < other)
    assert (as_ulid(one) < as_ulid(other)) == (one < other)


@given(times, st.integers(1, 10_000))
def test_ids_sort_by_the_time_of_their_admission(now: Millis, later: int):
    assert new_run_id(now) < new_run_id(Millis(min(now + later, 2**48 - 1))) or now == 2**48 - 1


@given(times)
def test_an_id_is_a_uuid_of_version_seven_that_tells_its_time(now: Millis):
    run = new_run_id(now)
    uuid = UUID(bytes=run)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert created_at(run) == now


def test_ids_of_one_millisecond_differ():
    now = Millis(1_767_225_600_000)
    assert len({new_run_id(now) for _ in range(10_000)}) == 10_000


def test_a_known_ulid_is_read():
    assert parse_run_id("7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == b"\xff" * 16
    assert parse_run_id("00000000000000000000000000") == bytes(16)


def test_letters_that_look_alike_are_the_same_in_a_ulid():
    assert parse_run_id("0O0OIL0000000000000000000I") == parse_run_id("00001100000000000000000001")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "resp_",
        "1",
        "no-such-run",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "UUUUUUUUUUUUUUUUUUUUUUUUUU",
        "0000000000000000000000000",
        "000000000000000000000000000",
        "0000000000000000000000000\0",
        "\u0660" * 26,
        "\u0131" * 26,
        "ß" + "0" * 25,
        "g" * 32,
        "0" * 31,
        "0" * 33,
        "\uff10" * 32,
        "00000000-0000-0000-0000-00000000000g",
        "00000000_0000-0000-0000-000000000000",
        "000000000000-0000-0000-0000-00000000",
        "{00000000-0000-0000-0000-000000000000}",
        " 00000000000000000000000000000000",
        "0x000000000000000000000000000000",
        "0" * 100_000,
        "../../etc/passwd",
        "\ud800" * 26,
    ],
)
def test_what_is_no_id_is_malformed(text: str):
    with pytest.raises(MalformedId) as caught:
        parse_run_id(text)
    assert isinstance(caught.value, NotFound)
    assert len(caught.value.message) < 1_000


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_malformed(text: str):
    try:
        assert len(parse_run_id(text)) == 16
    except MalformedId as error:
        assert error.code == "run_not_found"


def test_names_are_unique_and_usable_as_trace_ids():
    names, others = Names(), Names()
    made = [names.request() for _ in range(1000)] + [others.request() for _ in range(1000)]
    assert len(set(made)) == 2000
    assert all(len(name) == 32 and int(name, 16) for name in made)
