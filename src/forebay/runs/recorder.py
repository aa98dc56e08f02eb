"""Recorders: where an attempt's events become numbered entries.

A light recorder keeps them in memory until the run ends. A durable one hands them to the committer
and knows which of them are in the log. Both take events without waiting; an attempt waits for room
between the pieces of its agent's answer.
"""

import asyncio
from collections.abc import Callable, Sequence

from forebay.core.clock import Clock, Millis
from forebay.core.codec import MAX_EVENT_BYTES, Entry, Object, Said, encode_event, offload, restore
from forebay.core.errors import BacklogFull, ForebayError, RunFinished, StaleAttempt
from forebay.core.events import (
    FINAL_TYPES,
    TYPES,
    CancelRequested,
    Event,
    ModelChunk,
    ObjectRef,
    OutputChunk,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    RunWaiting,
)
from forebay.core.ids import RunNumber
from forebay.core.run import Fold, Run, move_of, reason_of
from forebay.ports.store import Append, Appended, Outcome

from .commit import NOT_WRITTEN, Committer
from .follow import Follower, Topic

ROOM_ENTRIES = 2_000
ROOM_BYTES = 1024 * 1024
_BACKLOG_BYTES = 64 * 1024 * 1024
SMALL_CHARACTERS = 32 * 1024  # encoded, so many cannot reach MAX_EVENT_BYTES
_ALWAYS_SMALL = frozenset({RunStarted, RunSucceeded, CancelRequested})


class LightRecorder:
    """The log of a light run: all of it, here. Entries are made only if somebody follows."""

    def __init__(self, clock: Clock, attempt: int) -> None:
        self.log: list[Said] = []
        self.objects: list[Object] = []
        self._clock = clock
        self._attempt = attempt
        self._bytes = 0
        self._topic: Topic | None = None
        self._shown: int | None = None
        self._is_over = False

    @property
    def last(self) -> int:
        return len(self.log)

    @property
    def final(self) -> Said | None:
        last = self.log[-1]
        return last if TYPES[type(last.event)] in FINAL_TYPES else None

    @property
    def has_room(self) -> bool:
        return len(self.log) < ROOM_ENTRIES and self._bytes < ROOM_BYTES

    @property
    def topic(self) -> Topic:
        """Where the run is followed."""
        if self._topic is None:
            self._topic = Topic.of(self.entries()[: self._shown])
        return self._topic

    @property
    def is_followed(self) -> bool:
        return self._topic is not None

    def hold_back(self) -> None:
        """The run becomes durable: what is said from now on is shown once it is committed."""
        self._shown = len(self.log)

    def entries(self, after: int = 0) -> list[Entry]:
        """The entries after a number."""
        return [
            Entry(number, said.attempt, said.time, event=said.event)
            for number, said in enumerate(self.log[after:], after + 1)
        ]

    def fold(self) -> Fold:
        """What the log adds up to, with the values that stand beside it."""
        beside = {stored.id: stored for stored in self.objects}
        fold = Fold()
        for said in self.log:
            named: ObjectRef | None = getattr(said.event, "stored", None) if beside else None
            fold.apply(restore(said.event, beside[named.object]) if named else said.event)
        return fold

    def end(self, event: Event) -> None:
        """Take the event that ends the attempt. Nothing comes after it."""
        self.record(event)
        self._is_over = True

    def record(self, event: Event) -> None:
        """Take the next event. Raises EventTooLarge, RunFinished."""
        if self._is_over:
            raise RunFinished
        self.say(self._attempt, event)

    def piece(self, event: OutputChunk | ModelChunk) -> None:
        """Take an event whose text has at most SMALL_CHARACTERS. Raises RunFinished."""
        if self._is_over:
            raise RunFinished
        text = event.text
        if not text.isascii():
            text.encode()  # raises for what is no Unicode now, and not when the log is written
        self._bytes += len(text)
        said = Said(self._attempt, self._clock.now(), event)
        self.log.append(said)
        if self._topic is not None and self._shown is None:
            self._topic.add(Entry(len(self.log), self._attempt, said.time, event=said.event))

    def say(self, attempt: int, event: Event) -> None:
        """Take an event of somebody who may be another than the attempt."""
        if not _is_small(event):
            event, objects = fit(event)
            self.objects.extend(objects)
            self._bytes += len(encode_event(event)) + sum(len(each.data) for each in objects)
        said = Said(attempt, self._clock.now(), event)
        self.log.append(said)
        if self._topic is not None and self._shown is None:
            self._topic.add(Entry(len(self.log), attempt, said.time, event=event))


