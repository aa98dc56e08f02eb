"""Why a run does not take an append: one rule for every database.

An attempt writes only while its run is running under its number. Others (CONTROL) write wherever
the table in `core/run.py` lets them.
"""

from typing import NamedTuple

from forebay.core.errors import ForebayError, RunFinished, StaleAttempt
from forebay.core.run import FINISHED, Status
from forebay.ports.store import CONTROL, Append

_RUNNING: frozenset[Status] = frozenset({"running"})


class State(NamedTuple):
    """What decides about an append, as it stands in the run's row."""

    last: int
    attempt: int
    status: Status
    holder: str | None
    lost: bool
    """Whether somebody holds the run whose lease has run out."""


def allowed(append: Append) -> frozenset[Status]:
    """The states in which a run takes these entries from this writer."""
    return append.move.allowed if append.attempt == CONTROL else append.move.allowed & _RUNNING


def refusal(append: Append, state: State) -> ForebayError | None:
    """Why a run in this state does not take these entries, if it does not."""
    if append.attempt not in (CONTROL, state.attempt):
        return StaleAttempt()
    if state.status not in allowed(append):
        if state.status in FINISHED:
            return RunFinished()
        return StaleAttempt(f"The run is {state.status}: nothing of this kind may follow now.")
    return _unmet(append, state)


def _unmet(append: Append, state: State) -> StaleAttempt | None:
    if append.only_if_held_by not in (None, state.holder):
        return StaleAttempt("Somebody else holds the run now.")
    if append.only_if_last and append.entries[0].number != state.last + 1:
        return StaleAttempt("Somebody else wrote in between.")
    if append.only_if_lost and not state.lost:
        return StaleAttempt("The lease was renewed meanwhile.")
    return None
