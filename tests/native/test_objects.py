"""Values of more than 256 KiB: beside the log, under their own route, and whole in the answer."""

import json
from collections.abc import AsyncGenerator

import pytest

from forebay import Context, agent, events
from forebay.core.json import Json
from tests.support.agents import give
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import Gate, settle, until

LARGE = 300_000
DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "light"])
WRITTEN = pytest.mark.parametrize("written", [True, False], ids=["written", "at once"])


@agent("tools")
async def tools(ctx: Context, size: int) -> AsyncGenerator[str]:
    ctx.emit(events.ToolStarted("t", "read", {"path": "a" * size}))
    ctx.emit(events.ToolFinished("t", ["é" * size]))
    ctx.emit(events.FileWritten("a.txt", "f" * size))
    ctx.emit(events.OutputWritten("report", "r" * size))
    yield "done"


@agent("value")
async def value(ctx: Context, size: int) -> dict[str, str]:
    del ctx
    return {"text": "v" * size}


@agent("both")
async def both(ctx: Context, size: int) -> AsyncGenerator[Json]:
    del ctx
    yield "some text"
    yield {"text": "v" * size}
    yield "x" * size


async def fetch(server: Server, run: str, entry: dict[str, Json]) -> Exchange:
    stored = entry["stored"]
    assert isinstance(stored, dict)
    got = await server.client.get(f"/api/runs/{run}/objects/{stored['object']}")
    assert got.status == 200, got.body
    assert len(got.body) == stored["size"]
    assert got.headers["content-type"] == "application/json"
    return got


async def run_of(server: Server, size: int, written: bool, **rest: object) -> dict[str, Json]:
    got = (await server.run(size, **rest)).json()
    if written:
        await until(lambda: server.app.runs.committer.backlog == 0)
        await settle()
    return got


@DURABLE
@WRITTEN
async def test_a_large_value_is_whole_in_the_answer(durable: bool, written: bool):
    async with serving(value) as server:
        run = await run_of(server, LARGE, written, durable=durable)
        assert run["output"] == {"text": "v" * LARGE}
        assert await server.show(str(run["id"])) == run
        entry = (await server.entries(str(run["id"])))[2]
        assert (entry["type"], entry["value"]) == ("output.value", None)
        assert (await fetch(server, str(run["id"]), entry)).json() == run["output"]


@DURABLE
async def test_text_and_large_values_are_all_in_the_answer(durable: bool):
    async with serving(both) as server:
        run = await run_of(server, LARGE, written=False, durable=durable)
        assert run["output"] == ["some text" + "x" * LARGE, {"text": "v" * LARGE}]
        assert await server.show(str(run["id"])) == run


async def test_a_large_value_of_a_run_that_became_durable_is_whole():
    gate = Gate()

    @agent("late")
    async def late(ctx: Context, size: int) -> AsyncGenerator[Json]:
        del ctx
        yield {"text": "v" * size}
        await gate.passed()
        yield {"text": "w" * size}

    async with serving(late) as server:
        got = await server.run(LARGE, wait_seconds=0.05)
        assert got.status == 202
        assert got.json()["output"] == {"text": "v" * LARGE}
        gate.open()
        run = await server.ended(got.json()["id"])
        assert run["output"] == [{"text": "v" * LARGE}, {"text": "w" * LARGE}]


@DURABLE
@WRITTEN
async def test_large_fields_of_every_kind_are_fetched_by_their_objects(
    durable: bool, written: bool
):
    async with serving(tools) as server:
        run = await run_of(server, LARGE, written, durable=durable)
        entries = (await server.entries(str(run["id"])))[2:6]
        assert [entry["type"] for entry in entries] == [
            "tool.started", "tool.finished", "file.written", "output.written",
        ]  # fmt: skip
        found = [(await fetch(server, str(run["id"]), entry)).json() for entry in entries]
        assert found == [{"path": "a" * LARGE}, ["é" * LARGE], "f" * LARGE, "r" * LARGE]
        assert all(len(json.dumps(entry)) < 1000 for entry in entries)
        assert (entries[2]["path"], entries[2]["content"]) == ("a.txt", "")


@DURABLE
async def test_a_large_input_is_stored_beside_the_log(durable: bool):
    async with serving(give) as server:
        got = await server.run({"text": "i" * LARGE}, durable=durable)
        assert got.json()["output"] == {"text": "i" * LARGE}
        entry = (await server.entries(got.json()["id"]))[0]
        assert (entry["type"], entry.get("input")) == ("run.submitted", None)
        assert (await fetch(server, got.json()["id"], entry)).json() == {"text": "i" * LARGE}


async def test_long_text_is_cut_into_pieces_and_needs_no_object():
    async with serving() as server:
        text = "é" * 200_000
        run = (await server.run(text, durable=True)).json()
        assert run["output"] == text
        entries = await server.entries(run["id"])
        assert not any("stored" in entry for entry in entries[1:])


@DURABLE
async def test_objects_go_with_their_run(durable: bool):
    async with serving(value) as server:
        run = await run_of(server, LARGE, written=True, durable=durable)
        entry = (await server.entries(str(run["id"])))[2]
        await fetch(server, str(run["id"]), entry)
        path = f"/api/runs/{run['id']}/objects/{entry['stored']['object']}"
        assert (await server.client.delete(f"/api/runs/{run['id']}")).status == 204
        assert (await server.client.get(path)).status == 404


async def test_an_object_is_read_only_through_its_own_run():
    async with serving(value) as server:
        one = await run_of(server, LARGE, written=True, durable=True)
        other = await run_of(server, 10, written=True, durable=True)
        entry = (await server.entries(str(one["id"])))[2]
        path = f"/api/runs/{other['id']}/objects/{entry['stored']['object']}"
        assert (await server.client.get(path)).status == 404


@DURABLE
async def test_an_event_that_is_too_large_everywhere_fails_the_run(durable: bool):
    @agent("thinker")
    async def thinker(ctx: Context, size: int) -> None:
        ctx.emit(events.ModelChunk("m", "x" * size))

    async with serving(thinker) as server:
        run = (await server.run(LARGE, durable=durable)).json()
        assert (run["status"], run["error"]["error"]) == ("failure", "EventTooLarge")
