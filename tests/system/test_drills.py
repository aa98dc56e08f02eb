"""The drills find nothing, and would find what they look for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from drills.checks import Kept, flaws
from drills.effects import Effect, happen, happened
from drills.logs import Outcome, outcome_of
from drills.processes import Process, descendants
from drills.stories import Entry, Plan, Story, View, entry_of
from drills.wire import Frame, Frames
from forebay.core.json import Json

_ROOT = Path(__file__).resolve().parents[2]
_DRILLS = [sys.executable, "-m", "drills"]
_PATIENCE_SECONDS = 30.0

_RUN = "01a1f9fb-84c3-7d72-9a85-f690bb00bf28"
_PLAN = Plan("counted", "x", 1, 1.0)
_ON = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


# --- a few faults -------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", _ON)
def test_nothing_is_lost_by_a_few_faults(database: str) -> None:
    asked = ["--db", database, "--workers", "4", "--faults", "12", "--clients", "15"]
    process = _drills(*asked, "--hold", "4", "--seed", "test", "--minutes", "1")
    try:
        told, _ = process.communicate()
    finally:
        _end(process)
    assert process.returncode == 0, told
    lines = [line.split() for line in told.splitlines()]
    assert ["violations", "0"] in lines, told
    assert ["all", "12"] in lines, told


@pytest.mark.system
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_drills_that_are_broken_off_leave_no_process_behind(number: signal.Signals) -> None:
    process = _drills("--db", "sqlite", "--workers", "2")
    try:
        _until(lambda: any("--as-child worker:" in each.command for each in _below(process)))
        below = _below(process)
        process.send_signal(number)
        told, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        assert process.returncode == 130, told
        assert not [each for each in below if each.is_there]
    finally:
        _end(process)


def _drills(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*_DRILLS, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _below(process: "subprocess.Popen[str]") -> Sequence[Process]:
    return descendants(process.pid)


def _until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()  # it ends what it has started
        process.wait(_PATIENCE_SECONDS)


# --- what the checks find -----------------------------------------------------------------------


_Said: TypeAlias = tuple[int, str, dict[str, Json]]
"""Who says it (an attempt, or 0), its type, and its fields."""


def _log(*said: _Said) -> list[Entry]:
    return [
        entry_of({"number": number, "attempt": attempt, "type": kind, **fields})
        for number, (attempt, kind, fields) in enumerate(said, 1)
    ]


_STARTED: _Said = (1, "run.started", {})
_BEGUN: _Said = (1, "step.started", {"step": "s", "name": "pay", "tries": 1})
_DONE: _Said = (1, "step.finished", {"step": "s", "result": "paid"})
_SAID: _Said = (1, "output.chunk", {"text": "paid"})
_END: _Said = (1, "run.succeeded", {})
_SUBMITTED: _Said = (0, "run.submitted", {})
_LOST: _Said = (0, "run.requeued", {"reason": "lost"})
_AGAIN: _Said = (2, "run.started", {})
_RESTARTED: _Said = (2, "step.restarted", {"step": "s"})


def _by(attempt: int, said: _Said) -> _Said:
    return attempt, said[1], said[2]


_UNDISTURBED = _log(_SUBMITTED, _STARTED, _BEGUN, _DONE, _SAID, _END)
_RESUMED = _log(
    _SUBMITTED, _STARTED, _BEGUN, _LOST, _AGAIN, _RESTARTED,
    *(_by(2, said) for said in (_BEGUN, _DONE, _SAID, _END)),
)  # fmt: skip


def _found(
    log: Sequence[Entry],
    *executed: int,
    seen: Sequence[Entry] | None = None,
    text: str = "paid",
    joined: str = _RUN,
    reference: Outcome | None = None,
) -> str:
    """What is wrong with a run; `executed`: by which attempts its step was executed."""
    story = Story(_PLAN, "key", {}, _RUN, [View("first", list(log if seen is None else seen))])
    shown: dict[str, Json] = {"status": "success", "events": len(log), "output": text}
    effects = [Effect(_RUN, attempt, "pay", "k") for attempt in executed]
    expected = reference or outcome_of(_UNDISTURBED)
    return "; ".join(flaws(story, Kept(shown, log, joined), effects, expected))


def test_nothing_is_found_in_a_run_that_nobody_disturbed() -> None:
    assert _found(_UNDISTURBED, 1) == ""


def test_nothing_is_found_in_a_run_whose_unfinished_step_was_executed_again() -> None:
    assert _found(_RESUMED, 1, 2) == ""
    assert _found(_RESUMED, 2) == ""  # it was killed before the first execution


def test_a_step_that_was_executed_more_often_than_begun_is_found() -> None:
    assert "ran 2 times in attempt 1" in _found(_UNDISTURBED, 1, 1)


def test_a_step_that_was_executed_without_having_begun_is_found() -> None:
    assert "was begun 0 times" in _found(_RESUMED, 1, 2, 3)


def test_a_step_that_was_executed_after_its_result_is_found() -> None:
    log = _log(
        _SUBMITTED, _STARTED, _BEGUN, _DONE, _LOST, _AGAIN, _RESTARTED,
        *(_by(2, said) for said in (_BEGUN, _DONE, _SAID, _END)),
    )  # fmt: skip
    found = _found(log, 1, 2)
    assert "has its result, and then entry 8" in found
    assert "ran in attempt 2, after it had its result" in found


def test_a_result_of_a_step_that_was_never_executed_is_found() -> None:
    assert "did not run in it" in _found(_UNDISTURBED)


def test_a_late_entry_of_an_attempt_that_is_over_is_found() -> None:
    late = _log(_SUBMITTED, _STARTED, _LOST, _BEGUN, _AGAIN, _by(2, _END))
    assert "entry 4 is by attempt 1, after attempt 1 was over" in _found(late)
    beside = _log(_SUBMITTED, _STARTED, _AGAIN, _BEGUN, _by(2, _END))
    assert "begins attempt 2 beside attempt 1" in _found(beside)
    assert "entry 4 is by attempt 1, after attempt 2 was over" in _found(beside)


def test_something_said_twice_is_found() -> None:
    twice = _log(
        _SUBMITTED, _STARTED, _BEGUN, _DONE, _SAID, _LOST, _AGAIN, *2 * [_by(2, _SAID)], _END
    )
    assert "differs from the undisturbed run: said in scope None" in _found(twice, 1)


def test_a_run_that_failed_is_found() -> None:
    failed = _log(
        _SUBMITTED, _STARTED, (1, "run.failed", {"reason": "agent_error", "message": "m"})
    )
    assert "it ended with run.failed, not with run.succeeded ('agent_error', 'm')" in _found(failed)


def test_another_log_than_followers_saw_is_found() -> None:
    seen = [*_UNDISTURBED[:4], *_log(_SUBMITTED)]
    assert "saw another log than is kept, from entry 5 on" in _found(_UNDISTURBED, 1, seen=seen)


def test_an_answer_that_is_not_what_was_said_is_found() -> None:
    assert "shown with the output 'paidpaid'" in _found(_UNDISTURBED, 1, text="paidpaid")


def test_a_key_that_leads_to_another_run_is_found() -> None:
    assert "sent once more, led to run another" in _found(_UNDISTURBED, 1, joined="another")


def test_a_key_that_changes_is_found() -> None:
    story = Story(_PLAN, "key", {}, _RUN, [View("first", list(_RESUMED))])
    shown: dict[str, Json] = {"status": "success", "events": len(_RESUMED), "output": "paid"}
    effects = [Effect(_RUN, attempt, "pay", f"k{attempt}") for attempt in (1, 2)]
    found = list(flaws(story, Kept(shown, _RESUMED, _RUN), effects, outcome_of(_UNDISTURBED)))
    assert found == ["step pay had several idempotency keys: ['k1', 'k2']"]


# --- what followers find ------------------------------------------------------------------------


def _frame(number: int, *, id: int | None = None, kind: str = "output.chunk") -> Frame:
    data = json.dumps({"number": number, "attempt": 1, "type": kind})
    return Frame(kind, str(number if id is None else id), data)


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([_frame(1), _frame(3)], "entry 3 came instead of 2"),
        ([_frame(1), _frame(1)], "entry 1 came instead of 2"),
        ([_frame(1, id=2)], "entry 1 has the id 2"),
        ([_frame(1, kind="run.succeeded"), _frame(2)], "entry 2 came after the last one, 1"),
    ],
)
def test_a_follower_complains(frames: Sequence[Frame], complaint: str) -> None:
    view = View("first")
    for frame in frames:
        view.take(frame)
    assert complaint in view.complaints


def test_frames_are_read_wherever_they_are_cut() -> None:
    stream = b": keep-alive\n\nid: 1\nevent: a\ndata: {}\n\nevent: b\ndata: x\ndata: y\n\n"
    for at in range(len(stream) + 1):
        frames = Frames()
        assert [*frames.feed(stream[:at]), *frames.feed(stream[at:])] == [
            Frame("a", "1", "{}"),
            Frame("b", None, "x\ny"),
        ]


def test_side_effects_of_several_processes_stand_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "effects"
    effects = [Effect(run, attempt, "pay", "k") for run in ("a", "b") for attempt in (1, 2)]
    for effect in effects:
        happen(os.fspath(file), effect)
    assert happened(file) == {"a": effects[:2], "b": effects[2:]}
