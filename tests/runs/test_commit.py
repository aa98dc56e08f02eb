"""Group commit: what comes together is one commit, and nothing durable waits for the bulk."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from forebay.core.clock import Millis
from forebay.core.codec import Entry, Said, pack
from forebay.core.errors import DatabaseUnavailable, DiskFull, ForebayError, KeyReused, RunFinished
from forebay.core.events import OutputChunk, RunStarted, RunSubmitted, RunSucceeded
from forebay.core.ids import RunNumber, new_run_id
from forebay.core.run import Run, move_of
from forebay.ports.store import (
    Admit,
    Admitted,
    Append,
    Appended,
    IdempotencyKey,
    Joined,
    Keep,
    Outcome,
    RunQuery,
)
from forebay.runs.commit import Committer
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.storage import Fault, FaultyStorage
from tests.support.waiting import pass_time, settle, until

NOW = Millis(1_767_225_600_000)
EVENTS = (RunSubmitted("echo", "x", "test"), RunStarted("inline", "here"))


class Stage:
    """A committer, and what it writes to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.storage = FaultyStorage(MemoryStorage(self.clock))
        self.committer = Committer(self.storage, self.clock)

    def begin(self, write: Admit | Append) -> asyncio.Task[Outcome]:
        return asyncio.create_task(self.committer.write(write))

    async def number(self) -> RunNumber:
        outcome = await self.committer.write(admit())
        assert isinstance(outcome, Admitted)
        return outcome.number


@pytest.fixture
async def stage() -> AsyncGenerator[Stage]:
    stage = Stage()
    stage.committer.start()
    yield stage
    stage.storage.paused.set()
    closing = asyncio.create_task(stage.committer.aclose())
    while not closing.done():
        await asyncio.wait({closing}, timeout=0.01)
        stage.clock.advance(0.1)


def run(**fields: object) -> Run:
    return Run(new_run_id(NOW), "echo", "default", "ada", NOW, "running", last=2, attempt=1)


def admit(key: str | None = None, fingerprint: bytes = b"f") -> Admit:
    entries = [Entry(number, 1, NOW, event=event) for number, event in enumerate(EVENTS, 1)]
    named = key and IdempotencyKey("default", "ada", "runs", key, fingerprint, NOW)
    return Admit(run(), entries, named or None, 9.0)


def append(number: RunNumber, first: int, *events: OutputChunk | RunSucceeded) -> Append:
    entries = [Entry(at, 1, NOW, event=event) for at, event in enumerate(events, first)]
    return Append(number, 1, entries, move_of(events))


def keep() -> Keep:
    log = [Said(1, NOW, event) for event in (*EVENTS, RunSucceeded())]
    return Keep(run(), pack(log))


async def test_a_lone_write_is_committed_at_once(stage: Stage):
    assert isinstance(await stage.committer.write(admit()), Admitted)
    assert stage.committer.commits == 1


async def test_what_comes_in_the_same_moment_is_one_commit(stage: Stage):
    outcomes = await asyncio.gather(*(stage.committer.write(admit()) for _ in range(50)))
    assert len(set(map(repr, outcomes))) == 50
    assert stage.committer.commits == 1


async def test_what_comes_while_a_batch_is_under_way_is_the_next_batch(stage: Stage):
    stage.storage.paused.clear()
    first = stage.begin(admit())
    await until(lambda: stage.storage.writes_begun == 1)
    others = [stage.begin(admit()) for _ in range(50)]
    await settle()
    assert stage.storage.writes_begun == 1
    stage.storage.paused.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in stage.storage.batches] == [1, 50]


async def test_each_write_has_its_own_outcome(stage: Stage):
    number = await stage.number()
    one, other = append(number, 3, RunSucceeded()), append(number, 3, OutputChunk("late"))
    first = admit("k")
    outcomes = await asyncio.gather(
        *(stage.committer.write(write) for write in (first, one, admit("k"), admit("k", b"g"))),
        stage.committer.write(other),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], Admitted)
    assert outcomes[1] == Appended(3)
    assert outcomes[2] == Joined(first.run.id)
    assert isinstance(outcomes[3], KeyReused)
    assert isinstance(outcomes[4], RunFinished)


