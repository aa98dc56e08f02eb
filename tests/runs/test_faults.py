"""A database that is away for a while: nothing is lost, nothing is written twice."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay import Context, agent
from forebay.core.codec import Entry
from forebay.core.errors import DatabaseUnavailable, DiskFull, ForebayError
from forebay.core.events import OutputChunk, RunInterrupted, RunRequeued
from forebay.core.ids import as_uuid, parse_run_id
from forebay.core.run import move_of
from forebay.ports.store import CONTROL, Append, RunQuery
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated, give
from tests.support.server import Server, serving
from tests.support.storage import FINE, Fault, FaultyStorage
from tests.support.waiting import Gate, pass_time, pass_time_until, settle, until

AWAY = DatabaseUnavailable()
FULL = DiskFull()
FAULTS = pytest.mark.parametrize("error", [AWAY, FULL], ids=["away", "full"])


class Talker:
    """Says a word whenever it is told to."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.said: list[str] = []

        @agent("talker")
        async def talker(ctx: Context, text: str) -> AsyncGenerator[str]:
            while (word := await self.words.get()) is not None:
                self.said.append(word)
                yield word

        self.agent = talker

    async def say(self, *words: str) -> None:
        for word in words:
            self.words.put_nowait(word)
            await until(lambda: self.words.empty())
            await settle()

    def end(self) -> None:
        self.words.put_nowait(None)


@asynccontextmanager
async def faulty(*agents: object) -> AsyncGenerator[tuple[Server, FaultyStorage]]:
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(*agents, storage=storage, clock=clock) as server:
        yield server, storage


async def log_of(storage: FaultyStorage, run: str) -> list[Entry]:
    found = await storage.find(parse_run_id(run))
    assert found is not None
    assert found.number is not None
    return list(await storage.read(found.number))


def words_of(entries: list[Entry]) -> list[str]:
    return [entry.event.text for entry in entries if isinstance(entry.event, OutputChunk)]


async def all_runs(storage: FaultyStorage) -> list[Any]:
    return list(await storage.list(RunQuery(tenant="default", limit=500)))


# --- appending ----------------------------------------------------------------------------------


@FAULTS
@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_write_that_fails_is_sent_again(error: ForebayError, committed: bool, times: int):
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        stream = server.begin("x", mode="stream")
        await stream.until(lambda got: len(got.events) == 2)
        storage.faults.extend([Fault(error, committed)] * times)
        await talker.say("a", "b", "c")
        assert committed or len(stream.events) == 2
        await pass_time(server.clock, 5, step=0.25)
        await talker.say("d")
        talker.end()
        await stream.until_over()
        assert [entry["number"] for entry in stream.entries] == list(range(1, 8))
        assert [entry.get("text") for entry in stream.entries[2:-1]] == ["a", "b", "c", "d"]
        entries = await log_of(storage, stream.headers["x-run-id"])
        assert [entry.number for entry in entries] == list(range(1, 8))
        assert words_of(entries) == ["a", "b", "c", "d"]
        assert (await server.show(stream.headers["x-run-id"]))["output"] == "abcd"


@FAULTS
async def test_no_step_is_executed_before_its_beginning_is_in_the_log(error: ForebayError):
    gate, done = Gate(), list[str]()

    async def count() -> str:
        done.append("once")
        return "done"

    @agent("counting")
    async def counting(ctx: Context, text: str) -> AsyncGenerator[str]:
        yield text
        await gate.passed()
        yield await ctx.step("count", count)

    async with faulty(counting) as (server, storage):
        stream = server.begin("x", mode="stream")
        await stream.until(lambda got: len(got.events) == 3)
        storage.away = error
        gate.open()
        await pass_time(server.clock, 3, step=0.05)
        assert not done
        storage.come_back()
        await pass_time(server.clock, 3, step=0.05)
        await stream.until_over()
        assert done == ["once"]


