"""The server itself: health, readiness, metrics, starting and stopping."""

import asyncio
import io
import json

import pytest

from forebay.app.application import Application
from forebay.core.errors import DatabaseUnavailable, DiskFull, MigrationNeeded, NewerSchema
from forebay.ports.store import RunQuery
from forebay.settings import Settings
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated, broken, give
from tests.support.asgi import Client
from tests.support.server import serving
from tests.support.storage import FaultyStorage
from tests.support.waiting import pass_time, pass_time_until, settle, until


async def test_a_server_that_can_work_says_so():
    async with serving() as server:
        health = await server.client.get("/health")
        assert (health.status, health.json()) == (
            200,
            {"status": "ok", "service": "backend", "dask_available": False, "db": "ok"},
        )
        ready = await server.client.get("/ready")
        assert ready.status == 200
        assert ready.json() | {"version": ""} == {
            "ready": True,
            "version": "",
            "database": "ok",
            "default_agent": "echo",
            "problems": [],
            "degraded": [],
        }


async def test_a_server_without_a_default_agent_is_not_ready_and_names_them():
    async with serving(give, broken) as server:
        ready = await server.client.get("/ready")
        assert (ready.status, ready.json()["default_agent"]) == (503, None)
        assert "broken, give" in ready.json()["problems"][0]
        assert ready.headers["retry-after"] == "1"
        assert (await server.client.get("/health")).status == 200


async def test_while_the_database_is_away_most_routes_answer_503_and_recover_by_themselves():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        storage.go_away()
        await pass_time(clock, 2)
        for method, path in [("GET", "/api/runs"), ("POST", "/api/runs"), ("GET", "/api/agents")]:
            got = await server.client.send(method, path)
            assert (got.status, got.json()["code"]) == (503, "database_unavailable")
            assert got.headers["retry-after"] == "1"
        health = await server.client.get("/health")
        assert health.status == 200
        assert (health.json()["status"], health.json()["db"]) == ("degraded", "unreachable")
        ready = await server.client.get("/ready")
        assert (ready.status, ready.json()["database"]) == (503, "unreachable")
        storage.come_back()
        await pass_time(clock, 2)
        assert (await server.client.get("/ready")).status == 200
        assert (await server.run("hi")).json()["output"] == "hi"


async def test_a_database_that_goes_away_between_two_pings_is_a_503_too():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        run = (await server.run("hi", durable=True)).json()["id"]
        storage.go_away()
        for method, path in [
            ("GET", "/api/runs"),
            ("GET", f"/api/runs/{run}"),
            ("GET", f"/api/runs/{run}/events"),
            ("DELETE", f"/api/runs/{run}"),
            ("POST", f"/api/runs/{run}/cancel"),
            ("GET", "/metrics"),
        ]:
            got = await server.client.send(method, path)
            assert (got.status, got.json()["code"]) == (503, "database_unavailable"), path
        got = await server.run("hi", durable=True)
        assert (got.status, got.json()["code"]) == (503, "database_unavailable")
        storage.come_back()


async def test_a_late_answer_while_the_database_is_away_is_a_503_and_the_run_goes_on():
    gated = Gated()
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(gated.agent, storage=storage, clock=clock) as server:
        waiting = server.begin("word", durable=True, wait_seconds=0.05)
        await gated.gate.reached()
        await settle()
        storage.go_away()
        await waiting.until_answered()
        assert (waiting.status, waiting.json()["code"]) == (503, "database_unavailable")
        storage.come_back()
        gated.gate.open()
        await pass_time_until(clock, lambda: server.app.runs.under_way == 0)
        (run,) = await storage.list(RunQuery(tenant="default"))
        assert run.status == "success"


async def test_a_server_whose_database_is_not_there_yet_waits_for_it():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    storage.go_away()
    app = Application(
        Settings(db_url="memory:"), clock=clock, storage=storage, log_to=io.StringIO()
    )
    client = Client(app.edge)
    app.start()
    await pass_time(clock, 5)
    got = await client.get("/api/runs")
    assert (got.status, got.json()["code"]) == (503, "starting")
    assert (await client.get("/health")).status == 200
    assert not app.stopped.is_set()
    storage.come_back()
    await pass_time(clock, 2)
    assert (await client.get("/api/runs")).status == 200
    await app.aclose()


