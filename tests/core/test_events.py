"""The vocabulary: what was written once is read for ever, and written the same way."""

from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from forebay.core.codec import decode_event, encode_event
from forebay.core.events import (
    AGENT_EVENTS,
    CONTROL_TYPES,
    FINAL_TYPES,
    TYPES,
    Event,
)
from forebay.core.run import FINISHED, MOVES
from tests.support.strategies import events

GOLDEN = Path(__file__).with_name("golden_events.jsonl").read_bytes().splitlines()
OF_THE_ENTRY = {"number", "attempt", "time", "type"}


def golden_by_type() -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for line in GOLDEN:
        found[msgspec.json.decode(line)["type"]].append(line)
    return found


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: line[9:60].decode())
def test_a_released_event_decodes_and_encodes_to_the_same_bytes(line: bytes):
    assert encode_event(decode_event(line)) == line


@pytest.mark.parametrize(("kind", "name"), TYPES.items(), ids=TYPES.values())
def test_each_event_has_golden_lines_that_show_all_of_its_fields(kind: type[Event], name: str):
    lines = golden_by_type()[name]
    shown = {field for line in lines for field in msgspec.json.decode(line)}
    assert shown == {"type", *kind.__struct_fields__}


def test_no_golden_line_speaks_of_an_event_that_is_gone():
    assert set(golden_by_type()) == set(TYPES.values())


@pytest.mark.parametrize(("kind", "name"), TYPES.items(), ids=TYPES.values())
def test_a_field_that_the_first_form_of_an_event_lacks_has_a_default(kind: type[Event], name: str):
    first_form = min(golden_by_type()[name], key=len)
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert required <= set(msgspec.json.decode(first_form))


@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_no_event_uses_a_name_of_the_entry_that_carries_it(kind: type[Event]):
    assert not OF_THE_ENTRY & set(kind.__struct_fields__)


@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_an_event_cannot_be_changed(kind: type[Event]):
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_an_event_says_in_one_sentence_which_fact_it_states(kind: type[Event]):
    assert (kind.__doc__ or "").strip().partition("\n")[0].endswith(".")


@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_a_large_field_has_a_place_for_what_it_was_stored_as(kind: type[Event]):
    assert kind.large is None or {kind.large, "stored"} <= set(kind.__struct_fields__)


def test_types_are_unique():
    assert len(set(TYPES.values())) == len(TYPES)


def test_the_final_types_are_those_that_lead_to_a_finished_state():
    finishing = {TYPES[kind] for kind, move in MOVES.items() if move.leads_to in FINISHED}
    assert finishing == FINAL_TYPES


def test_an_agent_can_say_nothing_that_moves_its_run():
    assert not AGENT_EVENTS & set(MOVES)
    assert not {TYPES[kind] for kind in AGENT_EVENTS} & (FINAL_TYPES | CONTROL_TYPES)


@given(events)
def test_every_event_comes_back_from_its_bytes(event: Event):
    assert decode_event(encode_event(event)) == event


def test_an_unknown_event_is_refused():
    with pytest.raises(msgspec.ValidationError):
        decode_event(b'{"type":"run.imagined"}')


def test_a_field_of_a_newer_version_is_passed_over():
    assert encode_event(decode_event(b'{"type":"run.succeeded","mood":"good"}')) == (
        b'{"type":"run.succeeded"}'
    )
