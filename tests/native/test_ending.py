"""Ending runs from outside: cancelling, deleting, forgetting them in time."""

import asyncio
import threading

import pytest

from forebay import Context, agent
from forebay.core.ids import parse_run_id
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated, broken
from tests.support.server import Server, serving
from tests.support.storage import FaultyStorage
from tests.support.waiting import Gate, pass_time, until

DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "light"])
DAY = 86_400


async def begun(server: Server, gated: Gated, *, durable: bool, mode: str = "stream") -> str:
    server.begin("word", durable=durable, mode=mode)
    await gated.gate.reached()
    (run, *_) = (await server.client.get("/api/runs")).json()["runs"]
    return run["id"]


# --- cancel -------------------------------------------------------------------------------------


@DURABLE
@pytest.mark.parametrize("mode", ["wait", "stream"])
async def test_a_cancelled_run_is_interrupted_and_says_so(durable: bool, mode: str):
    gated = Gated()
    async with serving(gated.agent) as server:
        waiting = server.begin("word", durable=durable, mode=mode)
        await gated.gate.reached()
        (listed,) = (await server.client.get("/api/runs")).json()["runs"]
        run = listed["id"]
        got = await server.client.post(f"/api/runs/{run}/cancel")
        shown = got.json()
        assert (got.status, shown["status"], shown["reason"]) == (200, "interrupted", "cancelled")
        assert shown["output"] == "word before "
        assert shown["error"]["message"] == "cancelled by anonymous"
        entries = await server.entries(run)
        assert [entry["type"] for entry in entries] == [
            "run.submitted", "run.started", "output.chunk", "run.cancel_requested",
            "run.interrupted",
        ]  # fmt: skip
        assert [entry["attempt"] for entry in entries] == [1, 1, 1, 0, 1]
        assert entries[3]["by"] == "anonymous"
        await waiting.until_over()
        assert waiting.broken is None
        if mode == "wait":
            assert (waiting.status, waiting.json()) == (200, shown)
        else:
            assert waiting.entries == entries
    assert gated.was_cancelled


async def test_a_background_run_can_be_cancelled():
    gated = Gated()
    async with serving(gated.agent) as server:
        run = (await server.run("word", mode="background")).json()["id"]
        await gated.gate.reached()
        got = await server.client.post(f"/api/runs/{run}/cancel")
        assert (got.status, got.json()["status"]) == (200, "interrupted")


@DURABLE
async def test_a_run_can_be_ended_before_it_has_begun(durable: bool):
    """The answer has begun, and the agent has not had its first turn yet."""
    gated = Gated()
    async with serving(gated.agent, resume=False) as server:
        stream = server.begin("word", durable=durable, mode="stream")

        def stop() -> None:
            server.app.runs.stop()

        stream.on_start = stop
        await stream.until_over()
        assert stream.entries[-1]["type"] == "run.interrupted"
        assert stream.entries[-1]["reason"] == "server_stopped"
        assert server.app.runs.under_way == 0


