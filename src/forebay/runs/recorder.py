"""Recorders: where an attempt's events become numbered entries.

A light recorder keeps them in memory until the run ends. A durable one hands them to the committer
and knows which of them are in the log. Both take events without waiting; an attempt waits for room
between the pieces of its agent's answer.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from forebay.core.clock import Clock
from forebay.core.codec import MAX_EVENT_BYTES, Entry, Object, offload
from forebay.core.errors import BacklogFull, ForebayError
from forebay.core.events import FINAL_TYPES, TYPES, Event, OutputChunk
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Fold, move_of
from forebay.ports.store import Append, Appended, Outcome

from .commit import NOT_WRITTEN, Committer
from .follow import Follower, Topic

ROOM_ENTRIES = 2_000
ROOM_BYTES = 1024 * 1024
_BACKLOG_BYTES = 64 * 1024 * 1024
_SMALL_CHUNK = 32 * 1024  # characters: encoded, they can not reach MAX_EVENT_BYTES


class Recorder(Protocol):
    """Takes the events of one attempt."""

    @property
    def last(self) -> int:
        """The number of the last entry taken."""
        ...

    @property
    def final(self) -> Entry | None:
        """The entry that ended the run."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether the agent may go on without waiting."""
        ...

    def record(self, event: Event, reason: str | None = None) -> None:
        """Take the next event. Raises EventTooLarge, BacklogFull, or why the log takes no more."""
        ...


class LightRecorder:
    """The log of a light run: all of it, here."""

    def __init__(self, clock: Clock, attempt: int) -> None:
        self._clock = clock
        self._attempt = attempt
        self._bytes = 0
        self.topic = Topic()
        self.entries = self.topic.ring
        self.objects: list[Object] = []

    @property
    def last(self) -> int:
        return len(self.entries)

    @property
    def final(self) -> Entry | None:
        last = self.entries[-1]
        return last if last.type in FINAL_TYPES else None

    @property
    def has_room(self) -> bool:
        return len(self.entries) < ROOM_ENTRIES and self._bytes < ROOM_BYTES

    def record(self, event: Event, reason: str | None = None) -> None:
        del reason
        number = len(self.entries) + 1
        entry = Entry(number, self._attempt, self._clock.now(), event=event)
        if type(event) is OutputChunk and len(event.text) <= _SMALL_CHUNK:
            self._bytes += len(event.text)
        else:
            entry, objects = fit(entry)
            self.objects.extend(objects)
            self._bytes += len(entry.data)
        self.topic.add(entry)


class DurableRecorder:
    """The newest part of a durable run's log: what is not committed yet."""

    def __init__(
        self,
        run: RunId,
        attempt: int,
        last: int,
        *,
        clock: Clock,
        committer: Committer,
        follower: Follower,
        fold: Fold | None = None,
    ) -> None:
        self.number: RunNumber | None = None
        self.fold = fold
        self.ended = asyncio.Event()
        self._run = run
        self._attempt = attempt
        self._clock = clock
        self._committer = committer
        self._follower = follower
        self._next = last + 1
        self._pending: list[Entry] = []
        self._unwritten: Append | None = None
        self._flying = False
        self._objects: list[Object] = []
        self._reason: str | None = None
        self._final: Entry | None = None
        self._bytes = 0
        self._room = asyncio.Event()
        self._committed = last
        self._refused: ForebayError | None = None

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

    async def room(self) -> None:
        """Wait until the agent may go on. Raises why the log takes nothing from us any more."""
        while not self.has_room and not self._refused:
            self._room.clear()
            await self._room.wait()
        if self._refused:
            raise self._refused

    def record(self, event: Event, reason: str | None = None) -> None:
        if self._refused:
            raise self._refused
        if self._bytes > _BACKLOG_BYTES and TYPES[type(event)] not in FINAL_TYPES:
            raise BacklogFull
        entry, objects = fit(Entry(self._next, self._attempt, self._clock.now(), event=event))
        self._next += 1
        self._pending.append(entry)
        self._objects.extend(objects)
        self._bytes += len(entry.data) + sum(len(stored.data) for stored in objects)
        self._reason = reason or self._reason
        if self.fold is not None:
            self.fold.apply(event)
        if not self._flying:
            self._committer.append_for(self)

    def admitted(self, number: RunNumber) -> None:
        """The run has its number now: what was recorded meanwhile can be written."""
        self.number = number
        if self._pending:
            self._committer.append_for(self)

    # --- as the committer sees it ---------------------------------------------------------------

    def take(self) -> Append | None:
        if self._refused or self._flying:
            return None
        if self._unwritten is None and self._pending and self.number is not None:
            self._unwritten = self._next_append(self.number)
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
            case _:
                pass  # the database is away: offer the same again
        self._room.set()
        if self._pending or self._unwritten:
            self._committer.append_for(self)

    def _next_append(self, run: RunNumber) -> Append:
        entries, self._pending = self._pending, []
        objects, self._objects = self._objects, []
        self._bytes = 0
        return Append(
            run,
            self._attempt,
            entries,
            move_of(entry.event for entry in entries),
            self._reason if entries[-1].type in FINAL_TYPES else None,
            objects,
        )

    def _written(self, append: Append, first: int) -> None:
        entries = append.entries
        if entries[0].number != first:  # somebody else wrote in between
            self._number(entries, first)
        self._committed = entries[-1].number
        if self._next != self._committed + 1 + len(self._pending):
            self._number(self._pending, self._committed + 1)
            self._next = self._committed + 1 + len(self._pending)
        self._follower.deliver(self._run, entries)
        if entries[-1].type in FINAL_TYPES:
            self._final = entries[-1]
            self.ended.set()

    @staticmethod
    def _number(entries: Sequence[Entry], first: int) -> None:
        for number, entry in enumerate(entries, first):
            entry.number = number


def fit(entry: Entry) -> tuple[Entry, list[Object]]:
    """Make an entry small enough for the log, by moving its large value beside it."""
    if len(entry.data) <= MAX_EVENT_BYTES:
        return entry, []
    event, stored = offload(entry.event)
    return Entry(entry.number, entry.attempt, entry.time, event=event), [stored]
