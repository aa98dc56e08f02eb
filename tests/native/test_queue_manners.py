"""Queue manners: turns within a session, so many at once, so many queued, and who is next."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from forebay import Context, agent
from tests.support.agents import Gated, give
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import Gate, pass_time, settle, until

MODES = ["wait", "stream", "background"]
PROBLEM = "application/problem+json"


class Lanes:
    """An agent whose runs stand each at a gate of their own, named by their input."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.begun: list[str] = []

        @agent("lanes")
        async def lanes(ctx: Context, name: str) -> AsyncGenerator[str]:
            del ctx
            self.begun.append(name)
            await self.gate(name).passed()
            yield f"{name} done"

        self.agent = lanes

    def gate(self, name: str) -> Gate:
        return self.gates.setdefault(name, Gate())

    async def began(self, *names: str) -> None:
        """Wait until these have begun, in this order, and no other."""
        await until(lambda: len(self.begun) >= len(names))
        await settle()
        assert self.begun == list(names)


async def queued(server: Server, name: str, **rest: object) -> str:
    """Start a run in the background; its id."""
    got = await server.run(name, **{"mode": "background", "agent": "lanes"} | rest)
    assert got.status == 202, got.body
    return got.json()["id"]


async def known(server: Server, count: int) -> list[dict[str, Any]]:
    """The runs there are, oldest first, as soon as there are so many."""
    async with asyncio.timeout(5):
        while len(runs := (await server.client.get("/api/runs")).json()["runs"]) < count:
            await settle()
    return runs[::-1]


def output(got: Exchange) -> str:
    if got.entries:
        return "".join(entry.get("text", "") for entry in got.entries)
    return got.json()["output"]


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
async def test_the_second_run_of_a_session_waits_its_turn(first: str, second: str):
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        one = server.begin("one", session="s", mode=first, agent="lanes")
        await lanes.began("one")
        await pass_time(server.clock, 0.01)  # ids of the same moment are in no order
        two = server.begin("two", session="s", mode=second, agent="lanes")
        runs = await known(server, 2)
        await settle()
        shown = await server.show(runs[1]["id"])
        assert (shown["status"], shown["position"], shown["attempt"]) == ("submitted", 1, 0)
        assert lanes.begun == ["one"]
        lanes.gate("two").open()
        lanes.gate("one").open()
        await one.until_answered()
        await two.until_answered()
        await server.ended(runs[1]["id"])
        assert lanes.begun == ["one", "two"]
        if second != "background":
            assert (two.status, output(two)) == (200, "two done")


async def test_a_stream_that_waits_its_turn_begins_with_entry_1_and_misses_nothing():
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        await queued(server, "one", session="s")
        await lanes.began("one")
        stream = server.begin("two", session="s", mode="stream", agent="lanes")
        await stream.until(lambda got: len(got.entries) == 1)
        assert stream.entries[0]["type"] == "run.submitted"
        lanes.gate("two").open()
        lanes.gate("one").open()
        await stream.until_over()
        assert [entry["number"] for entry in stream.entries] == [1, 2, 3, 4]


async def test_a_wait_for_a_turn_that_takes_too_long_answers_202_with_its_position():
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        await queued(server, "one", session="s")
        await lanes.began("one")
        got = await server.run("two", session="s", agent="lanes", wait_seconds=0.05)
        assert (got.status, got.json()["status"]) == (202, "submitted")
        assert got.json()["position"] == 1
        lanes.gate("one").open()
        lanes.gate("two").open()
        assert (await server.ended(got.json()["id"]))["output"] == "two done"


async def test_a_run_waits_for_one_that_waits_for_a_person():
    @agent("asks")
    async def asks(ctx: Context, text: str) -> str:
        return f"{text} {await ctx.ask('Go on?')}"

    lanes = Lanes()
    async with serving(lanes.agent, asks) as server:
        asking = (await server.run("one", session="s", agent="asks")).json()
        assert asking["status"] == "waiting"
        second = await queued(server, "two", session="s")
        await settle()
        assert (await server.show(second))["status"] == "submitted"
        lanes.gate("two").open()
        question = asking["questions"][0]["id"]
        path = f"/api/runs/{asking['id']}/answers/{question}"
        assert (await server.client.post(path, {"answer": "yes"})).status == 200
        assert (await server.ended(second))["output"] == "two done"
        assert (await server.show(asking["id"]))["output"] == "one yes"


async def test_other_sessions_and_runs_without_one_wait_for_nobody():
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        for name, session in (("one", {"session": "s"}), ("two", {"session": "t"}), ("three", {})):
            await queued(server, name, **session)
        await lanes.began("one", "two", "three")
        for name in lanes.begun:
            lanes.gate(name).open()


async def test_a_cancelled_run_gives_way_to_the_next():
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        runs = [await queued(server, name, session="s") for name in ("one", "two", "three")]
        await lanes.began("one")
        assert (await server.client.post(f"/api/runs/{runs[1]}/cancel")).status == 200
        assert (await server.client.post(f"/api/runs/{runs[0]}/cancel")).status == 200
        lanes.gate("three").open()
        assert (await server.ended(runs[2]))["output"] == "three done"
        assert lanes.begun == ["one", "three"]


