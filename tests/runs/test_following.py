"""Following: whatever is late, lost or slow, each follower sees each entry once, in order."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from forebay.core.clock import Millis
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable
from forebay.core.events import (
    CancelRequested,
    Event,
    OutputChunk,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from forebay.core.ids import RunId, RunNumber, new_run_id
from forebay.core.run import Run, move_of
from forebay.ports.log import Listener
from forebay.ports.store import CONTROL, Admit, Admitted, Append, Appended
from forebay.runs.follow import Follower
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.storage import FaultyStorage
from tests.support.waiting import settle

NOW = Millis(1_767_225_600_000)


class Rings:
    """Stands between a log and its listener: rings come late, in any order, or not at all."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.late: list[dict[RunNumber, int]] = []
        self.holds = False

    @property
    def interested(self) -> bool:
        return True

    @property
    def takes_runs(self) -> bool:
        return self.listener is not None and self.listener.takes_runs

    def queued(self) -> None:
        if self.listener:
            self.listener.queued()

    def add(self, listener: Listener) -> None:
        self.listener = listener

    def followed(self) -> Mapping[RunNumber, int]:
        return self.listener.followed() if self.listener else {}

    def moved(self, runs: Mapping[RunNumber, int]) -> None:
        if self.holds:
            self.late.append(dict(runs))
        elif self.listener:
            self.listener.moved(runs)

    def missed(self) -> None:
        if self.listener:
            self.listener.missed()


@dataclass(eq=False)
class Reader:
    """Somebody who follows."""

    after: int
    types: list[str] | None = None
    numbers: list[int] = field(default_factory=list[int])
    pages: int = 0
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def read(self, follower: Follower, run: RunId, number: RunNumber) -> None:
        async with aclosing(follower.follow(run, number, self.after, self.types)) as pages:
            async for page in pages:
                assert page.committed
                self.numbers += [entry.number for entry in page.entries]
                self.pages += 1
                await self.reads.wait()


