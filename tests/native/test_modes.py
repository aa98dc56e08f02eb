"""Starting a run: waiting for it, streaming it, or leaving it in the background."""

from collections.abc import AsyncGenerator

import pytest

from forebay import Context, agent
from forebay.core.ids import parse_run_id
from forebay.dialects.native.models import RunModel
from tests.support.agents import Gated, broken, give
from tests.support.server import serving
from tests.support.waiting import Gate, settle, until

SHOWN = {
    "id", "agent", "status", "reason", "durable", "events", "attempt", "session", "metadata",
    "created_at", "started_at", "finished_at", "expires_at", "output", "error", "usage", "cost_usd",
    "questions", "position",
}  # fmt: skip
WORDS = ["run.submitted", "run.started", "output.chunk", "output.chunk", "run.succeeded"]

# --- wait ---------------------------------------------------------------------------------------


async def test_wait_is_the_default_and_answers_with_the_finished_run():
    async with serving() as server:
        got = await server.run("hello  big\nworld ")
    run = got.json()
    assert got.status == 200
    assert set(run) == SHOWN == set(RunModel.model_fields)
    assert run["output"] == "hello  big\nworld "
    assert (run["agent"], run["status"], run["reason"]) == ("echo", "success", None)
    assert (run["durable"], run["attempt"], run["error"]) == (False, 1, None)
    assert run["created_at"] == run["finished_at"] == "2026-01-01T00:00:00.000Z"
    assert run["expires_at"] == "2026-01-31T00:00:00.000Z"
    assert (run["session"], run["metadata"], run["usage"]) == (None, {}, None)
    assert len(parse_run_id(run["id"])) == 16


@pytest.mark.parametrize("durable", [True, False])
async def test_an_answer_that_was_waited_for_is_the_one_that_is_shown_later(durable: bool):
    async with serving(give) as server:
        got = await server.run({"a": [1, None, "é"]}, durable=durable, metadata={"k": [1]})
        run = got.json()
        assert run["output"] == {"a": [1, None, "é"]}
        assert run["durable"] == durable
        assert await server.show(run["id"]) == run
        await until(lambda: server.app.runs.committer.backlog == 0)
        await settle()
        assert await server.show(run["id"]) == run


async def test_a_run_that_fails_is_an_answer_too():
    async with serving(broken) as server:
        got = await server.run("no such luck")
    run = got.json()
    assert (got.status, run["status"], run["reason"]) == (200, "failure", "agent_error")
    assert run["output"] == "half "
    assert run["error"] == {
        "reason": "agent_error",
        "message": "no such luck",
        "error": "ValueError",
        "traceback": None,
    }


async def test_a_run_that_takes_longer_than_wait_seconds_answers_202_and_goes_on():
    gated = Gated()
    async with serving(gated.agent) as server:
        got = await server.run("word", wait_seconds=0.05)
        run = got.json()
        assert (got.status, run["status"], run["durable"]) == (202, "running", True)
        assert run["output"] == "word before "
        assert got.headers["location"] == f"/api/runs/{run['id']}"
        assert await server.app.storage.find(parse_run_id(run["id"]))
        gated.gate.open()
        ended = await server.ended(run["id"])
        assert (ended["status"], ended["output"]) == ("success", "word before after")
        entries = await server.entries(run["id"])
        assert [entry["type"] for entry in entries] == WORDS
        assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5]
    assert gated.calls == 1


async def test_a_durable_run_that_takes_longer_answers_202_too():
    gated = Gated()
    async with serving(gated.agent) as server:
        got = await server.run("word", wait_seconds=0.05, durable=True)
        assert (got.status, got.json()["status"]) == (202, "running")
        gated.gate.open()
        assert (await server.ended(got.json()["id"]))["output"] == "word before after"


async def test_a_202_is_sent_only_when_the_run_is_durable():
    """Whoever was told of a run finds it again, even after the server was killed."""
    gated = Gated()
    async with serving(gated.agent) as server:
        got = await server.run("word", wait_seconds=0.05)
        run = await server.app.storage.find(parse_run_id(got.json()["id"]))
        assert run is not None
        assert (run.durable, run.status, run.last) == (True, "running", 3)
        gated.gate.open()
        await server.ended(got.json()["id"])


async def test_a_light_run_is_cancelled_when_its_client_leaves():
    gated = Gated()
    async with serving(gated.agent) as server:
        exchange = server.begin("word")
        await gated.gate.reached()
        exchange.leave()
        await exchange.until_over()
        assert exchange.broken is None
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        assert (run["status"], run["reason"]) == ("interrupted", "client_left")
    assert gated.was_cancelled


