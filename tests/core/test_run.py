"""What may follow what, and what a log adds up to."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.caller import Caller
from forebay.core.clock import Millis
from forebay.core.events import (
    TYPES,
    CancelRequested,
    Event,
    ModelFinished,
    OutputChunk,
    OutputValue,
    RunFailed,
    RunInterrupted,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    SourceCited,
    Usage,
)
from forebay.core.ids import new_run_id
from forebay.core.json import Json
from forebay.core.run import (
    FINISHED,
    UNFINISHED,
    Failure,
    Fold,
    Move,
    Run,
    Status,
    move_of,
    reason_of,
)
from tests.support.strategies import events

STATUSES: tuple[Status, ...] = get_args(Status)

SUBMITTED = RunSubmitted("echo", "hi", "native")
STARTED = RunStarted("inline", "here")
CANCEL = CancelRequested("ada")
SUCCEEDED = RunSucceeded()
FAILED = RunFailed("agent_error", "broken", "KeyError", "…")
INTERRUPTED = RunInterrupted("cancelled", "cancelled by ada")
SAID = OutputChunk("x")

TABLE: dict[type[Event], dict[Status, Status]] = {
    RunSubmitted: {},
    RunStarted: {"submitted": "running"},
    CancelRequested: {"submitted": "submitted", "running": "running"},
    RunSucceeded: {"running": "success"},
    RunFailed: {"submitted": "failure", "running": "failure"},
    RunInterrupted: {"submitted": "interrupted", "running": "interrupted"},
}
"""From which status each event leads where. Every other event may be said while running."""


def example(kind: type[Event]) -> Event:
    known = (SUBMITTED, STARTED, CANCEL, SUCCEEDED, FAILED, INTERRUPTED)
    return next((event for event in known if type(event) is kind), SAID)


def leads(move: Move, status: Status) -> Status | None:
    """Where a move leads from a status; None if it may not be made there."""
    return (move.leads_to or status) if status in move.allowed else None


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_what_may_follow_what(kind: type[Event], status: Status):
    expected = TABLE.get(kind, {"running": "running"}).get(status)
    assert leads(move_of([example(kind)]), status) == expected


def test_each_status_is_finished_or_not():
    assert set(STATUSES) == UNFINISHED | FINISHED
    assert not UNFINISHED & FINISHED


@pytest.mark.parametrize("kind", TYPES, ids=TYPES.values())
def test_nothing_follows_the_end_of_a_run(kind: type[Event]):
    assert not move_of([example(kind)]).allowed & FINISHED


def step_by_step(several: list[Event], status: Status) -> Status | None:
    found: Status | None = status
    for event in several:
        if found is None:
            return None
        found = leads(move_of([event]), found)
    return found


@given(
    st.lists(st.sampled_from([STARTED, CANCEL, SUCCEEDED, FAILED, INTERRUPTED, SAID]), max_size=5),
    st.sampled_from(STATUSES),
)
def test_events_in_a_row_do_what_they_do_one_by_one(several: list[Event], status: Status):
    if several:
        assert leads(move_of(several), status) == step_by_step(several, status)


def test_a_whole_short_run_in_one_move():
    assert move_of([STARTED, SAID, SUCCEEDED]) == Move(frozenset({"submitted"}), "success")


def test_a_row_that_cannot_be_is_allowed_nowhere():
    assert not move_of([SUCCEEDED, SAID]).allowed
    assert not move_of([FAILED, CANCEL]).allowed
    assert not move_of([STARTED, STARTED]).allowed


def test_no_event_at_all_moves_nothing():
    assert move_of([]) == Move(UNFINISHED, None)


# --- the run ------------------------------------------------------------------------------------


def run(**fields: object) -> Run:
    plain: dict[str, object] = {
        "id": new_run_id(Millis(1000)),
        "agent": "echo",
        "tenant": "default",
        "caller": "ada",
        "created": Millis(1000),
    }
    return Run(**plain | fields)  # pyright: ignore[reportArgumentType]


def test_a_run_expires_so_long_after_its_end():
    assert run(expiry_seconds=60).expires is None
    assert run(finished=Millis(5_000), expiry_seconds=60).expires == 65_000


@pytest.mark.parametrize("status", STATUSES)
def test_a_run_knows_whether_it_is_finished(status: Status):
    assert run(status=status).is_finished == (status in FINISHED)


# --- the fold -----------------------------------------------------------------------------------


def folded(*log: Event) -> Fold:
    fold = Fold()
    for event in (SUBMITTED, STARTED, *log):
        fold.apply(event)
    return fold


def value(of: Json) -> OutputValue:
    return OutputValue(of)


@pytest.mark.parametrize(
    ("log", "output"),
    [
        ([], None),
        ([SUCCEEDED], ""),
        ([FAILED], None),
        ([OutputChunk("a "), OutputChunk("b")], "a b"),
        ([OutputChunk("a "), OutputChunk("b"), SUCCEEDED], "a b"),
        ([OutputChunk("half"), FAILED], "half"),
        ([value({"n": 1}), SUCCEEDED], {"n": 1}),
        ([value(None), SUCCEEDED], None),
        ([value(1), value(2), SUCCEEDED], [1, 2]),
        ([value([1]), SUCCEEDED], [1]),
        ([OutputChunk("a"), value(1), OutputChunk("b"), value(2), SUCCEEDED], ["ab", 1, 2]),
        ([OutputChunk(""), SUCCEEDED], ""),
    ],
)
def test_the_answer_is_the_text_or_the_value_or_both(log: list[Event], output: Json):
    assert folded(*log).output == output


def test_the_usage_of_all_model_calls_is_added_up():
    fold = folded(
        ModelFinished("a", Usage(1, 10)),
        ModelFinished("b"),
        ModelFinished("c", Usage(input_tokens=5)),
    )
    assert fold.usage == Usage(6, 10)
    assert folded(ModelFinished("a")).usage is None


def test_a_failure_is_told_with_all_that_is_known():
    assert folded(FAILED).failure == Failure("agent_error", "broken", "KeyError", "…")
    assert folded(INTERRUPTED).failure == Failure("cancelled", "cancelled by ada")
    assert folded(SUCCEEDED).failure is None


@pytest.mark.parametrize(
    ("log", "status"),
    [
        ([], "running"),
        ([CANCEL], "running"),
        ([CANCEL, INTERRUPTED], "interrupted"),
        ([SAID, SUCCEEDED], "success"),
        ([FAILED], "failure"),
    ],
)
def test_the_status_is_the_one_the_log_leads_to(log: list[Event], status: Status):
    fold = folded(*log)
    assert fold.status == status
    assert fold.is_finished == (status in FINISHED)


def test_the_submission_is_remembered():
    submitted = RunSubmitted("echo", {"a": 1}, "native", Caller("ada"))
    fold = Fold()
    assert fold.submitted is None
    fold.apply(submitted)
    assert fold.submitted == submitted
    assert fold.status == "submitted"


def test_what_is_no_answer_adds_nothing_to_it():
    assert folded(SourceCited("https://example.org/"), SUCCEEDED).output == ""


@given(st.lists(events, max_size=6))
def test_a_fold_takes_any_log(log: list[Event]):
    assert folded(*log).status in STATUSES


def test_only_what_ends_a_run_without_success_is_its_reason():
    assert reason_of(RunFailed("deadline", "too long")) == "deadline"
    assert reason_of(RunInterrupted("cancelled", "by somebody")) == "cancelled"
    assert reason_of(CancelRequested("somebody")) is None
    assert reason_of(RunSucceeded()) is None