class Stage:
    """One run in a log, and a follower of that log."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStorage(self.clock)
        self.storage = FaultyStorage(self.memory)
        self.rings = Rings()
        self.memory.listen(self.rings)
        self.follower = Follower(self.storage, self.clock)
        self.rings.add(self.follower)
        self.run = new_run_id(NOW)
        self.number = RunNumber(0)
        self.last = 0
        self.undelivered: list[list[Entry]] = []

    async def open(self) -> None:
        self.memory.listen(self.rings)
        self.follower.start()
        self.memory.listen(self.rings)
        entries = self.entries([RunSubmitted("echo", "x", "test"), RunStarted("inline", "here")])
        run = Run(self.run, "echo", "default", "anonymous", NOW, "running", last=2, attempt=1)
        (outcome,) = await self.memory.write([Admit(run, entries, lease_seconds=1e9)])
        assert isinstance(outcome, Admitted)
        self.number, self.last = outcome.number, 2

    def entries(self, events: Sequence[Event], attempt: int = 1) -> list[Entry]:
        return [
            Entry(number, attempt, NOW, event=event)
            for number, event in enumerate(events, self.last + 1)
        ]

    async def append(self, events: Sequence[Event], attempt: int = 1) -> list[Entry]:
        entries = self.entries(events, attempt)
        (outcome,) = await self.memory.write(
            [Append(self.number, attempt, entries, move_of(events))]
        )
        assert outcome == Appended(self.last + 1)
        self.last += len(entries)
        return entries

    def begin(
        self, after: int = 0, *, slow: bool = False, types: list[str] | None = None
    ) -> Reader:
        reader = Reader(after, types)
        if not slow:
            reader.reads.set()
        reader.task = asyncio.create_task(reader.read(self.follower, self.run, self.number))
        return reader

    async def finish(self, *readers: Reader) -> None:
        for reader in readers:
            reader.reads.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(reader.task for reader in readers if reader.task))

    async def close(self) -> None:
        await self.follower.aclose()


CHUNK = OutputChunk("x")
COUNTS = st.sampled_from([1, 2, 3, 10, 999, 1000, 1001, 2500])


class Following(RuleBasedStateMachine):
    """Everything that may happen between a log and those who follow it, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stage = Stage()
        self.readers: list[Reader] = []
        self.gone: list[Reader] = []
        self.has_missed = False
        self.outage = False

    def do(self, step: Coroutine[Any, Any, object]) -> None:
        async def then_settle() -> None:
            await step
            await settle()

        self.runner.run(then_settle())

    @initialize()
    def open(self) -> None:
        self.do(self.stage.open())

    @rule(
        count=COUNTS,
        rings=st.sampled_from(["now", "late"]),
        delivered=st.sampled_from(["now", "late", "elsewhere"]),
    )
    def write(self, count: int, rings: str, delivered: str) -> None:
        async def step() -> None:
            self.stage.rings.holds = rings == "late"
            entries = await self.stage.append([CHUNK] * count)
            if delivered == "now":
                self.stage.follower.deliver(self.stage.run, entries)
            elif delivered == "late":
                self.stage.undelivered.append(entries)

        self.do(step())

    @rule()
    def write_of_somebody_else(self) -> None:
        async def step() -> None:
            entries = await self.stage.append([CancelRequested("ada")], CONTROL)
            self.stage.undelivered.append(entries)

        self.do(step())

    @precondition(lambda self: self.stage.undelivered)
    @rule(data=st.data())
    def deliver_late(self, data: st.DataObject) -> None:
        async def step() -> None:
            at = data.draw(st.integers(0, len(self.stage.undelivered) - 1))
            self.stage.follower.deliver(self.stage.run, self.stage.undelivered.pop(at))

        self.do(step())

    @rule(slow=st.booleans())
    def reads(self, slow: bool) -> None:
        async def step() -> None:
            paused = self.stage.storage.reads_paused
            paused.clear() if slow else paused.set()

        self.do(step())

    @precondition(lambda self: self.stage.rings.late)
    @rule(data=st.data())
    def ring_late(self, data: st.DataObject) -> None:
        async def step() -> None:
            rings = self.stage.rings
            runs = rings.late.pop(data.draw(st.integers(0, len(rings.late) - 1)))
            self.stage.follower.moved(runs)

        self.do(step())

    @precondition(lambda self: self.stage.rings.late)
    @rule()
    def lose_rings(self) -> None:
        self.stage.rings.late.clear()
        self.has_missed = True

    @rule()
    def miss(self) -> None:
        async def step() -> None:
            self.stage.follower.missed()

        self.do(step())
        self.has_missed = False

    @rule(away=st.booleans())
    def database(self, away: bool) -> None:
        async def step() -> None:
            self.stage.storage.away = DatabaseUnavailable() if away else None
            self.stage.clock.advance(1)

        self.do(step())

    @precondition(lambda self: len(self.readers) < 6)
    @rule(data=st.data(), slow=st.booleans(), newest=st.booleans())
    def join(self, data: st.DataObject, slow: bool, newest: bool) -> None:
        async def step() -> None:
            last = self.stage.last
            after = last if newest else data.draw(st.integers(0, last))
            self.readers.append(self.stage.begin(after, slow=slow))

        self.do(step())

    @precondition(lambda self: self.readers)
    @rule(data=st.data(), reads=st.booleans())
    def read_or_not(self, data: st.DataObject, reads: bool) -> None:
        async def step() -> None:
            reader = data.draw(st.sampled_from(self.readers))
            reader.reads.set() if reads else reader.reads.clear()

        self.do(step())

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        async def step() -> None:
            reader = self.readers.pop(data.draw(st.integers(0, len(self.readers) - 1)))
            self.gone.append(reader)
            assert reader.task
            reader.task.cancel()
            await asyncio.wait({reader.task})

        self.do(step())

    @invariant()
    def each_reader_sees_each_entry_once_in_order(self) -> None:
        for reader in (*self.readers, *self.gone):
            first = reader.after + 1
            assert reader.numbers == list(range(first, first + len(reader.numbers)))

    def teardown(self) -> None:
        async def step() -> None:
            stage = self.stage
            stage.storage.away = None
            stage.storage.reads_paused.set()
            stage.rings.holds = False
            for entries in stage.undelivered:
                stage.follower.deliver(stage.run, entries)
            for runs in stage.rings.late:
                stage.follower.moved(runs)
            if self.has_missed:
                stage.follower.missed()
            await stage.append([CHUNK, RunSucceeded()])
            for _ in range(3):
                await settle()
                stage.clock.advance(1)
            await stage.finish(*self.readers)
            await stage.close()

        try:
            self.do(step())
            for reader in self.readers:
                assert reader.numbers == list(range(reader.after + 1, self.stage.last + 1))
        finally:
            self.runner.close()


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# --- what is worth its own sentence -------------------------------------------------------------


