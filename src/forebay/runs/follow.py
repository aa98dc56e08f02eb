"""Following: each follower sees each entry once, in order, whoever writes it and wherever.

Written once: take the signal, *then* look, then wait. A topic keeps the newest entries of a run
that somebody follows, bounded in count and bytes; a follower that has fallen behind it reads pages
from the log until it has caught up, and costs nobody else anything.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from forebay.core.clock import Clock
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable
from forebay.core.events import FINAL_TYPES
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES
from forebay.core.tasks import start_essential
from forebay.ports.log import EventLog

_RING_ENTRIES = 2_000
_RING_BYTES = 1024 * 1024
_RETRY_SECONDS = 0.5
_ALL = 1 << 62


class Page(NamedTuple):
    """Some entries in a row. Only committed ones may be given to a client as a cursor."""

    entries: Sequence[Entry]
    committed: bool


class _Gap(NamedTuple):
    """Entries of a run that are in the log but not here: those after a number, until another."""

    after: int
    until: int


class Signal:
    """One follower's notice that there may be more. An `asyncio.Event` would weigh a kilobyte."""

    __slots__ = ("_waiter", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """There may be more."""
        self.is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """From here on, notice what comes."""
        self.is_set = False

    async def wait(self) -> None:
        """Return when there may be more."""
        if not self.is_set:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None


class Topic:
    """The newest entries of one run, and who waits for more."""

    __slots__ = ("_bytes", "committed", "end", "number", "ring", "signals")

    def __init__(self, number: RunNumber | None = None) -> None:
        self.number = number
        self.committed = number is not None
        self.ring: list[Entry] = []
        self.end: int | None = None if self.committed else 0
        self.signals: set[Signal] = set()
        self._bytes = 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Topic":
        """A light run that has ended, and is not written yet."""
        topic = cls()
        for entry in entries:
            topic.add(entry)
        return topic

    def add(self, entry: Entry) -> None:
        """The next entry of a light run, which keeps all of its entries here."""
        self.ring.append(entry)
        self.end = entry.number
        if self.signals:
            self._wake()

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Entries that were committed. They may repeat what is here, or leave a gap."""
        if self.end is not None:
            fresh = [entry for entry in entries if entry.number > self.end]
            if fresh and fresh[0].number == self.end + 1:
                self.ring.extend(fresh)
                self.end = fresh[-1].number
                self._trim(fresh)
            elif fresh:
                self.forget()
        self._wake()

    def since(self, cursor: int) -> Sequence[Entry] | None:
        """The entries after a number; None if they have to be read from the log."""
        if self.end is None or cursor < self.end - len(self.ring):
            return None
        at = len(self.ring) - (self.end - cursor)
        return self.ring[at : at + PAGE_ENTRIES] if cursor < self.end else ()

    def caught_up(self, cursor: int, signal: Signal) -> None:
        """A reader found nothing after this number: from here on the topic can know everything.

        Unless something was delivered since the reader took its signal; then he looks again.
        """
        if self.end is None and not signal.is_set:
            self.end = cursor

    def forget(self) -> None:
        """Entries may have been missed: let everybody read the log."""
        self.ring, self._bytes, self.end = [], 0, None
        self._wake()

    def _wake(self) -> None:
        for signal in self.signals:
            signal.set()

    def _trim(self, fresh: Iterable[Entry]) -> None:
        if not self.committed:
            return
        self._bytes += sum(len(entry.data) for entry in fresh)
        if len(self.ring) > _RING_ENTRIES or self._bytes > _RING_BYTES:
            self.ring = self.ring[len(self.ring) // 2 + 1 :]
            self._bytes = sum(len(entry.data) for entry in self.ring)


class Attendant(Protocol):
    """A run under way here, which has to hear of entries that somebody else wrote into its log."""

    @property
    def last(self) -> int: ...

    def hear(self, entries: Sequence[Entry]) -> None: ...


class Follower:
    """Everything this process follows. Hears from the log what moved, and reads it once for all."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._topics: dict[RunId, Topic] = {}
        self._numbers: dict[RunNumber, Topic] = {}
        self._attendants: dict[RunNumber, Attendant] = {}
        self._dirty: dict[RunNumber, _Gap] = {}
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.page_reads = 0
        self.on_queued: Callable[[], None] | None = None
        """Told that there may be queued runs, if somebody here takes them."""

    def start(self) -> None:
        """Begin to listen."""
        self._log.listen(self)
        self._task = start_essential(self._run(), "follower")

    async def aclose(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- what is heard --------------------------------------------------------------------------

    @property
    def takes_runs(self) -> bool:
        return self.on_queued is not None

    def queued(self) -> None:
        if self.on_queued is not None:
            self.on_queued()

    @property
    def interested(self) -> bool:
        return bool(self._numbers or self._attendants)

    def followed(self) -> Mapping[RunNumber, int]:
        known = {number: topic.end or 0 for number, topic in self._numbers.items()}
        for number, attendant in self._attendants.items():
            known[number] = min(attendant.last, known.get(number, attendant.last))
        return known

    def moved(self, runs: Mapping[RunNumber, int]) -> None:
        for number, last in runs.items():
            if (topic := self._numbers.get(number)) is not None:
                if topic.end is None:
                    topic.deliver(())
                elif last > topic.end:
                    self._look_at(number, topic.end, last)
            attendant = self._attendants.get(number)
            if attendant is not None and last > attendant.last:
                self._look_at(number, attendant.last, last)

    def missed(self) -> None:
        for topic in self._numbers.values():
            topic.forget()
        for number, attendant in self._attendants.items():
            self._look_at(number, attendant.last, _ALL)

    def deliver(self, run: RunId, entries: Sequence[Entry]) -> None:
        """Entries this process has committed itself."""
        topic = self._topics.get(run)
        if topic is not None:
            topic.deliver(entries)

    def attend(self, number: RunNumber, attendant: Attendant) -> None:
        """Tell a run under way here what others write into its log."""
        self._attendants[number] = attendant

    def look_at(self, number: RunNumber, after: int, until: int = _ALL) -> None:
        """Read what a log has after this number: nobody may have told us of it."""
        self._look_at(number, after, until)

    def leave(self, number: RunNumber, attendant: Attendant) -> None:
        """This attempt is over."""
        if self._attendants.get(number) is attendant:  # else the next one is here already
            del self._attendants[number]

    def _look_at(self, number: RunNumber, after: int, until: int) -> None:
        known = self._dirty.get(number, _Gap(after, until))
        self._dirty[number] = _Gap(min(after, known.after), max(until, known.until))
        self._work.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            dirty, self._dirty = self._dirty, {}
            self.page_reads += 1
            try:
                found = await self._log.read_many(
                    {number: gap.after for number, gap in dirty.items()}
                )
            except DatabaseUnavailable:
                for number, gap in dirty.items():
                    self._look_at(number, *gap)
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            for number, entries in found.items():
                if not entries:
                    continue
                self._tell(number, entries)
                if entries[-1].number < dirty[number].until:
                    self._look_at(number, entries[-1].number, dirty[number].until)

    def _tell(self, number: RunNumber, entries: Sequence[Entry]) -> None:
        if (topic := self._numbers.get(number)) is not None:
            topic.deliver(entries)
        if (attendant := self._attendants.get(number)) is not None:
            attendant.hear(entries)

    # --- following ------------------------------------------------------------------------------

    async def follow(
        self, run: RunId, where: Topic | RunNumber, after: int, types: Sequence[str] | None = None
    ) -> AsyncGenerator[Page]:
        """The entries of a run after a number, as they come, until its final one.

        A light run keeps them in its own topic; those of a durable run are under its number. With
        `types` others are left out, but never the final one. Close the generator when done.
        """
        if isinstance(where, Topic) and where.number is not None:
            where = where.number  # it has become durable before anybody read from it
        topic = where if isinstance(where, Topic) else self._join(run, where)
        signal = Signal()
        topic.signals.add(signal)
        cursor = after
        try:
            while True:
                signal.clear()
                entries = topic.since(cursor)
                if entries is None:
                    entries = await self._read(topic, cursor, signal)
                if not entries:
                    await signal.wait()
                    continue
                cursor, last = entries[-1].number, entries[-1].type
                yield Page(_shown(entries, types), topic.committed)
                if last in FINAL_TYPES:
                    return
                del entries  # not to be held while nothing comes
        finally:
            topic.signals.discard(signal)
            if not topic.signals and topic.number is not None:
                self._topics.pop(run, None)
                self._numbers.pop(topic.number, None)

    def adopt(self, run: RunId, number: RunNumber, topic: Topic) -> None:
        """A light run with followers became durable: from now on its log is the truth."""
        topic.number = number
        topic.committed = True
        if topic.signals:
            self._topics[run] = self._numbers[number] = topic

    def _join(self, run: RunId, number: RunNumber) -> Topic:
        topic = self._topics.get(run)
        if topic is None:
            topic = self._topics[run] = self._numbers[number] = Topic(number)
        return topic

    async def _read(self, topic: Topic, cursor: int, signal: Signal) -> Sequence[Entry]:
        assert topic.number is not None, "a light run keeps all of its entries"
        while True:
            self.page_reads += 1
            try:
                entries = await self._log.read(topic.number, after=cursor)
            except DatabaseUnavailable:
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            if not entries:
                topic.caught_up(cursor, signal)
            return entries


def _shown(entries: Sequence[Entry], types: Sequence[str] | None) -> Sequence[Entry]:
    if types is None:
        return entries
    return [entry for entry in entries if entry.type in types or entry.type in FINAL_TYPES]
