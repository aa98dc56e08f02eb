"""A run: which event may follow in which state, and what a log adds up to. Pure.

`MOVES` is the only place that knows what may follow what. `Fold` is the only place that reads an
answer out of a log.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from .clock import Millis
from .events import (
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
    Usage,
)
from .ids import RunId, RunNumber
from .json import Json

Status: TypeAlias = Literal["submitted", "running", "success", "failure", "interrupted"]

UNFINISHED: frozenset[Status] = frozenset({"submitted", "running"})
FINISHED: frozenset[Status] = frozenset({"success", "failure", "interrupted"})


class Move(NamedTuple):
    """What an event does to a run: in which states it may stand, and which state it leads to."""

    allowed: frozenset[Status]
    leads_to: Status | None = None


_RUNNING: frozenset[Status] = frozenset({"running"})

SAID_WHILE_RUNNING = Move(_RUNNING)

MOVES: dict[type[Event], Move] = {
    RunSubmitted: Move(frozenset(), "submitted"),
    RunStarted: Move(frozenset({"submitted"}), "running"),
    CancelRequested: Move(UNFINISHED),
    RunSucceeded: Move(_RUNNING, "success"),
    RunFailed: Move(UNFINISHED, "failure"),
    RunInterrupted: Move(UNFINISHED, "interrupted"),
}


def move_of(events: Iterable[Event]) -> Move:
    """What several events in a row do to a run."""
    allowed: frozenset[Status] | None = None
    status: Status | None = None
    for event in events:
        move = MOVES.get(type(event), SAID_WHILE_RUNNING)
        if allowed is None:
            allowed = move.allowed
        elif status is not None and status not in move.allowed:
            return Move(frozenset(), status)
        elif status is None:
            allowed &= move.allowed
        status = move.leads_to or status
    return Move(UNFINISHED if allowed is None else allowed, status)


def reason_of(event: Event) -> str | None:
    """Why a run ended with this event, if it ended with it and did not succeed."""
    return event.reason if isinstance(event, RunFailed | RunInterrupted) else None


class Run(msgspec.Struct, frozen=True):
    """What a store knows of a run without reading its log."""

    id: RunId
    agent: str
    tenant: str
    caller: str
    created: Millis
    status: Status = "submitted"
    number: RunNumber | None = None
    last: int = 0
    attempt: int = 0
    session: str | None = None
    priority: int = 0
    durable: bool = True
    reason: str | None = None
    metadata: dict[str, Json] = {}
    started: Millis | None = None
    finished: Millis | None = None
    expiry_seconds: int = 30 * 86_400
    holder: str | None = None

    @property
    def expires(self) -> Millis | None:
        if self.finished is None:
            return None
        return Millis(self.finished + self.expiry_seconds * 1000)

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a run did not succeed."""

    reason: str
    message: str
    error: str | None = None
    traceback: str | None = None


class Fold:
    """What a log adds up to, entry by entry: the answer, the failure, the usage."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._values: list[Json] = []
        self.submitted: RunSubmitted | None = None
        self.status: Status = "submitted"
        self.failure: Failure | None = None
        self.usage: Usage | None = None

    def apply(self, event: Event) -> None:
        """Take the next event of the log into account."""
        if isinstance(event, OutputChunk):  # nearly all of them
            self._texts.append(event.text)
            return
        move = MOVES.get(type(event))
        if move is not None:
            self.status = move.leads_to or self.status
        match event:
            case OutputValue():
                self._values.append(event.value)
            case ModelFinished(usage=Usage() as usage):
                so_far = self.usage or Usage()
                self.usage = Usage(
                    so_far.input_tokens + usage.input_tokens,
                    so_far.output_tokens + usage.output_tokens,
                )
            case RunSubmitted():
                self.submitted = event
            case RunFailed():
                self.failure = Failure(event.reason, event.message, event.error, event.traceback)
            case RunInterrupted():
                self.failure = Failure(event.reason, event.message)
            case _:
                pass

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def output(self) -> Json:
        """The answer: the text, or the value, or the list of what was said if it was both."""
        text = "".join(self._texts)
        if not self._values:
            return text if self._texts or self.status == "success" else None
        if not self._texts:
            return self._values[0] if len(self._values) == 1 else list(self._values)
        return [text, *self._values]