async def test_a_server_that_is_stopped_before_its_database_came_stops():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    storage.go_away()
    app = Application(
        Settings(db_url="memory:"), clock=clock, storage=storage, log_to=io.StringIO()
    )
    app.start()
    await settle()
    async with asyncio.timeout(2):
        await app.aclose()


@pytest.mark.parametrize("error", [MigrationNeeded(), NewerSchema()], ids=str)
async def test_a_database_that_will_never_do_stops_the_server(error: MigrationNeeded):
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    storage.away = error
    app = Application(
        Settings(db_url="memory:"), clock=clock, storage=storage, log_to=io.StringIO()
    )
    app.start()
    await until(app.stopped.is_set)
    assert app.fatal is error
    await app.aclose()


async def test_a_full_disk_takes_no_new_runs_and_still_shows_the_old_ones():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        run = (await server.run("hi", durable=True)).json()["id"]
        storage.ping_error = DiskFull()
        await pass_time(clock, 2)
        got = await server.run("hi")
        assert (got.status, got.json()["code"]) == (507, "disk_full")
        assert got.headers["retry-after"] == "60"
        assert (await server.client.get(f"/api/runs/{run}")).status == 200
        assert (await server.client.get("/ready")).status == 503
        storage.ping_error = None
        await pass_time(clock, 2)
        assert (await server.run("hi")).status == 200


async def test_the_metrics_are_figures_for_prometheus():
    gated = Gated()
    async with serving(gated.agent, broken, default_agent="gated") as server:
        await server.run("hi", agent="echo")
        await server.run("hi", agent="broken")
        await server.run("hi", mode="background")
        await gated.gate.reached()
        server.clock.advance(5)
        await until(lambda: server.app.runs.committer.backlog == 0)
        got = await server.client.get("/metrics")
        assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        gated.gate.open()
    lines = got.text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert figures['forebay_answers_total{status="200"}'] == "2"
    assert figures['forebay_answers_total{status="202"}'] == "1"
    assert figures['forebay_runs_ended_total{status="success"}'] == "1"
    assert figures['forebay_runs_ended_total{status="failure"}'] == "1"
    assert figures["forebay_runs_under_way"] == "1"
    assert figures["forebay_log_backlog"] == "0"
    assert figures["forebay_log_dropped_total"] == "0"
    assert float(figures["forebay_oldest_run_seconds"]) == 5
    assert float(figures["forebay_database_bytes"]) > 0
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    assert {line.split("{")[0].split(" ")[0] for line in figures} == set(described)


async def test_every_answer_is_counted_those_that_came_late_too():
    gated = Gated()
    async with serving(gated.agent) as server:
        await server.run("hi", wait_seconds=0.02)
        assert server.app.edge.answers[202] == 1
        gated.gate.open()