@pytest.mark.parametrize("mode", MODES)
async def test_reject_refuses_a_run_whose_session_is_busy(mode: str):
    lanes = Lanes()
    async with serving(lanes.agent, session_policy="reject") as server:
        first = await queued(server, "one", session="s")
        await lanes.began("one")
        got = await server.run("two", session="s", mode=mode, agent="lanes")
        assert (got.status, got.json()["code"]) == (409, "session_busy")
        assert got.headers["content-type"] == PROBLEM
        assert len(await known(server, 1)) == 1
        lanes.gate("one").open()
        await server.ended(first)
        lanes.gate("three").open()
        assert (await server.run("three", session="s", mode=mode, agent="lanes")).status < 300


async def test_a_request_says_otherwise_than_the_settings():
    lanes = Lanes()
    async with serving(lanes.agent, session_policy="reject") as server:
        await queued(server, "one", session="s")
        await queued(server, "two", session="s", session_policy="queue")
        await queued(server, "three", session="s", session_policy="parallel")
        await lanes.began("one", "three")
        refused = await server.run("four", session="s", session_policy="reject", agent="lanes")
        assert refused.status == 409
        lanes.gate("one").open()
        lanes.gate("three").open()
        await lanes.began("one", "three", "two")
        lanes.gate("two").open()


async def test_a_policy_says_nothing_about_a_run_without_a_session():
    lanes = Lanes()
    async with serving(lanes.agent, session_policy="reject") as server:
        for name in ("one", "two"):
            await queued(server, name)
        await lanes.began("one", "two")
        for name in lanes.begun:
            lanes.gate(name).open()


async def test_an_unknown_policy_is_a_422():
    async with serving() as server:
        assert (await server.run("hi", session_policy="first")).status == 422


@pytest.mark.parametrize("mode", MODES)
async def test_interrupt_ends_the_earlier_runs_and_then_begins(mode: str):
    lanes = Lanes()
    async with serving(lanes.agent) as server:
        first = await queued(server, "one", session="s")
        await lanes.began("one")
        second = await queued(server, "two", session="s")
        lanes.gate("three").open()
        got = await server.run(
            "three", session="s", session_policy="interrupt", mode=mode, agent="lanes"
        )
        third = got.headers.get("x-run-id") or got.json()["id"]
        assert (await server.ended(third))["output"] == "three done"
        for run in (first, second):
            ended = await server.show(run)
            assert (ended["status"], ended["reason"]) == ("interrupted", "replaced")
            assert ended["error"]["message"] == "a newer run of its session has replaced it"
            *_, asked, last = await server.entries(run)
            assert (asked["type"], asked["reason"]) == ("run.cancel_requested", "replaced")
            assert last["type"] == "run.interrupted"
        assert lanes.begun == ["one", "three"]


async def test_joining_by_key_interrupts_nobody_and_is_not_refused():
    lanes = Lanes()
    headers = {"idempotency-key": "k"}
    for policy in ("interrupt", "reject"):
        body = {"input": policy, "session": "s", "session_policy": policy, "mode": "background"}
        async with serving(lanes.agent) as server:
            first = await server.client.post("/api/runs", body, headers=headers)
            await until(lambda policy=policy: policy in lanes.begun)
            again = await server.client.post("/api/runs", body, headers=headers)
            assert (again.status, again.json()["id"]) == (202, first.json()["id"])
            lanes.gate(policy).open()
            assert (await server.ended(first.json()["id"]))["status"] == "success"


# --- so many at once ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["tenant_concurrency", "agent_concurrency"])
async def test_only_so_many_runs_are_executed_at_once(limit: str):
    lanes = Lanes()
    limits: dict[str, Any] = {limit: 2}
    async with serving(lanes.agent, **limits) as server:
        runs = [await queued(server, name) for name in ("one", "two", "three", "four")]
        await lanes.began("one", "two")
        assert (await server.show(runs[3]))["position"] == 2
        lanes.gate("two").open()
        await lanes.began("one", "two", "three")
        for name in ("one", "three", "four"):
            lanes.gate(name).open()
        for run in runs:
            assert (await server.ended(run))["status"] == "success"


async def test_a_run_of_another_agent_does_not_wait_for_an_agents_limit():
    lanes, gated = Lanes(), Gated()
    async with serving(lanes.agent, gated.agent, agent_concurrency=1) as server:
        for name in ("one", "two"):
            await queued(server, name)
        await queued(server, "other", agent="gated")
        await gated.gate.reached()
        await lanes.began("one")
        for gate in (gated.gate, lanes.gate("one"), lanes.gate("two")):
            gate.open()