@FAULTS
@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
async def test_a_run_begins_to_wait_for_answers_when_the_database_is_back(
    error: ForebayError, committed: bool
):
    @agent("asking")
    async def asking(ctx: Context, text: str) -> AsyncGenerator[str]:
        yield text
        yield str(await ctx.ask("Who?"))

    async with faulty(asking) as (server, storage):
        storage.paused.clear()
        stream = server.begin("x", mode="stream")
        await settle()
        storage.faults.extend([FINE, FINE, Fault(error, committed), Fault(error, committed)])
        storage.paused.set()
        await pass_time(server.clock, 5, step=0.05)
        await stream.until(lambda got: got.entries[-1]["type"] == "run.waiting")
        run, asked = stream.headers["x-run-id"], stream.entries[-2]
        path = f"/api/runs/{run}/answers/{asked['question']}"
        assert (await server.client.post(path, {"answer": "Ada"})).status == 200
        await pass_time(server.clock, 5, step=0.05)
        await stream.until_over()
        assert (await server.show(run))["output"] == "xAda"
        assert [entry["type"] for entry in stream.entries].count("run.waiting") == 1


async def test_a_cancel_in_a_batch_whose_fate_was_unknown_doubles_nothing():
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        stream = server.begin("x", mode="stream")
        await stream.until(lambda got: len(got.events) == 2)
        run = stream.headers["x-run-id"]
        storage.paused.clear()
        await talker.say("a")  # this one is on its way to the database, and waits
        await talker.say("b")
        cancelling = server.client.begin("POST", f"/api/runs/{run}/cancel")
        await settle()
        storage.faults.extend([FINE, Fault(AWAY, committed=True)])
        storage.paused.set()
        await pass_time(server.clock, 5, step=0.25)
        await stream.until_over()
        await cancelling.until_over()
        entries = await log_of(storage, run)
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        assert words_of(entries) == ["a", "b"]
        assert [entry.type for entry in entries].count("run.cancel_requested") == 1
        assert entries[-1].type == "run.interrupted"
        assert [entry["number"] for entry in stream.entries] == [entry.number for entry in entries]


async def test_one_run_that_is_refused_does_not_keep_the_others():
    talker, other = Talker(), Gated("other")
    async with faulty(talker.agent, other.agent) as (server, storage):
        streams = [server.begin("x", agent=name, mode="stream") for name in ("talker", "other")]
        for stream, count in zip(streams, (2, 3), strict=True):
            await stream.until(lambda got, count=count: len(got.events) == count)
        await end_elsewhere(storage, streams[0].headers["x-run-id"])
        storage.paused.clear()
        talker.words.put_nowait("too late")
        other.gate.open()
        await settle()
        storage.paused.set()
        await streams[1].until_over()
        assert streams[1].entries[-1]["type"] == "run.succeeded"
        await streams[0].until_over()
        assert streams[0].entries[-1]["reason"] == "server_lost"
        assert words_of(await log_of(storage, streams[0].headers["x-run-id"])) == []


async def end_elsewhere(storage: FaultyStorage, run: str) -> None:
    """Another process ends a run whose server it believes to be lost."""
    found = await storage.find(parse_run_id(run))
    assert found is not None
    assert found.number is not None
    event = RunInterrupted("server_lost", "the server that executed this run is gone")
    entry = Entry(found.last + 1, CONTROL, found.created, event=event)
    await storage.write([Append(found.number, CONTROL, [entry], move_of([event]), "server_lost")])


async def test_whoever_waits_for_a_run_that_was_ended_elsewhere_is_answered():
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        waiting = server.begin("x", durable=True)
        await until(lambda: server.app.runs.under_way == 1)
        (run,) = await all_runs(storage)
        await end_elsewhere(storage, run.id.hex())
        talker.words.put_nowait("too late")
        await waiting.until_over()
        assert (waiting.status, waiting.json()["reason"]) == (200, "server_lost")
        assert waiting.json()["status"] == "interrupted"
        assert server.app.runs.under_way == 0
        assert server.app.runs.ended == {"interrupted": 1}


async def test_an_agent_whose_run_was_ended_elsewhere_is_stopped():
    gated = Gated()
    async with faulty(gated.agent) as (server, storage):
        run = (await server.run("x", mode="background")).json()["id"]
        await gated.gate.reached()
        await end_elsewhere(storage, run)
        await until(lambda: gated.was_cancelled)