@pytest.fixture
async def stage():
    stage = Stage()
    await stage.open()
    yield stage
    await stage.close()


async def test_a_burst_of_another_process_of_more_than_a_page_comes_whole(stage: Stage):
    readers = [stage.begin(), stage.begin(2)]
    await settle()
    await stage.append([CHUNK] * 5_000)
    await settle()
    assert [reader.numbers[-1] for reader in readers] == [5_002, 5_002]
    await stage.append([RunSucceeded()])
    await stage.finish(*readers)


async def test_a_reader_that_falls_behind_reads_on_where_it_stopped(stage: Stage):
    slow, quick = stage.begin(slow=True), stage.begin()
    await settle()
    for _ in range(12):
        stage.follower.deliver(stage.run, await stage.append([CHUNK] * 1_000))
        await settle()
    assert quick.numbers[-1] == 12_002
    assert len(slow.numbers) <= 1_000
    await stage.append([RunSucceeded()])
    await stage.finish(slow, quick)
    assert slow.numbers == quick.numbers == list(range(1, 12_004))


async def test_types_that_are_not_asked_for_are_passed_over_but_not_the_last(stage: Stage):
    reader = stage.begin(types=["run.cancel_requested"])
    await stage.append([CHUNK] * 1_500)
    await stage.append([CancelRequested("ada")], CONTROL)
    await stage.append([CHUNK, RunSucceeded()])
    await stage.finish(reader)
    assert reader.numbers == [1_503, 1_505]


async def test_while_the_log_cannot_be_read_followers_wait(stage: Stage):
    stage.storage.go_away()
    reader = stage.begin()
    await stage.append([CHUNK, RunSucceeded()])
    await settle()
    assert reader.numbers == []
    stage.storage.come_back()
    stage.clock.advance(1)
    await stage.finish(reader)
    assert reader.numbers == [1, 2, 3, 4]


async def test_one_read_serves_everybody(stage: Stage):
    readers = [stage.begin() for _ in range(200)]
    await settle()
    before = stage.storage.reads
    stage.follower.deliver(stage.run, await stage.append([CHUNK]))
    await settle()
    assert stage.storage.reads - before <= 1
    await stage.append([RunSucceeded()])
    await settle()
    assert stage.storage.reads - before <= 3
    await stage.finish(*readers)


async def test_who_follows_nothing_reads_nothing(stage: Stage):
    assert not stage.follower.interested
    reader = stage.begin()
    await settle()
    assert stage.follower.interested
    assert reader.task
    reader.task.cancel()
    await asyncio.wait({reader.task})
    assert not stage.follower.interested
    before = stage.storage.reads
    await stage.append([CHUNK] * 10)
    await settle()
    assert stage.storage.reads == before


class Ear:
    """An attempt, as far as it hears."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.heard: list[Sequence[Entry]] = []

    def hear(self, entries: Sequence[Entry]) -> None:
        self.heard.append(entries)


async def test_a_look_that_finds_nothing_disturbs_nobody(stage: Stage):
    ear = Ear(stage.last)
    stage.follower.attend(stage.number, ear)
    stage.follower.look_at(stage.number, stage.last)
    await settle()
    assert ear.heard == []
    said = await stage.append([CHUNK])
    await settle()
    assert ear.heard == [said]
