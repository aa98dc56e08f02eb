"""Listing runs: newest first, in pages that new runs do not disturb."""

import asyncio

import pytest

from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated, broken, give
from tests.support.server import Server, serving
from tests.support.storage import FaultyStorage
from tests.support.waiting import settle, until


async def listed(server: Server, query: str = "") -> tuple[list[str], str | None]:
    got = await server.client.get("/api/runs", query=query)
    assert got.status == 200, got.body
    return [run["id"] for run in got.json()["runs"]], got.json()["next_cursor"]


async def start(server: Server, count: int, **rest: object) -> list[str]:
    runs: list[str] = []
    for number in range(count):
        server.clock.advance(0.001)
        runs.append((await server.run(str(number), **rest)).json()["id"])
    return runs


async def walk(server: Server, query: str) -> list[str]:
    found, cursor = await listed(server, query)
    while cursor is not None:
        page, cursor = await listed(server, f"{query}&cursor={cursor}")
        found += page
    return found


async def test_no_runs_are_an_empty_list():
    async with serving() as server:
        assert await listed(server) == ([], None)


async def test_the_newest_run_comes_first():
    async with serving() as server:
        runs = await start(server, 3) + await start(server, 3, durable=True)
        assert await listed(server) == (runs[::-1], None)


async def test_a_list_shows_runs_without_their_answers():
    async with serving() as server:
        full = (await server.run("hi", metadata={"a": 1}, durable=True)).json()
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        left_out = ("position", "output", "error", "usage", "cost_usd", "questions")
        assert run == {key: full[key] for key in full if key not in left_out}


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 500])
async def test_pages_add_up_to_the_list(limit: int):
    async with serving() as server:
        runs = await start(server, 6, durable=True)
        assert await walk(server, f"limit={limit}") == runs[::-1]


async def test_light_runs_that_are_not_written_yet_are_listed_among_the_others():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        runs = await start(server, 3, durable=True)
        runs += await start(server, 2)
        await until(lambda: server.app.runs.committer.backlog == 0)
        storage.paused.clear()
        runs += await start(server, 3)
        for limit in (1, 2, 3, 500):
            assert await walk(server, f"limit={limit}") == runs[::-1]
        storage.paused.set()


async def test_pages_are_not_disturbed_by_new_runs():
    async with serving() as server:
        runs = await start(server, 4)
        first, cursor = await listed(server, "limit=2")
        await start(server, 3)
        second, end = await listed(server, f"limit=2&cursor={cursor}")
        assert first + second == runs[::-1]
        assert end is None or (await listed(server, f"limit=2&cursor={end}"))[0] == []


async def test_a_run_that_is_written_while_it_is_listed_is_listed_once():
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(storage=storage, clock=clock) as server:
        storage.paused.clear()
        (run,) = await start(server, 1)
        storage.reads_paused.clear()
        listing = server.client.begin("GET", "/api/runs")
        await settle()  # what the database held was read, and the run was not there yet
        storage.paused.set()
        await until(lambda: server.app.runs.committer.backlog == 0 and bool(storage.batches))
        await settle()
        storage.reads_paused.set()
        await listing.until_over()
        assert [each["id"] for each in listing.json()["runs"]] == [run]


async def test_filters_by_status_agent_and_session():
    gated = Gated()
    async with serving(gated.agent, broken, give) as server:
        failed = await start(server, 2, agent="broken")
        given = await start(server, 2, agent="give", session="s1")
        (running,) = await start(server, 1, agent="gated", mode="background")
        expected = {
            "status=success": given,
            "status=failure": failed,
            "status=running": [running],
            "status=interrupted": [],
            "status=submitted": [],
            "agent=broken": failed,
            "agent=nobody": [],
            "session=s1": given,
            "session=s2": [],
            "agent=give&session=s1&status=success": given,
            "agent=give&status=failure": [],
        }
        for query, runs in expected.items():
            for limit in (1, 50):
                assert await walk(server, f"{query}&limit={limit}") == runs[::-1], query
        gated.gate.open()
        await server.ended(running)
        assert (await listed(server, "status=running"))[0] == []


async def test_many_light_runs_at_once_are_all_listed():
    async with serving() as server:
        answers = await asyncio.gather(*(server.run(str(number)) for number in range(100)))
        ids = {answer.json()["id"] for answer in answers}
        assert set(await walk(server, "limit=7")) == ids
        await until(lambda: server.app.runs.committer.backlog == 0)
        await settle()
        assert set(await walk(server, "limit=7")) == ids
        assert len(await walk(server, "limit=7")) == 100


async def test_agents_are_listed_with_their_schemas_and_the_default():
    async with serving(give, broken, default_agent="broken") as server:
        agents = (await server.client.get("/api/agents")).json()["agents"]
    assert [(each["name"], each["default"]) for each in agents] == [
        ("broken", True),
        ("echo", False),
        ("extractive", False),
        ("give", False),
    ]
    assert agents[0]["description"] == "Says something and breaks."
    assert agents[0]["input_schema"] == {"type": "string"}


async def test_without_agents_of_ones_own_echo_is_the_default():
    async with serving() as server:
        agents = (await server.client.get("/api/agents")).json()["agents"]
        assert [each["name"] for each in agents if each["default"]] == ["echo"]