class DurableRecorder:
    """The newest part of a durable run's log: what is not committed yet."""

    def __init__(
        self,
        run: Run,
        number: RunNumber,
        *,
        clock: Clock,
        committer: Committer,
        follower: Follower,
        frees: bool = False,
    ) -> None:
        self.number = number
        self.fold: Fold | None = None
        """What the log adds up to, if somebody waits for it here."""
        self.when_refused: Callable[[], None] | None = None
        """Told that the log takes nothing from us any more."""
        self.ended = asyncio.Event()
        self._run = run.id
        self._attempt = run.attempt
        self._frees = frees
        self._clock = clock
        self._committer = committer
        self._follower = follower
        self._next = run.last + 1
        self._pending: list[Entry] = []
        self._unwritten: Append | None = None
        self._flying = False
        self._objects: list[Object] = []
        self._final: Entry | None = None
        self._bytes = 0
        self._room = asyncio.Event()
        self._settled = asyncio.Event()
        self._committed = run.last
        self._refused: ForebayError | None = None
        self._is_over = False

    @property
    def last(self) -> int:
        """The last number that is known to be in the log."""
        return self._committed

    @property
    def final(self) -> Entry | None:
        return self._final

    @property
    def has_room(self) -> bool:
        return len(self._pending) < ROOM_ENTRIES and self._bytes < ROOM_BYTES

    @property
    def _is_behind(self) -> bool:
        # What the database has not taken is offered again: it is neither pending nor flying then.
        return bool(self._pending or self._unwritten)

    async def committed(self) -> None:
        """Wait until all that was recorded is in the log. Raises why it takes no more from us."""
        while self._is_behind and not self._refused:
            self._settled.clear()
            await self._settled.wait()
        if self._refused:
            raise self._refused

    async def wait_for_answers(self, waiting: RunWaiting, wake: Millis | None) -> bool:
        """Let the run wait, unless somebody has written into its log since we last looked.

        Raises why the log takes nothing from us any more.
        """
        await self.committed()
        entry = Entry(self._committed + 1, self._attempt, self._clock.now(), event=waiting)
        append = Append(
            self.number,
            self._attempt,
            [entry],
            move_of([waiting]),
            only_if_last=True,
            wake=wake,
            frees=self._frees,
        )
        try:
            await self._committer.write(append)
        except StaleAttempt:
            return False
        self._follower.deliver(self._run, [entry])
        self._refused = StaleAttempt("The run waits for answers.")
        self.ended.set()
        return True

    def heard(self, last: int) -> None:
        """Somebody else has written entries up to this number."""
        if not self._is_behind and last > self._committed:
            self._committed = last
            self._next = last + 1

    async def room(self) -> None:
        """Wait until the agent may go on. Raises why the log takes nothing from us any more."""
        while not self.has_room and not self._refused:
            self._room.clear()
            await self._room.wait()
        if self._refused:
            raise self._refused

    def end(self, event: Event) -> None:
        """Take the event that ends the attempt. Nothing comes after it."""
        self.record(event)
        self._is_over = True

    def record(self, event: Event) -> None:
        """Take the next event. Raises EventTooLarge, BacklogFull, or why the log takes no more."""
        if self._refused:
            raise self._refused
        if self._is_over:
            raise RunFinished
        if self._bytes > _BACKLOG_BYTES and TYPES[type(event)] not in FINAL_TYPES:
            raise BacklogFull
        entry = Entry(self._next, self._attempt, self._clock.now(), event=event)
        if len(entry.data) > MAX_EVENT_BYTES:
            smaller, objects = fit(event)
            entry = Entry(self._next, self._attempt, entry.time, event=smaller)
            self._objects.extend(objects)
            self._bytes += sum(len(each.data) for each in objects)
        self._next += 1
        self._pending.append(entry)
        self._bytes += len(entry.data)
        if self.fold is not None:
            self.fold.apply(event)
        if not self._flying:
            self._committer.append_for(self)

    def piece(self, event: OutputChunk | ModelChunk) -> None:
        """Take an event whose text has at most SMALL_CHARACTERS."""
        self.record(event)

    def take_over(self, log: Sequence[Said], objects: Sequence[Object]) -> None:
        """Take what was said while the run was being admitted."""
        for said in log:
            self._pending.append(Entry(self._next, said.attempt, said.time, event=said.event))
            self._next += 1
        self._objects.extend(objects)
        if self._pending:
            self._committer.append_for(self)

    # --- as the committer sees it ---------------------------------------------------------------

    def take(self) -> Append | None:
        if self._refused or self._flying:
            return None
        if self._unwritten is None and self._pending:
            self._unwritten = self._next_append()
        self._flying = self._unwritten is not None
        return self._unwritten

    def settle(self, outcome: Outcome) -> None:
        append, self._flying = self._unwritten, False
        assert append is not None, "settled without a take"
        match outcome:
            case Appended():
                self._unwritten = None
                self._written(append, outcome.first)
            case ForebayError() if not isinstance(outcome, NOT_WRITTEN):
                self._unwritten, self._pending = None, []
                self._refused = outcome
                self.ended.set()
                if self.when_refused is not None:
                    self.when_refused()
            case _:
                pass  # the database is away: offer the same again
        self._room.set()
        self._settled.set()
        if self._pending or self._unwritten:
            self._committer.append_for(self)

    def _next_append(self) -> Append:
        entries, self._pending = self._pending, []
        objects, self._objects = self._objects, []
        self._bytes = 0
        return Append(
            self.number,
            self._attempt,
            entries,
            move_of(entry.event for entry in entries),
            reason_of(entries[-1].event),
            objects,
            frees=self._frees and entries[-1].type in FINAL_TYPES,
        )

    def _written(self, append: Append, first: int) -> None:
        entries = append.entries
        if entries[0].number != first:  # somebody else wrote in between
            self._follower.look_at(self.number, entries[0].number - 1, first - 1)
            self._number(entries, first)
        self._committed = entries[-1].number
        if self._next != self._committed + 1 + len(self._pending):
            self._number(self._pending, self._committed + 1)
            self._next = self._committed + 1 + len(self._pending)
        self._follower.deliver(self._run, entries)
        if entries[-1].type in FINAL_TYPES:
            self._final = entries[-1]
            self.ended.set()
        elif isinstance(entries[-1].event, RunRequeued):
            self.ended.set()

    @staticmethod
    def _number(entries: Sequence[Entry], first: int) -> None:
        for number, entry in enumerate(entries, first):
            entry.number = number


def fit(event: Event) -> tuple[Event, list[Object]]:
    """Make an event small enough for the log, by moving its large value beside it."""
    if len(encode_event(event)) <= MAX_EVENT_BYTES:
        return event, []
    smaller, stored = offload(event)
    return smaller, [stored]


def _is_small(event: Event) -> bool:
    # Nearly every event surely fits, and encoding each of them to see would cost more than it.
    if isinstance(event, RunSubmitted):
        text = event.input if isinstance(event.input, str) and not event.metadata else None
        return text is not None and len(text) <= SMALL_CHARACTERS and text.isascii()
    return type(event) in _ALWAYS_SMALL
