"""The journal: what the log of a run tells the attempt that goes on with it. Pure.

It knows which steps have their outcome, what was drawn, asked and answered, and what was said and
still holds, so that nothing is done or said twice. Of this attempt it remembers only what the same
attempt may ask for again: what was done inside a step that may be tried once more.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from forebay.core.codec import MAX_EVENT_BYTES, Entry, decode_event, encode_event
from forebay.core.errors import BudgetExceeded
from forebay.core.events import (
    TYPES,
    Emission,
    Event,
    JournalDiverged,
    ModelFinished,
    OutputRestarted,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    StepFailed,
    StepFinished,
    StepRestarted,
    StepStarted,
    Usage,
    ValueDrawn,
)
from forebay.core.json import Json
from forebay.core.run import scope_around

from .recorder import fit

Answer: TypeAlias = QuestionAnswered | QuestionExpired

_EMISSIONS = frozenset(name for kind, name in TYPES.items() if issubclass(kind, Emission))
_FINISHED = TYPES[StepFinished]
_MODEL_FINISHED = TYPES[ModelFinished]
_OTHERS = frozenset(
    TYPES[kind]
    for kind in (
        StepStarted,
        StepFailed,
        StepRestarted,
        ValueDrawn,
        OutputRestarted,
        JournalDiverged,
        QuestionAsked,
        QuestionAnswered,
        QuestionExpired,
    )
)


class _Where(msgspec.Struct):
    within: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None


class _Finished(msgspec.Struct):
    step: str


_where = msgspec.json.Decoder(_Where).decode
_finished = msgspec.json.Decoder(_Finished).decode


class StepRecord:
    """What is known of one step."""

    __slots__ = (
        "arguments", "failure", "failures", "finished", "inner", "is_asked", "is_told", "is_void",
        "said", "step", "tries", "within",
    )  # fmt: skip

    def __init__(self, started: StepStarted) -> None:
        self.step = started.step
        self.arguments = started.arguments
        self.within = started.within
        self.tries = started.tries
        self.failures = 0
        self.finished: bytes | None = None
        """The event that has its result, as it stands in the log."""
        self.failure: StepFailed | None = None
        self.is_asked = False
        """Whether this attempt has asked for it."""
        self.is_told = False
        """Whether the log says already that nobody asked for it."""
        self.is_void = False
        """Whether what it said is void, because the step around it was begun again."""
        self.inner: list[StepRecord] = []
        self.said: list[tuple[str | None, bytes]] = []
        """What was said in it, in order, with the scope of each."""

    @property
    def has_outcome(self) -> bool:
        return self.finished is not None or self.failure is not None

    def emissions(self) -> Iterator[Event]:
        """What was said in it, to be said again."""
        return (decode_event(data) for _, data in self.said)


class _Repeats:
    """What was said in one scope outside steps, and how much of it was said again."""

    __slots__ = ("at", "said")

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []
        self.at = 0

    @property
    def last(self) -> int:
        """The number of the newest entry that was said again."""
        return self.said[self.at - 1][0] if self.at else 0


class Journal:
    """What earlier attempts have left, and what of it this attempt has asked for."""

    def __init__(self) -> None:
        self.steps = 0
        """How many steps the run has begun."""
        self.tokens = 0
        """How many tokens its models have consumed."""
        self.cost_usd = 0.0
        """How much the calls of its models have cost."""
        self.exceeded: BudgetExceeded | None = None
        """Why the run fails, whatever its agent does from now on."""
        self._records: dict[str, StepRecord] = {}
        self._forgotten: dict[str, str | None] = {}
        self._values: dict[str, Json] = {}
        self._questions: dict[str, QuestionAsked] = {}
        self._answers: dict[str, Answer] = {}
        self._repeats: dict[str | None, _Repeats] = {}
        self._diverged: list[str] = []

    # --- reading the log ------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """Take the next entry of the log into account."""
        if entry.type in _EMISSIONS:
            self._add_emission(entry.type, entry.number, entry.data)
        elif entry.type == _FINISHED:
            self._finish(_finished(entry.data).step, entry.data)
        elif entry.type in _OTHERS:
            event = entry.event
            if isinstance(event, StepStarted) and event.tries == 1:
                self.steps += 1
            self._apply(event)

    def remember(self, event: Event) -> None:
        """Keep what this attempt records, because it may ask for it again."""
        if isinstance(event, Emission):
            self._hear(event.within, encode_event(event))
        elif isinstance(event, StepFinished):
            record = self._records.get(event.step)
            inner = self._unasked(record.inner if record else ())
            self._diverged += [each.step for each in inner if each.has_outcome]
            self._finish(event.step, encode_event(event))
        else:
            self._apply(event)
        if isinstance(event, StepStarted):
            self._records[event.step].is_asked = True

    def forget(self, step: str) -> None:
        """Nobody will ask for this step again, nor for what is inside it."""
        record = self._records.pop(step, None)
        if record is not None:
            self._forgotten[step] = record.within  # it may still be said again what was said there
            for inner in record.inner:
                self.forget(inner.step)

    def _add_emission(self, kind: str, number: int, data: bytes) -> None:
        where = _where(data) if b'"within":' in data or kind == _MODEL_FINISHED else None
        within = where.within if where else None
        if where and (where.usage or where.cost_usd) and not self._is_repeated(within):
            usage = where.usage or Usage()
            self.tokens += usage.input_tokens + usage.output_tokens
            self.cost_usd += where.cost_usd or 0.0
        self._hear(within, data)
        if within is None or within.startswith("."):
            self._repeats.setdefault(within, _Repeats()).said.append((number, data))

    def _hear(self, within: str | None, data: bytes) -> None:
        for record in self._around(within):
            if not record.has_outcome:
                record.said.append((within, data))

    def _is_repeated(self, within: str | None) -> bool:
        # What stands in the log behind a step's outcome was said before, and void.
        return any(record.has_outcome for record in self._around(within))

    def _around(self, within: str | None) -> Iterator[StepRecord]:
        while within is not None:
            record = self._records.get(within)
            if record is not None:
                yield record
                within = record.within
            elif within in self._forgotten:
                within = self._forgotten[within]
            else:
                within = scope_around(within)

    def _apply(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._start(event)
            case StepFailed():
                self._fail(event)
            case StepRestarted():
                self._restart(event.step)
            case ValueDrawn():
                self._values[event.step] = event.value
            case OutputRestarted():
                self._cut(event)
            case JournalDiverged():
                self._tell(event)
            case QuestionAsked():
                self._questions[event.question] = event
            case QuestionAnswered() | QuestionExpired():
                self._answers.setdefault(event.question, event)
            case _:
                pass

    def _start(self, event: StepStarted) -> None:
        record = self._records.get(event.step)
        if record is not None:
            record.tries, record.is_void = event.tries, False
            return
        record = self._records[event.step] = StepRecord(event)
        outer = next(self._around(event.within), None)
        if outer is not None:
            outer.inner.append(record)

    def _finish(self, step: str, data: bytes) -> None:
        record = self._records.get(step)
        if record is not None:  # else the step around it did not wait for it, and has its result
            record.finished = data
            self._settle(record)

    def _fail(self, event: StepFailed) -> None:
        record = self._records.get(event.step)
        if record is None:
            return
        if event.final:
            record.failure = event
            self._settle(record)
            return
        record.failures += 1
        self._reopen(record)

    def _reopen(self, record: StepRecord) -> None:
        for inner in record.inner:
            if inner.finished is None:  # the next try may have more luck with it, too
                inner.failure, inner.failures = None, 0
                self._reopen(inner)

    def _settle(self, record: StepRecord) -> None:
        is_inside = next(self._around(record.within), None) is not None
        if not is_inside:  # what was said in it is never said again
            scopes = dict.fromkeys(within for within, _ in record.said)
            record.said = [(within, b"") for within in scopes]
        if record.finished is not None or not is_inside:  # a failed one may have another try
            for inner in record.inner:
                self.forget(inner.step)
            record.inner.clear()

    def _restart(self, step: str) -> None:
        record = self._records.get(step)
        if record is None:
            return
        self._void(record)
        for outer in self._around(record.within):
            outer.said = [said for said in outer.said if record not in self._around(said[0])]

    def _void(self, record: StepRecord) -> None:
        record.said.clear()
        for inner in record.inner:
            if inner.has_outcome:
                inner.is_void = True
            else:
                self._void(inner)

    def _cut(self, event: OutputRestarted) -> None:
        repeats = self._repeats.get(event.within)
        if repeats is not None:
            repeats.said = [said for said in repeats.said if said[0] <= event.after]
        for record in self._around(event.within):
            record.said = [said for said in record.said if said[0] != event.within]

    def _tell(self, event: JournalDiverged) -> None:
        for step in event.steps:
            record = self._records.get(step)
            if record is not None:
                record.is_told = True

    # --- what an attempt asks -------------------------------------------------------------------

    def recall(self, step: str) -> StepRecord | None:
        """What is known of a step that the agent asks for."""
        record = self._records.get(step)
        if record is not None:
            record.is_asked = True
        return record

    def drawn(self, step: str) -> Json:
        """The value that was drawn under this name; None if none was."""
        return self._values.get(step)

    def asked(self, question: str) -> QuestionAsked | None:
        """The question of this name, if it stands in the log."""
        return self._questions.get(question)

    def answer(self, question: str) -> Answer | None:
        """What came of a question, if it stands in the log."""
        return self._answers.get(question)

    @property
    def repeats(self) -> bool:
        """Whether some of what is said may stand in the log already."""
        return bool(self._repeats)

    def repeat(self, event: Emission) -> bool | OutputRestarted:
        """Compare what is said outside steps with what was.

        True: it stands in the log. False: it is new. An event: it is new, and what was said in its
        place is void; the event says so and comes first.
        """
        repeats = self._repeats.get(event.within)
        if repeats is None:
            return False
        if repeats.at == len(repeats.said):
            del self._repeats[event.within]
            return False
        if repeats.said[repeats.at][1] == _as_recorded(event):
            repeats.at += 1
            return True
        del self._repeats[event.within]
        return OutputRestarted(repeats.last, event.within)

    def leftovers(self) -> list[Event]:
        """What is to be recorded when the agent has ended without asking for all that was there.

        Raises BudgetExceeded if that is why it ended.
        """
        if self.exceeded is not None:
            raise self.exceeded
        if not (self._records or self._repeats or self._diverged):
            return []  # nearly always
        unasked = list(self._unasked(self._outermost()))
        events: list[Event] = [
            OutputRestarted(repeats.last, within)
            for within, repeats in self._repeats.items()
            if repeats.at < len(repeats.said)
        ]
        events += [
            OutputRestarted(0, within)
            for within in dict.fromkeys(
                within for record in unasked if not record.is_void for within, _ in record.said
            )
        ]
        diverged = self._diverged + [
            record.step for record in unasked if record.has_outcome and not record.is_told
        ]
        return [*events, JournalDiverged(diverged)] if diverged else events

    def _outermost(self) -> Iterator[StepRecord]:
        for record in self._records.values():
            if next(self._around(record.within), None) is None:
                yield record

    def _unasked(self, records: Iterable[StepRecord]) -> Iterator[StepRecord]:
        for record in records:
            if not record.is_asked:
                yield record
            elif not record.has_outcome:  # else nobody had to ask for what is inside
                yield from self._unasked(record.inner)


def _as_recorded(event: Event) -> bytes:
    data = encode_event(event)
    return data if len(data) <= MAX_EVENT_BYTES else encode_event(fit(event)[0])