@pytest.mark.parametrize("mode", ["wait", "stream"])
async def test_a_durable_run_over_the_limit_is_queued_while_its_caller_waits(mode: str):
    lanes = Lanes()
    async with serving(lanes.agent, tenant_concurrency=1) as server:
        await queued(server, "one")
        await lanes.began("one")
        await pass_time(server.clock, 0.01)  # ids of the same moment are in no order
        got = server.begin("two", mode=mode, durable=True, agent="lanes")
        runs = await known(server, 2)
        assert (await server.show(runs[1]["id"]))["status"] == "submitted"
        lanes.gate("two").open()
        lanes.gate("one").open()
        await got.until_answered()
        await got.until_over()
        assert (got.status, output(got)) == (200, "two done")


@pytest.mark.parametrize("limit", ["tenant_concurrency", "agent_concurrency"])
async def test_a_light_run_over_the_limit_is_a_429(limit: str):
    lanes = Lanes()
    limits: dict[str, Any] = {limit: 1}
    async with serving(lanes.agent, **limits) as server:
        first = server.begin("one", agent="lanes")
        await lanes.began("one")
        got = await server.run("two", agent="lanes")
        assert (got.status, got.json()["code"]) == (429, "too_many_runs")
        assert got.headers["retry-after"] == "1"
        lanes.gate("one").open()
        await first.until_over()
        lanes.gate("two").open()
        assert (await server.run("two", agent="lanes")).status == 200


# --- a full queue -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "status", "code"),
    [("max_queued", 503, "queue_full"), ("tenant_max_queued", 429, "too_many_queued")],
)
async def test_a_full_queue_takes_no_more_until_it_is_shorter(limit: str, status: int, code: str):
    lanes = Lanes()
    limits: dict[str, Any] = {limit: 2}
    async with serving(lanes.agent, give, concurrency=1, **limits) as server:
        await queued(server, "one")
        await lanes.began("one")
        await pass_time(server.clock, 1)  # then it is counted again
        for name in ("two", "three"):
            await queued(server, name)
        got = await server.run("four", mode="background", agent="lanes")
        assert (got.status, got.json()["code"]) == (status, code)
        assert int(got.headers["retry-after"]) >= 1
        assert (await server.run("at once", agent="give")).status == 200  # it is not queued
        for name in ("one", "two"):
            lanes.gate(name).open()
        await lanes.began("one", "two", "three")
        await pass_time(server.clock, 0.1, step=0.1)
        lanes.gate("three").open()
        lanes.gate("four").open()
        await server.ended(await queued(server, "four"))


async def test_many_at_once_do_not_overfill_the_queue():
    lanes = Lanes()
    async with serving(lanes.agent, concurrency=1, max_queued=5) as server:
        answers = await asyncio.gather(
            *(server.run("x", mode="background", agent="lanes") for _ in range(20))
        )
        assert sorted(got.status for got in answers) == [202] * 5 + [503] * 15
        lanes.gate("x").open()


async def test_no_limit_is_no_limit():
    lanes = Lanes()
    async with serving(lanes.agent, concurrency=1, max_queued=0) as server:
        for at in range(30):
            await queued(server, str(at))
            lanes.gate(str(at)).open()


async def test_an_interactive_run_that_would_have_to_be_queued_is_refused_by_a_full_queue():
    lanes = Lanes()
    async with serving(lanes.agent, concurrency=1, max_queued=1) as server:
        await queued(server, "one", session="s")
        await lanes.began("one")
        await pass_time(server.clock, 1)
        await queued(server, "two", session="s")
        got = await server.run("three", session="s", agent="lanes")
        assert (got.status, got.json()["code"]) == (503, "queue_full")
        for name in ("one", "two"):
            lanes.gate(name).open()


# --- who is next --------------------------------------------------------------------------------


async def test_a_queued_run_shows_its_position_and_urgent_ones_come_first():
    lanes = Lanes()
    async with serving(lanes.agent, concurrency=1) as server:
        first = await server.run("one", mode="background", agent="lanes")
        await lanes.began("one")
        told: dict[str, str] = {}
        for name, priority, position in (
            ("two", 0, 1), ("three", 0, 2), ("urgent", 7, 1), ("idle", -7, 4)
        ):  # fmt: skip
            got = await server.run(name, mode="background", agent="lanes", priority=priority)
            assert (name, got.json()["position"]) == (name, position)
            told[name] = got.json()["id"]
        positions = {name: (await server.show(run))["position"] for name, run in told.items()}
        assert positions == {"urgent": 1, "two": 2, "three": 3, "idle": 4}
        for name in ("one", *told):
            lanes.gate(name).open()
        for run in (first.json()["id"], *told.values()):
            assert (await server.ended(run))["position"] is None
        assert lanes.begun == ["one", "urgent", "two", "three", "idle"]


@pytest.mark.parametrize("priority", [-101, 101, 0.5, "high"])
async def test_a_priority_out_of_range_is_a_422(priority: object):
    async with serving() as server:
        got = await server.run("hi", mode="background", priority=priority)
        assert got.status == 422


async def test_queued_runs_are_a_metric():
    lanes = Lanes()
    async with serving(lanes.agent, concurrency=1) as server:
        for name in ("one", "two", "three"):
            await queued(server, name)
        await lanes.began("one")
        assert "forebay_runs_queued 2\n" in (await server.client.get("/metrics")).text
        for name in ("one", "two", "three"):
            lanes.gate(name).open()
