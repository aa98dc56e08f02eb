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
    CodeChanged,
    Event,
    JournalDiverged,
    ModelFinished,
    OutputChunk,
    OutputRestarted,
    OutputValue,
    Prompt,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunFailed,
    RunInterrupted,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    RunWaiting,
    SourceCited,
    StepFailed,
    StepFinished,
    StepRestarted,
    StepStarted,
    Usage,
    ValueDrawn,
)
from forebay.core.ids import new_run_id
from forebay.core.json import Json
from forebay.core.run import (
    FINISHED,
    UNFINISHED,
    Closed,
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
REQUEUED = RunRequeued("handed_back", "the process was stopped")
WAITING = RunWaiting(["q1"])
CANCEL = CancelRequested("ada")
ASKED = QuestionAsked("q1", Prompt("Which city?"))
ANSWERED = QuestionAnswered("q1", "Oslo", "ada")
EXPIRED = QuestionExpired("q1")
SUCCEEDED = RunSucceeded()
FAILED = RunFailed("agent_error", "broken", "KeyError", "…")
INTERRUPTED = RunInterrupted("cancelled", "cancelled by ada")
SAID = OutputChunk("x")

MOVING = (
    SUBMITTED, STARTED, REQUEUED, WAITING, CANCEL, ANSWERED, EXPIRED, SUCCEEDED, FAILED,
    INTERRUPTED,
)  # fmt: skip

WOKEN: dict[Status, Status] = {
    "submitted": "submitted",
    "running": "running",
    "waiting": "submitted",
}

TABLE: dict[type[Event], dict[Status, Status]] = {
    RunSubmitted: {},
    RunStarted: {"submitted": "running"},
    RunRequeued: {"running": "submitted"},
    RunWaiting: {"running": "waiting"},
    CancelRequested: {"submitted": "submitted", "running": "running", "waiting": "waiting"},
    QuestionAnswered: WOKEN,
    QuestionExpired: WOKEN,
    RunSucceeded: {"running": "success"},
    RunFailed: dict.fromkeys(UNFINISHED, "failure"),
    RunInterrupted: dict.fromkeys(UNFINISHED, "interrupted"),
}
"""From which status each event leads where. Every other event may be said while running."""


def example(kind: type[Event]) -> Event:
    return next((event for event in MOVING if type(event) is kind), SAID)


def leads(move: Move, status: Status) -> Status | None:
    """Where a move leads from a status; None if it may not be made there."""
    return move.after(status) if status in move.allowed else None


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


@given(st.lists(st.sampled_from([*MOVING, SAID]), max_size=5), st.sampled_from(STATUSES))
def test_events_in_a_row_do_what_they_do_one_by_one(several: list[Event], status: Status):
    if several:
        assert leads(move_of(several), status) == step_by_step(several, status)


def test_a_whole_short_run_in_one_move():
    assert move_of([STARTED, SAID, SUCCEEDED]) == Move(frozenset({"submitted"}), "success")


def test_an_answer_wakes_a_run_that_waits_and_moves_no_other():
    assert move_of([ANSWERED]) == Move(UNFINISHED, wakes=True)
    assert move_of([WAITING, ANSWERED]) == Move(frozenset({"running"}), "submitted")
    assert move_of([EXPIRED, STARTED]) == Move(frozenset({"submitted", "waiting"}), "running")


def test_a_waiting_run_is_not_started_before_it_was_woken():
    assert not move_of([WAITING, STARTED]).allowed
    assert not move_of([WAITING, SAID]).allowed


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
        ([REQUEUED], "submitted"),
        ([REQUEUED, STARTED], "running"),
        ([ASKED], "running"),
        ([ASKED, ANSWERED], "running"),
        ([ASKED, WAITING], "waiting"),
        ([ASKED, WAITING, CANCEL, INTERRUPTED], "interrupted"),
        ([ASKED, WAITING, ANSWERED], "submitted"),
        ([ASKED, WAITING, EXPIRED, STARTED], "running"),
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


# --- questions ----------------------------------------------------------------------------------


def test_a_question_is_open_until_it_is_answered_or_its_time_is_up():
    assert folded(ASKED, WAITING).questions == {"q1": ASKED}
    assert folded(ASKED, ANSWERED).questions == {}
    assert folded(ASKED, EXPIRED).questions == {}


def test_what_closed_a_question_is_remembered():
    assert folded(ASKED, WAITING, ANSWERED).closed == {"q1": Closed(ASKED, ANSWERED)}
    assert folded(ASKED, EXPIRED, SUCCEEDED).closed == {"q1": Closed(ASKED, EXPIRED)}


def test_of_two_answers_the_first_one_counts():
    late = QuestionAnswered("q1", "Rome", "bob")
    for first in (ANSWERED, EXPIRED):
        assert folded(ASKED, first, late, EXPIRED).closed["q1"] == Closed(ASKED, first)


def test_an_answer_to_nothing_closes_nothing():
    fold = folded(ANSWERED)
    assert (fold.questions, fold.closed) == ({}, {})


def test_several_questions_may_be_open():
    other = QuestionAsked("q2", Prompt("And when?"))
    assert folded(ASKED, other).questions == {"q1": ASKED, "q2": other}
    assert folded(ASKED, other, ANSWERED).questions == {"q2": other}


# --- what is void -------------------------------------------------------------------------------


def said(text: str, within: str | None = None) -> OutputChunk:
    return OutputChunk(text, within=within)


def step(name: str, within: str | None = None) -> StepStarted:
    return StepStarted(name, name, within=within)


def test_what_a_restarted_step_had_said_is_void():
    fold = folded(
        said("a "), step("s"), said("half ", "s"), StepRestarted("s"), said("whole ", "s"),
        StepFinished("s"), said("b"), SUCCEEDED,
    )  # fmt: skip
    assert fold.output == "a whole b"


def test_a_restarted_step_voids_what_the_steps_inside_it_had_said():
    inside = [step("outer"), step("inner", "outer"), step("deep", "inner"), said("lost ", "deep")]
    assert folded(*inside, StepRestarted("outer"), said("kept", "outer")).output == "kept"
    assert folded(*inside, StepRestarted("inner")).output is None
    assert folded(*inside, StepRestarted("deep")).output is None


def test_a_restarted_step_leaves_other_steps_alone():
    log = [step("a"), step("b"), step("in b", "b"), said("1 ", "a"), said("2 ", "b"), said("3")]
    assert folded(*log, StepRestarted("in b")).output == "1 2 3"
    assert folded(*log, StepRestarted("b")).output == "1 3"
    assert folded(*log, StepRestarted("a")).output == "2 3"


def test_what_a_failed_step_had_said_holds_until_the_step_is_restarted():
    log = [step("s"), said("half ", "s"), StepFailed("s", "TimeoutError", "slow", final=False)]
    assert folded(*log).output == "half "
    assert folded(*log, StepRestarted("s"), step("s"), said("whole", "s")).output == "whole"


def test_restarted_output_is_void_after_the_last_entry_that_holds():
    log = [said("1 "), said("2 "), said("3 ")]  # entries 3, 4 and 5
    assert folded(*log, OutputRestarted(3), said("two")).output == "1 two"
    assert folded(*log, OutputRestarted(2)).output is None
    assert folded(*log, OutputRestarted(5), said("4")).output == "1 2 3 4"


def test_restarted_output_is_void_in_its_own_scope_only():
    log = [said("1 "), step("s"), said("2 ", "s"), said("3 ")]
    assert folded(*log, OutputRestarted(2)).output == "2 "
    assert folded(*log, OutputRestarted(2, within="s")).output == "1 3 "
    assert folded(*log, OutputRestarted(2, within="other")).output == "1 2 3 "


def test_values_are_voided_as_texts_are():
    fold = folded(
        value(1), step("s"), OutputValue(2, within="s"), StepRestarted("s"),
        OutputValue(3, within="s"), value(4), OutputRestarted(7), value(5),
    )  # fmt: skip
    assert fold.output == [1, 3, 5]


def test_what_a_voided_model_call_consumed_is_consumed_all_the_same():
    log = [step("s"), ModelFinished("m", Usage(1, 2), within="s"), StepRestarted("s")]
    assert folded(*log, ModelFinished("m", Usage(1, 2), within="s")).usage == Usage(2, 4)


def test_what_a_finished_step_says_once_more_was_not_consumed_once_more():
    call = ModelFinished("m", Usage(1, 2), within="inner")
    log = [step("outer"), step("inner", "outer"), call, StepFinished("inner"),
           StepRestarted("outer"), call]  # fmt: skip
    assert folded(*log).usage == Usage(1, 2)


def test_a_named_scope_lies_in_the_step_it_begins_with():
    log = [step("s"), said("1 ", "s.left"), said("2 ", "s.left.inner"), said("3 ", ".left")]
    assert folded(*log, StepRestarted("s")).output == "3 "
    assert folded(*log, OutputRestarted(0, within=".left")).output == "1 2 "


def test_a_notification_is_no_open_question():
    told = QuestionAsked("q1", Prompt("By the way", "notification"))
    assert folded(told).questions == {}


def test_what_stands_in_the_journal_is_no_answer():
    journal = [
        step("s"), StepFinished("s", "result"), ValueDrawn("v", "random", 0.5), ASKED, ANSWERED,
        CodeChanged("a", "b"), JournalDiverged(["t"]), SUCCEEDED,
    ]  # fmt: skip
    assert folded(*journal).output == ""


def test_a_fold_knows_how_far_it_is():
    assert Fold().last == 0
    assert folded(SAID, SAID).last == 4


def test_what_is_said_in_a_scope_of_a_step_is_void_with_it():
    fold = folded(
        OutputChunk("a"),
        StepStarted("s", "s", within=".scope"),
        OutputChunk("b", within="s"),
        OutputChunk("c", within="s.inner"),
        StepStarted("t", "t", within="s.inner"),
        OutputChunk("d", within="t"),
        OutputChunk("e", within=".scope"),
        StepRestarted("s"),
        OutputChunk("f", within="s.inner"),
        SUCCEEDED,
    )
    assert fold.output == "aef"


def test_usage_that_is_told_again_is_not_added_again():
    told = ModelFinished("a", Usage(1, 2), within="inner")
    fold = folded(
        StepStarted("outer", "outer"),
        StepStarted("inner", "inner", within="outer"),
        told,
        StepFinished("inner"),
        StepRestarted("outer"),
        StepStarted("outer", "outer", tries=2),
        told,  # the step has its result, and says again what it had said
        StepFailed("outer", "E", "m", final=False),
    )
    assert fold.usage == Usage(1, 2)


def test_usage_of_a_step_that_failed_and_has_another_chance_is_added():
    fold = folded(
        StepStarted("inner", "inner"),
        ModelFinished("a", Usage(1, 2), within="inner"),
        StepFailed("inner", "E", "m"),
        StepStarted("inner", "inner", tries=2),
        ModelFinished("a", Usage(1, 2), within="inner.scope"),
    )
    assert fold.usage == Usage(2, 4)


@given(st.lists(events, max_size=6))
def test_a_fold_takes_any_log(log: list[Event]):
    assert folded(*log).status in STATUSES


def test_only_what_ends_a_run_without_success_is_its_reason():
    assert reason_of(RunFailed("deadline", "too long")) == "deadline"
    assert reason_of(RunInterrupted("cancelled", "by somebody")) == "cancelled"
    assert reason_of(CancelRequested("somebody")) is None
    assert reason_of(RunSucceeded()) is None