async def test_a_run_that_was_ended_and_deleted_elsewhere_leaves_nothing_behind():
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        waiting = server.begin("x", durable=True)
        await until(lambda: server.app.runs.under_way == 1)
        (run,) = await all_runs(storage)
        await end_elsewhere(storage, run.id.hex())
        await storage.delete(run.id)
        talker.words.put_nowait("too late")
        await until(lambda: server.app.runs.under_way == 0)
        await waiting.until_over()
        assert waiting.status == 404
        assert await all_runs(storage) == []


async def test_a_run_that_was_ended_elsewhere_can_be_deleted_here():
    stubborn = Gated()

    @agent("stubborn")
    async def deaf(ctx: Context, text: str) -> None:
        while True:
            try:
                return await stubborn.gate.passed()
            except asyncio.CancelledError:
                continue

    async with faulty(deaf) as (server, storage):
        run = (await server.run("x", mode="background")).json()["id"]
        await stubborn.gate.reached()
        await end_elsewhere(storage, run)
        assert (await server.client.delete(f"/api/runs/{run}")).status == 204
        stubborn.gate.open()
        await until(lambda: server.app.runs.under_way == 0)


# --- admission ----------------------------------------------------------------------------------


@FAULTS
@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
async def test_an_admission_that_fails_is_answered_and_runs_nothing(error: ForebayError, mode: str):
    gated = Gated()
    async with faulty(gated.agent) as (server, storage):
        storage.faults.append(Fault(error))
        got = await server.run("x", mode=mode, durable=True)
        assert (got.status, got.json()["code"]) == (
            (503, "database_unavailable") if error is AWAY else (507, "disk_full")
        )
        await pass_time(server.clock, 5)
        assert gated.calls == 0
        assert server.app.runs.under_way == 0
        assert await all_runs(storage) == []
        gated.gate.open()
        assert (await server.run("x", durable=True)).json()["status"] == "success"


async def test_an_admission_that_fails_does_not_use_up_its_key():
    async with faulty(give) as (server, storage):
        storage.faults.append(Fault(AWAY))
        headers = {"idempotency-key": "k"}
        first = await server.client.post("/api/runs", {"input": "x"}, headers=headers)
        assert first.status == 503
        await pass_time(server.clock, 2)
        again = await server.client.post("/api/runs", {"input": "x"}, headers=headers)
        assert (again.status, again.json()["output"]) == (200, "x")
        assert len(await all_runs(storage)) == 1


async def test_a_run_whose_admission_was_committed_unknown_to_us_ends_too():
    """Nobody executes it: the client was told 503. It may not stay `running` for ever."""
    gated = Gated()
    async with faulty(gated.agent, give) as (server, storage):
        await server.run("y", agent="gated", mode="background")  # so that leases are renewed
        await gated.gate.reached()
        await settle()
        storage.faults.append(Fault(AWAY, committed=True))
        got = await server.run("x", agent="give", durable=True)
        assert got.status == 503
        await pass_time(server.clock, 30)
        (run,) = [run for run in await all_runs(storage) if run.agent == "give"]
        assert run.is_finished
        assert run.status == "interrupted"
        gated.gate.open()


@FAULTS
@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
async def test_a_run_with_a_key_goes_on_though_nobody_knew_that_it_was_admitted(
    error: ForebayError, mode: str
):
    async with faulty(give) as (server, storage):
        storage.faults.append(Fault(error, committed=True))
        headers = {"idempotency-key": "k"}
        body = {"input": "x", "mode": mode}
        got = await server.client.post("/api/runs", body, headers=headers)
        assert got.status in (503, 507)
        await pass_time(server.clock, 2)
        again = server.client.begin("POST", "/api/runs", body=body, headers=headers)
        await pass_time(server.clock, 5)
        await again.until_over()
        (run,) = await all_runs(storage)
        assert run.status == "success"
        assert (await server.show(as_uuid(run.id)))["output"] == "x"