# --- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "durable"),
    [("wait", True), ("wait", False), ("stream", True), ("stream", False), ("background", True)],
)
async def test_where_runs_are_not_resumed_stopping_ends_them(mode: str, durable: bool):
    gated = Gated()
    clock = ManualClock()
    storage = MemoryStorage(clock)
    async with serving(gated.agent, storage=storage, clock=clock, resume=False) as server:
        waiting = server.begin("word", mode=mode, durable=durable)
        await gated.gate.reached()
        server.app.stop()
        await waiting.until_over()
        refused = await server.run("more")
        assert (refused.status, refused.json()["code"]) == (503, "stopping")
        if mode == "wait":
            assert (waiting.status, waiting.json()["reason"]) == (200, "server_stopped")
        if mode == "stream":
            assert waiting.entries[-1]["reason"] == "server_stopped"
    (run,) = await storage.list(RunQuery(tenant="default"))
    assert (run.status, run.reason) == ("interrupted", "server_stopped")
    assert run.durable == durable
    entries = await storage.read(run.number or pytest.fail("no number"))
    assert [entry.number for entry in entries] == [1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
async def test_stopping_hands_a_durable_run_back(mode: str):
    gated = Gated()
    clock = ManualClock()
    storage = MemoryStorage(clock)
    async with serving(gated.agent, storage=storage, clock=clock) as server:
        waiting = server.begin("word", mode=mode, durable=True)
        await gated.gate.reached()
        server.app.stop()
        await waiting.until_over()
        if mode == "wait":
            assert (waiting.status, waiting.json()["status"]) == (202, "submitted")
        if mode == "stream":
            told = [frame.event for frame in waiting.events[-2:]]
            assert told == ["run.requeued", "server.stopping"]
            assert waiting.events[-1].id is None
    (run,) = await storage.list(RunQuery(tenant="default"))
    assert (run.status, run.reason, run.holder) == ("submitted", None, None)
    *_, last = await storage.read(run.number or pytest.fail("no number"))
    assert (last.type, last.attempt) == ("run.requeued", 1)


async def test_stopping_ends_a_light_run():
    gated = Gated()
    async with serving(gated.agent) as server:
        waiting = server.begin("word")
        await gated.gate.reached()
        server.app.stop()
        await waiting.until_over()
        assert (waiting.status, waiting.json()["reason"]) == (200, "server_stopped")


async def test_the_next_server_goes_on_with_what_the_one_before_left():
    gated = Gated()
    clock = ManualClock()
    storage = MemoryStorage(clock)
    async with serving(gated.agent, storage=storage, clock=clock) as server:
        stream = server.begin("word", mode="stream")
        await stream.until(lambda got: len(got.events) == 3)
        run = stream.headers["x-run-id"]
    gated.gate.open()
    async with serving(gated.agent, storage=storage, clock=clock) as server:
        shown = await server.ended(run)
        assert (shown["status"], shown["output"]) == ("success", "word before after")
        assert (shown["attempt"], gated.calls) == (2, 2)
        assert [(entry["type"], entry["attempt"]) for entry in await server.entries(run)] == [
            ("run.submitted", 1),
            ("run.started", 1),
            ("output.chunk", 1),
            ("run.requeued", 1),
            ("run.started", 2),
            ("output.chunk", 2),
            ("run.succeeded", 2),
        ]


@pytest.mark.parametrize("mode", ["wait", "stream", "background"])
async def test_a_run_that_is_admitted_while_the_server_stops_is_left_for_the_next(mode: str):
    gated = Gated()
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(gated.agent, storage=storage, clock=clock) as server:
        storage.paused.clear()
        waiting = server.begin("word", mode=mode, durable=True)
        await until(lambda: storage.writes_begun == 1)
        server.app.stop()
        storage.paused.set()
        await waiting.until_over()
        await until(lambda: server.app.runs.under_way == 0)
        (run,) = await storage.list(RunQuery(tenant="default"))
        assert (run.status, run.reason) == ("submitted", None)
    assert gated.calls == 0


async def test_each_ended_run_is_one_line_of_the_log():
    async with serving(broken, give, default_agent="give") as server:
        await server.run("hi")
        await server.run("hi", agent="broken", durable=True)
    lines = [json.loads(line) for line in server.log.getvalue().splitlines()]
    assert [(line["agent"], line["status"], line["reason"]) for line in lines] == [
        ("give", "success", None),
        ("broken", "failure", "agent_error"),
    ]
    assert {(line["level"], line["message"]) for line in lines} == {("info", "run ended")}
    assert [line["events"] for line in lines] == [4, 4]


async def test_quiet_servers_write_no_lines():
    async with serving(log_level="warning") as server:
        await server.run("hi")
    assert server.log.getvalue() == ""


async def test_the_lifespan_of_asgi_starts_and_stops_the_application():
    clock = ManualClock()
    app = Application(
        Settings(db_url="memory:"),
        clock=clock,
        storage=MemoryStorage(clock),
        log_to=io.StringIO(),
    )
    inbox: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    sent: list[str] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message["type"])  # pyright: ignore[reportUnknownArgumentType]

    inbox.put_nowait({"type": "lifespan.startup"})
    serving_it = asyncio.create_task(app.edge({"type": "lifespan"}, inbox.get, send))
    await until(lambda: sent == ["lifespan.startup.complete"])
    await until(lambda: app.gate.closed_by is None)
    assert (await Client(app.edge).get("/ready")).status == 200
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await serving_it
    assert sent[-1] == "lifespan.shutdown.complete"


async def test_a_database_error_that_is_raised_is_not_written_to_the_log(
    caplog: pytest.LogCaptureFixture,
):
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        storage.away = DatabaseUnavailable("gone fishing")
        got = await server.client.get("/api/runs")
        assert got.json()["detail"] == "gone fishing"
        storage.come_back()
    assert not [record for record in caplog.records if "fishing" in record.getMessage()]