@pytest.mark.parametrize("mode", ["wait", "stream"])
async def test_a_durable_run_goes_on_when_its_client_leaves(mode: str):
    gated = Gated()
    async with serving(gated.agent) as server:
        exchange = server.begin("word", durable=True, mode=mode)
        await gated.gate.reached()
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        exchange.leave()
        gated.gate.open()
        ended = await server.ended(run["id"])
        assert (ended["status"], ended["output"]) == ("success", "word before after")
        await exchange.until_over()
        assert exchange.broken is None
    assert not gated.was_cancelled


async def test_a_run_that_became_durable_goes_on_when_its_client_leaves():
    gated = Gated()
    async with serving(gated.agent) as server:
        exchange = server.begin("word", wait_seconds=0.05)
        await exchange.until(lambda got: got.is_complete)
        exchange.leave()
        gated.gate.open()
        assert (await server.ended(exchange.json()["id"]))["status"] == "success"


# --- stream -------------------------------------------------------------------------------------


async def test_a_stream_is_durable_and_sends_each_event_with_its_number():
    async with serving() as server:
        got = await server.run("hello world", mode="stream")
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        run = got.headers["x-run-id"]
        assert got.headers["location"] == f"/api/runs/{run}"
        assert [frame.event for frame in got.events] == WORDS
        assert [frame.id for frame in got.events] == ["1", "2", "3", "4", "5"]
        assert got.entries == await server.entries(run)
        assert (await server.show(run))["durable"]
    for number, entry in enumerate(got.entries, 1):
        assert (entry["number"], entry["attempt"]) == (number, 1)
    assert got.entries[0]["input"] == "hello world"
    assert "".join(entry.get("text", "") for entry in got.entries) == "hello world"


async def test_the_frames_of_a_light_stream_have_no_id_to_resume_from():
    async with serving() as server:
        got = await server.run("hello world", mode="stream", durable=False)
        run = got.headers["x-run-id"]
        assert [frame.id for frame in got.events] == [None] * 5
        assert [frame.event for frame in got.events] == WORDS
        assert [entry["number"] for entry in got.entries] == [1, 2, 3, 4, 5]
        assert not (await server.show(run))["durable"]


async def test_a_stream_sends_what_there_is_while_the_agent_goes_on():
    gated = Gated()
    async with serving(gated.agent) as server:
        exchange = server.begin("word", mode="stream")
        await exchange.until(lambda got: len(got.events) == 3)
        assert exchange.entries[-1]["text"] == "word before "
        gated.gate.open()
        await exchange.until_over()
        assert exchange.entries[-1]["type"] == "run.succeeded"


async def test_a_light_stream_ends_its_run_when_its_client_leaves():
    gated = Gated()
    async with serving(gated.agent) as server:
        exchange = server.begin("word", mode="stream", durable=False)
        await gated.gate.reached()
        exchange.leave()
        await exchange.until_over()
        await until(lambda: gated.was_cancelled)
        run = await server.ended(exchange.headers["x-run-id"])
        assert (run["status"], run["reason"]) == ("interrupted", "client_left")


async def test_a_light_stream_whose_client_does_not_read_at_once_misses_nothing():
    """The run may end, and be written, before the stream has begun."""
    async with serving() as server:
        exchange = server.begin("hello world", mode="stream", durable=False)
        exchange.stop_reading()
        await until(lambda: server.app.runs.ended.total() == 1)
        await until(lambda: server.app.runs.committer.commits == 1)
        await settle()
        exchange.read_again()
        await exchange.until_over()
        assert exchange.broken is None
        assert [frame.event for frame in exchange.events] == WORDS


async def test_a_light_stream_that_is_not_kept_misses_nothing_either():
    async with serving(keep_light_runs=False) as server:
        exchange = server.begin("hello world", mode="stream", durable=False)
        exchange.stop_reading()
        await until(lambda: server.app.runs.ended.total() == 1)
        await settle()
        exchange.read_again()
        await exchange.until_over()
        assert exchange.broken is None
        assert [frame.event for frame in exchange.events] == WORDS