async def test_an_attempt_does_not_mind_what_was_written_before_it_began():
    gated = Gated()
    async with faulty(gated.agent) as (server, storage):
        run = (await server.run("x", mode="background")).json()["id"]
        await gated.gate.reached()
        await settle()
        found = await storage.find(parse_run_id(run))
        assert found is not None
        await server.app.runs.controls.write(found, RunRequeued("lost", "taken for dead"))
        gated.gate.open()
        await pass_time(server.clock, 5)
        shown = await server.show(run)
        assert (shown["status"], shown["attempt"]) == ("success", 2)


async def test_many_admissions_survive_an_outage_each_with_its_own_answer():
    async with faulty(give) as (server, storage):
        storage.go_away()
        waiting = [server.begin(number, durable=True) for number in range(20)]
        await pass_time(server.clock, 2, step=0.5)
        storage.come_back()
        await pass_time(server.clock, 2, step=0.5)
        for got in waiting:
            await got.until_over()
        assert {got.status for got in waiting} == {503}
        answers = await asyncio.gather(*(server.run(n, durable=True) for n in range(20)))
        assert [got.json()["output"] for got in answers] == list(range(20))
        assert len(await all_runs(storage)) == 20


# --- becoming durable ---------------------------------------------------------------------------


@FAULTS
@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
async def test_what_is_said_while_a_run_cannot_become_durable_is_not_lost(
    error: ForebayError, committed: bool
):
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        follower_of = server.begin("x", wait_seconds=0.02)
        await talker.say("a")
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        stream = server.client.begin("GET", f"/api/runs/{run['id']}/events")
        await stream.until(lambda got: len(got.events) == 3)
        storage.paused.clear()
        await until(lambda: storage.writes_begun == 1)
        await talker.say("b")  # while the first try is on its way
        storage.faults.append(Fault(error, committed))
        storage.paused.set()
        await settle()
        await talker.say("c")  # while it waits to try again
        await pass_time(server.clock, 3, step=0.25)
        await talker.say("d")
        await follower_of.until(lambda got: got.is_complete)
        assert (follower_of.status, follower_of.json()["durable"]) == (202, True)
        talker.end()
        await stream.until_over()
        entries = await log_of(storage, run["id"])
        assert words_of(entries) == ["a", "b", "c", "d"]
        assert [entry.number for entry in entries] == list(range(1, 8))
        assert [entry["number"] for entry in stream.entries] == list(range(1, 8))
        shown = await server.show(run["id"])
        assert (shown["output"], shown["status"]) == ("abcd", "success")


async def test_a_run_that_ends_while_it_becomes_durable_is_written_once():
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        waiting = server.begin("x", wait_seconds=0.02)
        await talker.say("a")
        storage.paused.clear()
        await until(lambda: storage.writes_begun == 1)
        await talker.say("b")
        talker.end()
        await settle()
        storage.paused.set()
        await waiting.until_over()
        run = waiting.json()["id"]
        assert (await server.ended(run))["output"] == "ab"
        entries = await log_of(storage, run)
        assert words_of(entries) == ["a", "b"]
        assert entries[-1].type == "run.succeeded"
        assert len(await all_runs(storage)) == 1


async def test_a_run_can_be_cancelled_while_it_cannot_become_durable():
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        waiting = server.begin("x", wait_seconds=0.02)
        await talker.say("a")
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        storage.faults.extend([Fault(AWAY)] * 3)
        await until(lambda: storage.writes_begun >= 1)
        await settle()
        cancelling = server.client.begin("POST", f"/api/runs/{run['id']}/cancel")
        await settle()
        await pass_time(server.clock, 5, step=0.25)
        await cancelling.until_over()
        assert cancelling.status in (200, 202)
        await waiting.until_over()
        assert (await server.ended(run["id"]))["reason"] == "cancelled"


# --- light runs that are written behind their answer --------------------------------------------


@FAULTS
@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
async def test_a_light_run_is_written_once_when_the_database_is_back(
    error: ForebayError, committed: bool
):
    async with faulty(give) as (server, storage):
        storage.faults.extend([Fault(error, committed)] * 3)
        answers = [await server.run(number) for number in range(10)]
        assert [got.json()["output"] for got in answers] == list(range(10))
        await until(lambda: storage.writes_begun >= 1)
        listed = (await server.client.get("/api/runs")).json()["runs"]
        assert len(listed) == 10
        await pass_time_until(server.clock, lambda: server.app.runs.committer.backlog == 0)
        assert len(await all_runs(storage)) == 10
        for got in answers:
            entries = await log_of(storage, got.json()["id"])
            assert [entry.number for entry in entries] == [1, 2, 3, 4]
        assert server.app.runs.committer.keeps_dropped == 0


