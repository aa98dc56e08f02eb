"""A run: which event may follow in which state, and what a log adds up to. Pure.

`MOVES` is the only place that knows what may follow what. `Fold` is the only place that reads an
answer out of a log.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from .clock import Millis
from .events import (
    CancelRequested,
    Event,
    ModelFinished,
    OutputChunk,
    OutputRestarted,
    OutputValue,
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
    StepFailed,
    StepFinished,
    StepRestarted,
    StepStarted,
    Usage,
)
from .ids import RunId, RunNumber
from .json import Json

Status: TypeAlias = Literal["submitted", "running", "waiting", "success", "failure", "interrupted"]

UNFINISHED: frozenset[Status] = frozenset({"submitted", "running", "waiting"})
FINISHED: frozenset[Status] = frozenset({"success", "failure", "interrupted"})


_T = TypeVar("_T")


class Move(NamedTuple):
    """What an event does to a run: in which states it may stand, and which state it leads to."""

    allowed: frozenset[Status]
    leads_to: Status | None = None
    wakes: bool = False
    """Whether a run that waits is queued again by it."""

    def after(self, status: Status) -> Status:
        """The state of a run that was in this one."""
        return self.leads_to or ("submitted" if self.wakes and status == "waiting" else status)


_RUNNING: frozenset[Status] = frozenset({"running"})

SAID_WHILE_RUNNING = Move(_RUNNING)

MOVES: dict[type[Event], Move] = {
    RunSubmitted: Move(frozenset(), "submitted"),
    RunStarted: Move(frozenset({"submitted"}), "running"),
    RunRequeued: Move(_RUNNING, "submitted"),
    RunWaiting: Move(_RUNNING, "waiting"),
    CancelRequested: Move(UNFINISHED),
    QuestionAnswered: Move(UNFINISHED, wakes=True),
    QuestionExpired: Move(UNFINISHED, wakes=True),
    RunSucceeded: Move(_RUNNING, "success"),
    RunFailed: Move(UNFINISHED, "failure"),
    RunInterrupted: Move(UNFINISHED, "interrupted"),
}

_ONLY_MOVES = frozenset({RunStarted, RunSucceeded})
"""Events that nearly every run has, and that do nothing else to it."""


def move_of(events: Iterable[Event]) -> Move:
    """What several events in a row do to a run."""
    ends: dict[Status, Status] = {status: status for status in UNFINISHED}
    before: Move | None = None
    for event in events:
        move = MOVES.get(type(event), SAID_WHILE_RUNNING)
        if not (move is before is SAID_WHILE_RUNNING):  # what nearly all of them are
            ends = {first: move.after(at) for first, at in ends.items() if at in move.allowed}
        before = move
    allowed = frozenset(ends)
    if all(first == at for first, at in ends.items()):
        return Move(allowed)
    leads_to = set(ends.values())
    return Move(allowed, leads_to.pop()) if len(leads_to) == 1 else Move(allowed, wakes=True)


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
    deadline: Millis | None = None
    """When the run has to have ended."""
    wake: Millis | None = None
    """When the first question that a waiting run has asked expires."""
    in_turn: bool = False
    """Whether it begins only when every earlier run of its session has ended."""

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


class Closed(NamedTuple):
    """A question that is not open any more, and what closed it."""

    asked: QuestionAsked
    event: QuestionAnswered | QuestionExpired


class Fold:
    """What a log adds up to, entry by entry: the answer, the failure, the usage, open questions."""

    def __init__(self) -> None:
        self._number = 0
        self._texts: list[str] = []
        self._text_numbers: list[int] = []
        self._values: list[Json] = []
        self._value_numbers: list[int] = []
        self._within: dict[int, str] = {}
        self._outer: dict[str, str | None] = {}
        self._settled: set[str] = set()
        self.submitted: RunSubmitted | None = None
        self.status: Status = "submitted"
        self.failure: Failure | None = None
        self.usage: Usage | None = None
        self.cost_usd: float | None = None
        """What its models have cost, as far as their prices are known."""
        self.questions: dict[str, QuestionAsked] = {}
        """Those that are open."""
        self.closed: dict[str, Closed] = {}

    def apply(self, event: Event) -> None:
        """Take the next event of the log into account."""
        self._number += 1
        if isinstance(event, OutputChunk):  # nearly all of them
            self._texts.append(event.text)
            self._text_numbers.append(self._number)
            if event.within is not None:
                self._within[self._number] = event.within
            return
        move = MOVES.get(type(event))
        if move is not None:
            self.status = move.after(self.status)
        if type(event) not in _ONLY_MOVES:
            self._apply_answer(event)

    def _apply_answer(self, event: Event) -> None:
        match event:
            case OutputValue():
                self._values.append(event.value)
                self._value_numbers.append(self._number)
                if event.within is not None:
                    self._within[self._number] = event.within
            case ModelFinished() if not self._is_repeated(event.within):
                self._count(event)
            case RunSubmitted():
                self.submitted = event
            case RunFailed():
                self.failure = Failure(event.reason, event.message, event.error, event.traceback)
            case RunInterrupted():
                self.failure = Failure(event.reason, event.message)
            case _:
                self._apply_journal(event)

    def _count(self, event: ModelFinished) -> None:
        if event.usage is not None:
            so_far = self.usage or Usage()
            self.usage = Usage(
                so_far.input_tokens + event.usage.input_tokens,
                so_far.output_tokens + event.usage.output_tokens,
                so_far.estimated or event.usage.estimated,
            )
        if event.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + event.cost_usd

    def _apply_journal(self, event: Event) -> None:
        match event:
            case QuestionAsked():
                if event.prompt.kind != "notification":  # nobody has to answer it
                    self.questions[event.question] = event
            case QuestionAnswered() | QuestionExpired():
                asked = self.questions.pop(event.question, None)
                if asked is not None:  # else somebody else was first
                    self.closed[event.question] = Closed(asked, event)
            case StepStarted():
                self._outer[event.step] = event.within
                self._settled.discard(event.step)
            case StepFinished() | StepFailed(final=True):
                self._settled.add(event.step)
            case StepRestarted():
                self._void(lambda number: self._is_said_in(number, event.step))
            case OutputRestarted():
                within = event.within
                self._void(
                    lambda number: number > event.after and self._within.get(number) == within
                )
            case _:
                pass

    def _is_said_in(self, number: int, step: str) -> bool:
        return step in self._around(self._within.get(number))

    def _is_repeated(self, within: str | None) -> bool:
        # A step that has its outcome says the same once more when the step around it is restarted.
        return not self._settled.isdisjoint(self._around(within))

    def _around(self, within: str | None) -> Iterator[str]:
        while within is not None:
            yield within
            within = self._outer[within] if within in self._outer else scope_around(within)

    def _void(self, is_void: Callable[[int], bool]) -> None:
        _keep(self._texts, self._text_numbers, is_void)
        _keep(self._values, self._value_numbers, is_void)

    @property
    def last(self) -> int:
        """How many entries it has taken."""
        return self._number

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


def scope_around(scope: str) -> str | None:
    """Where a named scope was opened: its own id begins with the id of that step or scope."""
    return scope.rpartition(".")[0] or None


def _keep(said: list[_T], numbers: list[int], is_void: Callable[[int], bool]) -> None:
    kept = [at for at, number in enumerate(numbers) if not is_void(number)]
    said[:] = [said[at] for at in kept]
    numbers[:] = [numbers[at] for at in kept]
