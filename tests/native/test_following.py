"""A run's events: from any cursor, as a stream or in pages."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from forebay import Context, agent, events
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.storage import FaultyStorage
from tests.support.waiting import settle, until

JSON = {"accept": "application/json"}
BOTH = [True, False]
DURABLE = pytest.mark.parametrize("durable", BOTH, ids=["durable", "light"])


async def started(server: Server, gated: Gated, *, durable: bool) -> str:
    exchange = server.begin("word", durable=durable, mode="stream")
    await gated.gate.reached()
    await exchange.until(lambda got: len(got.events) == 3)
    return exchange.headers["x-run-id"]


async def page(server: Server, run: str, query: str = "") -> dict[str, Any]:
    got = await server.client.get(f"/api/runs/{run}/events", query=query, headers=JSON)
    assert got.status == 200, got.body
    assert got.headers["content-type"] == "application/json"
    return got.json()


def follow(server: Server, run: str, query: str = "", **headers: str) -> Exchange:
    return server.client.begin(
        "GET",
        f"/api/runs/{run}/events",
        query=query,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


# --- streams ------------------------------------------------------------------------------------


@DURABLE
async def test_a_follower_sees_each_event_once_to_the_end(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=durable)
        early = [follow(server, run) for _ in range(3)]
        for got in early:
            await got.until(lambda got: len(got.events) == 3)
        gated.gate.open()
        for got in early:
            await got.until_over()
            assert [entry["number"] for entry in got.entries] == [1, 2, 3, 4, 5]
            assert [frame.id is not None for frame in got.events] == [durable] * 5
        late = await follow(server, run).until_over()
        assert late.entries == early[0].entries


@pytest.mark.parametrize("after", range(5))
async def test_a_stream_begins_after_its_cursor(after: int):
    async with serving() as server:
        run = (await server.run("a b", durable=True)).json()["id"]
        for got in (
            follow(server, run, f"after={after}"),
            follow(server, run, last_event_id=str(after)),
            follow(server, run, "after=0", last_event_id=str(after)),
        ):
            await got.until_over()
            assert [entry["number"] for entry in got.entries] == list(range(after + 1, 6))


async def test_last_event_id_wins_over_after():
    async with serving() as server:
        run = (await server.run("a b", durable=True)).json()["id"]
        got = await follow(server, run, "after=1", last_event_id="3").until_over()
        assert [frame.id for frame in got.events] == ["4", "5"]


@DURABLE
async def test_after_the_end_a_stream_answers_204(durable: bool):
    async with serving() as server:
        run = (await server.run("a b", durable=durable)).json()["id"]
        for got in (follow(server, run, "after=5"), follow(server, run, last_event_id="5")):
            await got.until_over()
            assert (got.status, got.body) == (204, b"")


@DURABLE
async def test_a_reconnecting_client_misses_nothing_and_sees_nothing_twice(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=durable)
        first = follow(server, run)
        await first.until(lambda got: len(got.events) == 3)
        first.leave()
        await first.until_over()
        again = follow(server, run, last_event_id=str(first.entries[-1]["number"]))
        await again.until(lambda got: got.status == 200)
        gated.gate.open()
        await again.until_over()
        assert [entry["number"] for entry in first.entries + again.entries] == [1, 2, 3, 4, 5]


async def test_a_follower_that_leaves_does_not_end_a_light_run():
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=False)
        visitor = follow(server, run)
        await visitor.until(lambda got: len(got.events) == 3)
        visitor.leave()
        await visitor.until_over()
        gated.gate.open()
        assert (await server.ended(run))["status"] == "success"


async def test_a_slow_follower_keeps_nobody_waiting():
    @agent("many")
    async def many(ctx: Context, count: int) -> AsyncGenerator[str]:
        del ctx
        for number in range(count):
            yield f"{number} "

    async with serving(many) as server:
        gated = await server.run("sleep=1000 chunks=6000", agent="echo", mode="background")
        run = gated.json()["id"]
        slow, quick = follow(server, run), follow(server, run)
        await slow.until(lambda got: len(got.events) == 2)
        await quick.until(lambda got: len(got.events) == 2)
        slow.stop_reading()
        server.clock.advance(1)
        await quick.until_over()
        assert [entry["number"] for entry in quick.entries] == list(range(1, 6_004))
        assert len(slow.events) < 6_003
        slow.read_again()
        await slow.until_over()
        assert slow.entries == quick.entries


async def test_head_on_a_stream_does_not_wait_for_the_run():
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=True)
        head = await server.client.send("HEAD", f"/api/runs/{run}/events")
        assert (head.status, head.body) == (200, b"")
        gated.gate.open()


async def test_streams_are_kept_alive_and_told_when_the_server_stops():
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=False)
        stream = follow(server, run)
        await stream.until(lambda got: len(got.events) == 3)
        for _ in range(3):
            server.clock.advance(15)
            await settle()
        assert [frame.comment for frame in stream.frames if frame.comment] == ["keep-alive"] * 2
        server.app.stop()
        await stream.until_over()
        assert stream.is_complete
        assert stream.entries[-1]["type"] == "run.interrupted"
        assert stream.entries[-1]["reason"] == "server_stopped"


async def test_a_stream_of_a_run_elsewhere_ends_with_a_clear_frame_when_the_server_stops():
    swallowing = Gated()

    @agent("stubborn")
    async def stubborn(ctx: Context, text: str) -> None:
        del ctx, text
        while True:
            try:
                return await swallowing.gate.passed()
            except asyncio.CancelledError:
                continue

    async with serving(stubborn) as server:
        got = await server.run("word", mode="background")
        stream = follow(server, got.json()["id"])
        await stream.until(lambda got: len(got.events) == 2)
        await swallowing.gate.reached()
        server.app.stop()
        await stream.until_over()
        last = stream.events[-1]
        assert (last.event, last.id) == ("server.stopping", None)
        assert last.json()["code"] == "stopping"
        assert last.json()["status"] == 503
        swallowing.gate.open()


# --- types --------------------------------------------------------------------------------------


@agent("talker")
async def talker(ctx: Context, count: int) -> AsyncGenerator[str]:
    for number in range(count):
        ctx.emit(events.SourceFound(f"https://example.org/{number}"))
        yield f"{number} "


@DURABLE
@pytest.mark.parametrize("types", ["source.found", " source.found ,", "source.found,source.found"])
async def test_only_the_types_that_are_asked_for_are_sent_and_the_last(durable: bool, types: str):
    async with serving(talker) as server:
        run = (await server.run(3, durable=durable)).json()["id"]
        query = "types=" + types.replace(" ", "%20")
        expected = [(n, "source.found") for n in (3, 5, 7)] + [(9, "run.succeeded")]
        stream = await follow(server, run, query).until_over()
        assert [(entry["number"], entry["type"]) for entry in stream.entries] == expected
        found = await page(server, run, query)
        assert found["events"] == stream.entries
        assert (found["next"], found["finished"]) == (None, True)
        rest = await follow(server, run, f"{query}&after=7").until_over()
        assert [entry["number"] for entry in rest.entries] == [9]


@DURABLE
async def test_while_a_run_goes_on_no_other_type_slips_in(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=durable)
        query = "types=run.submitted"
        stream = follow(server, run, query)
        await stream.until(lambda got: len(got.events) == 1)
        found = await page(server, run, query)
        assert [entry["type"] for entry in found["events"]] == ["run.submitted"]
        assert found["finished"] is False
        gated.gate.open()
        await stream.until_over()
        assert [entry["type"] for entry in stream.entries] == ["run.submitted", "run.succeeded"]


# --- pages --------------------------------------------------------------------------------------


@DURABLE
@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_pages_of_any_size_add_up_to_the_log(durable: bool, limit: int):
    async with serving(talker) as server:
        run = (await server.run(4, durable=durable)).json()["id"]
        found: list[object] = []
        after: object = 0
        while after is not None:
            got = await page(server, run, f"after={after}&limit={limit}")
            assert len(got["events"]) <= limit
            assert got["finished"] == (got["next"] is None)
            found += got["events"]
            after = got["next"]
        stream = await follow(server, run).until_over()
        assert found == stream.entries
        assert [entry["number"] for entry in stream.entries] == list(range(1, 12))


@DURABLE
async def test_a_page_of_a_run_that_goes_on_tells_where_to_go_on(durable: bool):
    gated = Gated()
    async with serving(gated.agent) as server:
        run = await started(server, gated, durable=durable)
        assert (await page(server, run))["next"] == 3
        empty = await page(server, run, "after=3")
        assert (empty["events"], empty["next"], empty["finished"]) == ([], 3, False)
        gated.gate.open()
        await server.ended(run)
        rest = await page(server, run, "after=3")
        assert (rest["next"], rest["finished"]) == (None, True)
        over = await page(server, run, "after=5")
        assert (over["events"], over["next"], over["finished"]) == ([], None, True)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/json; q=0.9", "application/json"),
        ("text/event-stream", "text/event-stream; charset=utf-8"),
        ("text/event-stream, application/json", "text/event-stream; charset=utf-8"),
        ("*/*", "text/event-stream; charset=utf-8"),
        ("", "text/event-stream; charset=utf-8"),
        ("text/html", "text/event-stream; charset=utf-8"),
    ],
)
async def test_the_form_of_events_is_the_one_that_is_accepted(accept: str, kind: str):
    async with serving() as server:
        run = (await server.run("a b")).json()["id"]
        got = await follow(server, run, accept=accept).until_over()
        assert got.headers["content-type"] == kind


# --- a light run, before and after it is written ------------------------------------------------


@pytest.mark.parametrize("is_written", BOTH, ids=["written", "in memory"])
async def test_a_light_run_reads_the_same_before_and_after_it_is_written(is_written: bool):
    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(talker, clock=clock, storage=storage) as server:
        if not is_written:
            storage.paused.clear()
        got = (await server.run(2)).json()
        run = got["id"]
        if is_written:
            await until(lambda: len(storage.batches) == 1)
            await settle()
        assert await server.show(run) == got
        assert [entry["number"] for entry in await server.entries(run)] == list(range(1, 8))
        stream = await follow(server, run, "after=2").until_over()
        assert [entry["number"] for entry in stream.entries] == list(range(3, 8))
        listed = (await server.client.get("/api/runs")).json()["runs"]
        assert [each["id"] for each in listed] == [run]
        cancelled = await server.client.post(f"/api/runs/{run}/cancel")
        assert (cancelled.status, cancelled.json()["code"]) == (409, "run_finished")
        deleting = server.client.begin("DELETE", f"/api/runs/{run}")
        storage.paused.set()
        assert (await deleting.until_over()).status == 204
        assert (await server.client.get(f"/api/runs/{run}")).status == 404
        assert (await server.client.get("/api/runs")).json()["runs"] == []