async def test_what_is_left_is_written_when_the_server_stops():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(give, storage=storage, clock=clock) as server:
        for number in range(10):
            await server.run(number)
    assert len(await all_runs(storage)) == 10


# --- cancelling ---------------------------------------------------------------------------------


async def test_cancelling_while_the_database_is_away_is_told_and_can_be_tried_again():
    gated = Gated()
    async with faulty(gated.agent) as (server, storage):
        run = (await server.run("x", mode="background")).json()["id"]
        await gated.gate.reached()
        await settle()
        storage.faults.append(Fault(AWAY))
        got = await server.client.post(f"/api/runs/{run}/cancel")
        assert (got.status, got.json()["code"]) == (503, "database_unavailable")
        assert not gated.was_cancelled
        await pass_time(server.clock, 2)
        again = await server.client.post(f"/api/runs/{run}/cancel")
        assert (again.status, again.json()["reason"]) == (200, "cancelled")


# --- anything ------------------------------------------------------------------------------------

PLANS = {
    "fine": FINE,
    "before": Fault(AWAY),
    "after": Fault(AWAY, committed=True),
    "full": Fault(FULL),
}
faults = st.lists(st.sampled_from(sorted(PLANS)), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults, st.lists(st.integers(0, 8), min_size=1, max_size=4), st.booleans())
async def test_whatever_fails_every_log_is_complete_and_every_follower_sees_it(
    schedule: list[str], lengths: list[int], cancel: bool
):
    @agent("counts")
    async def counts(ctx: Context, length: int) -> AsyncGenerator[str]:
        for number in range(length):
            yield f"{number} "
            await settle()

    async with faulty(counts) as (server, storage):
        runs = [(await server.run(length, mode="background")).json()["id"] for length in lengths]
        streams = [server.client.begin("GET", f"/api/runs/{run}/events") for run in runs]
        for fault in schedule:
            storage.faults.append(PLANS[fault])
            await settle()
        if cancel:
            server.client.begin("POST", f"/api/runs/{runs[0]}/cancel")
        await pass_time(server.clock, 20, step=1)
        for run, stream, length in zip(runs, streams, lengths, strict=True):
            await stream.until_over()
            entries = await log_of(storage, run)
            assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
            said = words_of(entries)
            assert said == [f"{number} " for number in range(len(said))]
            assert stream.entries == [_shown(entry) for entry in entries]
            if not cancel:
                assert len(said) == length
                assert entries[-1].type == "run.succeeded"


def _shown(entry: Entry) -> object:
    return json.loads(entry.line())


async def test_who_follows_a_run_while_it_becomes_durable_sees_what_its_log_says():
    """What was said since is not committed yet when somebody else writes in between."""
    talker = Talker()
    async with faulty(talker.agent) as (server, storage):
        waiting = server.begin("x", wait_seconds=0.02)
        await talker.say("a")
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        stream = server.client.begin("GET", f"/api/runs/{run['id']}/events")
        await stream.until(lambda got: len(got.events) == 3)
        storage.paused.clear()
        await until(lambda: storage.writes_begun == 1)
        await talker.say("b", "c")  # while its admission is on its way
        cancelling = server.client.begin("POST", f"/api/runs/{run['id']}/cancel")
        await settle()
        storage.paused.set()
        await cancelling.until_over()
        await waiting.until_over()
        await stream.until_over()
        entries = await log_of(storage, run["id"])
        assert words_of(entries) == ["a", "b", "c"]
        assert stream.entries == [_shown(entry) for entry in entries]
        committed = [frame.id for frame in stream.events if frame.id is not None]
        assert (
            committed == [str(number) for number in range(1, len(entries) + 1)][-len(committed) :]
        )