@DURABLE
async def test_cancelling_twice_ends_a_run_once(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await begun(server, gated, durable=durable)
        both = [server.client.begin("POST", f"/api/runs/{run}/cancel") for _ in range(2)]
        for got in both:
            await got.until_over()
        assert {got.status for got in both} <= {200, 409}
        entries = await server.entries(run)
        assert [entry["type"] for entry in entries].count("run.interrupted") == 1
        assert entries[-1]["type"] == "run.interrupted"


@DURABLE
async def test_cancelling_a_finished_run_is_a_409_and_changes_nothing(durable: bool):
    async with serving() as server:
        run = (await server.run("word", durable=durable)).json()
        got = await server.client.post(f"/api/runs/{run['id']}/cancel")
        assert (got.status, got.json()["code"]) == (409, "run_finished")
        assert await server.show(run["id"]) == run


@DURABLE
async def test_an_agent_that_swallows_its_cancellation_is_cancelled_anyway(durable: bool):
    gate = Gate()

    @agent("stubborn")
    async def stubborn(ctx: Context, text: str) -> str:
        del text
        try:
            await gate.passed()
        except asyncio.CancelledError:
            return f"cancelled: {ctx.cancelled}"
        return "done"

    async with serving(stubborn) as server:
        waiting = server.begin("word", durable=durable)
        await gate.reached()
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        await server.client.post(f"/api/runs/{run['id']}/cancel")
        await waiting.until_over()
        shown = waiting.json()
        assert (shown["status"], shown["reason"]) == ("interrupted", "cancelled")
        assert shown["output"] == "cancelled: True"


async def test_an_agent_that_takes_its_time_to_end_answers_cancel_with_202():
    gate, farewell = Gate(), Gate()

    @agent("slow to end")
    async def slow(ctx: Context, text: str) -> None:
        del ctx, text
        try:
            await gate.passed()
        finally:
            await farewell.passed()

    async with serving(slow) as server:
        run = (await server.run("word", mode="background")).json()["id"]
        await gate.reached()
        got = await server.client.post(f"/api/runs/{run}/cancel")
        assert (got.status, got.json()["status"]) == (202, "running")
        farewell.open()
        assert (await server.ended(run))["reason"] == "cancelled"


@agent("blocking")
def blocking(ctx: Context, text: str) -> str:
    """Looks from time to time whether it should end."""
    ctx.say(text)
    never = threading.Event()
    for _ in range(2_000):
        if ctx.cancelled:
            ended.set()
            return "not said"
        never.wait(0.002)
    return "nobody stopped me"


ended = threading.Event()


@pytest.fixture
def blocking_ended() -> threading.Event:
    ended.clear()
    return ended


@DURABLE
async def test_a_blocking_agent_sees_that_it_was_cancelled(
    durable: bool, blocking_ended: threading.Event
):
    async with serving(blocking) as server:
        stream = server.begin("word", mode="stream", durable=durable)
        await stream.until(lambda got: len(got.events) == 3)
        run = stream.headers["x-run-id"]
        got = await server.client.post(f"/api/runs/{run}/cancel")
        assert (got.status, got.json()["reason"]) == (200, "cancelled")
        await until(blocking_ended.is_set)
        assert (await server.show(run))["output"] == "word"


async def test_a_blocking_agent_sees_that_its_time_is_up(blocking_ended: threading.Event):
    async with serving(blocking) as server:
        got = await server.run("word", deadline_seconds=0.05)
        assert got.json()["reason"] == "deadline"
        await until(blocking_ended.is_set)


async def test_an_agent_that_swallows_its_deadline_has_missed_it_anyway():
    gate = Gate()

    @agent("stubborn")
    async def stubborn(ctx: Context, text: str) -> str:
        del ctx, text
        try:
            await gate.passed()
        except asyncio.CancelledError:
            return "too late"
        return "done"

    async with serving(stubborn) as server:
        run = (await server.run("word", deadline_seconds=0.02)).json()
        assert (run["status"], run["reason"]) == ("failure", "deadline")


# --- delete -------------------------------------------------------------------------------------


@DURABLE
async def test_a_deleted_run_is_gone_from_everywhere(durable: bool):
    async with serving() as server:
        run = (await server.run("word", durable=durable)).json()["id"]
        got = await server.client.delete(f"/api/runs/{run}")
        assert (got.status, got.body) == (204, b"")
        for path in ("", "/events", "/objects/x"):
            assert (await server.client.get(f"/api/runs/{run}{path}")).status == 404
        assert (await server.client.delete(f"/api/runs/{run}")).status == 404
        assert (await server.client.post(f"/api/runs/{run}/cancel")).status == 404
        assert (await server.client.get("/api/runs")).json()["runs"] == []
        assert await server.app.storage.find(parse_run_id(run)) is None


@DURABLE
async def test_an_unfinished_run_cannot_be_deleted(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await begun(server, gated, durable=durable)
        got = await server.client.delete(f"/api/runs/{run}")
        assert (got.status, got.json()["code"]) == (409, "run_unfinished")
        gated.gate.open()
        assert (await server.ended(run))["status"] == "success"
        assert (await server.client.delete(f"/api/runs/{run}")).status == 204


@DURABLE
async def test_deleting_at_the_very_end_of_a_run_neither_hangs_nor_loses(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        stream = server.begin("word", durable=durable, mode="stream")
        await gated.gate.reached()
        gated.gate.open()
        await stream.until(lambda got: "run.succeeded" in got.text)
        got = await server.client.delete(f"/api/runs/{stream.headers['x-run-id']}")
        assert got.status == 204
        assert (await server.client.get("/api/runs")).json()["runs"] == []


async def test_deleting_twice_at_once_deletes_once():
    async with serving() as server:
        run = (await server.run("word")).json()["id"]
        both = [server.client.begin("DELETE", f"/api/runs/{run}") for _ in range(2)]
        for got in both:
            await got.until_over()
        assert {got.status for got in both} <= {204, 404}
        assert (await server.client.get(f"/api/runs/{run}")).status == 404


async def test_a_light_run_is_deleted_for_good_while_the_database_is_slow():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(clock=clock, storage=storage) as server:
        storage.paused.clear()
        run = (await server.run("word")).json()["id"]
        deleting = server.client.begin("DELETE", f"/api/runs/{run}")
        await until(lambda: storage.writes_begun == 1)
        storage.paused.set()
        await deleting.until_over()
        assert deleting.status == 204
        await until(lambda: server.app.runs.committer.backlog == 0)
        assert (await server.client.get("/api/runs")).json()["runs"] == []


# --- expiry -------------------------------------------------------------------------------------


@DURABLE
async def test_a_run_expires_so_long_after_its_end(durable: bool):
    async with serving(broken) as server:
        run = (await server.run("word", durable=durable, expiry_seconds=600)).json()
        assert run["expires_at"] == "2026-01-01T00:10:00.000Z"
        await until(lambda: server.app.runs.committer.backlog == 0)
        await pass_time(server.clock, 540, step=60)
        assert (await server.client.get(f"/api/runs/{run['id']}")).status == 200
        await pass_time(server.clock, 120, step=60)
        assert (await server.client.get(f"/api/runs/{run['id']}")).status == 404
        assert (await server.client.get("/api/runs")).json()["runs"] == []


async def test_runs_are_kept_for_thirty_days_if_nobody_says_otherwise():
    async with serving() as server:
        run = (await server.run("word", durable=True)).json()
        assert run["expires_at"] == "2026-01-31T00:00:00.000Z"
    async with serving(expiry_seconds=DAY) as server:
        run = (await server.run("word", durable=True)).json()
        assert run["expires_at"] == "2026-01-02T00:00:00.000Z"


async def test_a_run_does_not_expire_before_it_has_ended():
    gated = Gated()
    async with serving(gated.agent) as server:
        run = (await server.run("word", mode="background", expiry_seconds=60)).json()["id"]
        await pass_time(server.clock, 600, step=3)
        assert (await server.show(run))["expires_at"] is None
        gated.gate.open()
        assert (await server.ended(run))["expires_at"] == "2026-01-01T00:11:00.000Z"


async def test_many_runs_expire_in_batches():
    async with serving() as server:
        for _ in range(120):
            await server.run("word", expiry_seconds=60)
        kept = (await server.run("word", expiry_seconds=600)).json()["id"]
        await until(lambda: server.app.runs.committer.backlog == 0)
        await pass_time(server.clock, 180, step=60)
        runs = (await server.client.get("/api/runs", query="limit=500")).json()["runs"]
        assert [run["id"] for run in runs] == [kept]


async def test_light_runs_are_forgotten_at_once_where_they_are_not_to_be_kept():
    async with serving(keep_light_runs=False) as server:
        run = (await server.run("word")).json()["id"]
        assert (await server.client.get(f"/api/runs/{run}")).status == 404
        kept = (await server.run("word", durable=True)).json()["id"]
        assert (await server.client.get(f"/api/runs/{kept}")).status == 200