@pytest.mark.parametrize("error", [DatabaseUnavailable(), DiskFull()], ids=["away", "full"])
async def test_whoever_waits_hears_that_it_was_not_written(stage: Stage, error: ForebayError):
    stage.storage.faults.append(Fault(error))
    writes = [stage.begin(admit()) for _ in range(3)]
    await until(lambda: all(write.done() for write in writes))
    assert [write.exception() for write in writes] == [error] * 3
    assert stage.committer.commits == 0
    await pass_time(stage.clock, 1, step=0.1)
    assert isinstance(await stage.committer.write(admit()), Admitted)


async def test_after_a_failure_it_waits_longer_each_time_and_not_for_ever(stage: Stage):
    stage.storage.go_away()
    stage.committer.keep(keep())
    for seconds, at_most in ((0.2, 4), (10, 16), (60, 80)):
        before = stage.storage.writes_begun
        for _ in range(int(seconds * 20)):
            stage.clock.advance(0.05)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert stage.storage.writes_begun - before <= at_most
    stage.storage.come_back()
    await pass_time(stage.clock, 2, step=0.5)
    await until(lambda: stage.committer.backlog == 0)


async def test_a_writer_that_gave_up_disturbs_nobody(stage: Stage):
    stage.storage.paused.clear()
    first = stage.begin(admit())
    await until(lambda: stage.storage.writes_begun == 1)
    gone, stays = stage.begin(admit()), stage.begin(admit())
    await settle()
    gone.cancel()
    stage.storage.paused.set()
    await asyncio.gather(first, stays)
    assert gone.cancelled()


# --- light runs ---------------------------------------------------------------------------------


async def test_finished_light_runs_are_gathered_and_written_behind(stage: Stage):
    keeps = [keep() for _ in range(5)]
    for each in keeps:
        stage.committer.keep(each)
    assert stage.committer.backlog == 5
    assert stage.committer.keeping(keeps[0].run.id) is keeps[0]
    assert list(stage.committer.all_keeping()) == keeps
    await until(lambda: stage.committer.backlog == 0)
    assert stage.committer.commits == 1
    assert stage.committer.keeping(keeps[0].run.id) is None
    assert len(await stage.storage.list(RunQuery(tenant="default"))) == 5


async def test_nothing_that_somebody_waits_for_stands_behind_the_bulk(stage: Stage):
    stage.storage.paused.clear()
    for _ in range(2_000):
        stage.committer.keep(keep())
    await until(lambda: stage.storage.writes_begun == 1)
    urgent = stage.begin(admit())
    await settle()
    stage.storage.paused.set()
    await urgent
    written = sum(len(batch) for batch in stage.storage.batches)
    assert written < 500
    assert stage.committer.backlog > 1_000
    await until(lambda: stage.committer.backlog == 0)


async def test_waiting_for_a_light_run_to_be_written(stage: Stage):
    first, other = keep(), keep()
    stage.committer.keep(first)
    async with asyncio.timeout(5):
        await stage.committer.kept(other.run.id)  # it is not there: nothing to wait for
        await stage.committer.kept(first.run.id)
    assert await stage.storage.find(first.run.id)


async def test_more_light_runs_than_can_be_held_are_dropped_and_counted(stage: Stage):
    stage.storage.go_away()
    for _ in range(20_010):
        stage.committer.keep(keep())
    assert stage.committer.backlog == 20_000
    assert stage.committer.keeps_dropped == 10
    stage.storage.come_back()


async def test_closing_writes_what_is_left(stage: Stage):
    for _ in range(300):
        stage.committer.keep(keep())
    await stage.committer.aclose()
    assert stage.committer.backlog == 0
    assert len(await stage.storage.list(RunQuery(tenant="default", limit=500))) == 300


# --- mistakes of ours ---------------------------------------------------------------------------


async def test_a_batch_that_raises_anything_else_keeps_nobody_waiting(stage: Stage):
    stage.storage.mistake = ValueError("a mistake of the storage")
    async with asyncio.timeout(0.5):
        with pytest.raises(Exception, match="mistake"):
            await stage.committer.write(admit())
    stage.storage.mistake = None
    async with asyncio.timeout(0.5):
        assert isinstance(await stage.committer.write(admit()), Admitted)