async def test_a_light_stream_that_grows_large_becomes_durable_and_misses_nothing():
    @agent("many")
    async def many(ctx: Context, count: int) -> AsyncGenerator[str]:
        del ctx
        for number in range(count):
            yield f"{number} "

    async with serving(many) as server:
        got = await server.run(5_000, mode="stream", durable=False)
        run = got.headers["x-run-id"]
        assert [entry["number"] for entry in got.entries] == list(range(1, 5_004))
        assert [entry.get("text") for entry in got.entries[2:-1]] == [f"{n} " for n in range(5_000)]
        shown = await server.show(run)
        assert shown["durable"]
        assert shown["output"] == "".join(f"{number} " for number in range(5_000))
        ids = [frame.id for frame in got.events]
        assert ids[0] is None
        assert ids[-1] == "5003"
        committed = [number for number, id in enumerate(ids, 1) if id is not None]
        assert [ids[number - 1] for number in committed] == [str(number) for number in committed]


async def test_a_large_light_stream_whose_client_does_not_read_at_once_misses_nothing():
    gate = Gate()

    @agent("many")
    async def many(ctx: Context, count: int) -> AsyncGenerator[str]:
        del ctx
        for number in range(count):
            yield f"{number} "
        await gate.passed()

    async with serving(many) as server:
        exchange = server.begin(5_000, mode="stream", durable=False)
        exchange.stop_reading()
        await gate.reached()
        await settle()
        exchange.read_again()
        await settle()
        gate.open()
        await exchange.until_over()
        assert [entry["number"] for entry in exchange.entries] == list(range(1, 5_004))


# --- background ---------------------------------------------------------------------------------


async def test_background_answers_at_once_with_the_place_of_the_run():
    gated = Gated()
    async with serving(gated.agent) as server:
        got = await server.run("word", mode="background")
        run = got.json()
        assert (got.status, run["status"], run["durable"]) == (202, "submitted", True)
        assert got.headers["location"] == f"/api/runs/{run['id']}"
        assert (await server.client.get(got.headers["location"])).status == 200
        gated.gate.open()
        assert (await server.ended(run["id"]))["output"] == "word before after"


async def test_durable_true_is_what_background_is_anyway():
    async with serving() as server:
        got = await server.run("word", mode="background", durable=True)
        assert got.status == 202
        assert (await server.ended(got.json()["id"]))["status"] == "success"


@pytest.mark.parametrize(
    ("asked", "durable"),
    [
        ({}, False),
        ({"durable": None}, False),
        ({"durable": False}, False),
        ({"durable": True}, True),
        ({"session": "s"}, True),
        ({"session": "s", "durable": False}, True),
        ({"mode": "stream"}, True),
        ({"mode": "stream", "durable": False}, False),
        ({"mode": "background"}, True),
    ],
)
async def test_which_runs_are_durable(asked: dict[str, object], durable: bool):
    async with serving() as server:
        got = await server.run("hi", **asked)
        run = got.headers.get("x-run-id") or got.json()["id"]
        assert (await server.ended(run))["durable"] == durable


async def test_a_run_with_a_key_is_durable():
    async with serving() as server:
        got = await server.client.post(
            "/api/runs", {"input": "hi"}, headers={"idempotency-key": "k"}
        )
        assert got.json()["durable"]


# --- what is remembered of a start --------------------------------------------------------------


async def test_session_metadata_and_trace_stand_in_the_first_event():
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with serving() as server:
        got = await server.client.post(
            "/api/runs",
            {"input": "hi", "session": "s1", "metadata": {"team": "blue", "n": [1, 2]}},
            headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
        )
        run = got.json()
        assert (run["session"], run["metadata"]) == ("s1", {"team": "blue", "n": [1, 2]})
        first = (await server.entries(run["id"]))[0]
    assert first["session"] == "s1"
    assert first["metadata"] == {"team": "blue", "n": [1, 2]}
    assert first["trace"] == trace
    assert (first["agent"], first["input"], first["dialect"]) == ("echo", "hi", "native")


async def test_the_agent_is_chosen_by_name():
    async with serving(give, broken) as server:
        assert (await server.run("hi", agent="echo")).json()["output"] == "hi"
        assert (await server.run(7, agent="give")).json()["output"] == 7
        unnamed = await server.run("hi")
        assert (unnamed.status, unnamed.json()["code"]) == (422, "no_default_agent")
        assert "broken, give" in unnamed.json()["detail"]


async def test_the_deadline_ends_a_run_as_a_failure():
    gated = Gated()
    async with serving(gated.agent) as server:
        for rest in ({}, {"durable": True}):
            run = (await server.run("word", deadline_seconds=0.02, **rest)).json()
            assert (run["status"], run["reason"]) == ("failure", "deadline")
            assert run["error"]["message"] == "The run took longer than 0.02 s."
            assert run["output"] == "word before "
            first = (await server.entries(run["id"]))[0]
            assert first["grant"] == {"deadline_seconds": 0.02}
    assert gated.was_cancelled
