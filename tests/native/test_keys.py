"""Idempotency: the same request under the same key joins the run that it started."""

import asyncio

import pytest

from forebay import Context, agent
from tests.support.agents import Gated, give
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import pass_time

KEY = {"idempotency-key": "order-66"}
MODES = ["wait", "stream", "background"]
DAY = 86_400


async def submit(server: Server, body: dict[str, object], key: str = "order-66") -> Exchange:
    return await server.client.post("/api/runs", body, headers={"idempotency-key": key})


def run_of(got: Exchange) -> str:
    return got.headers.get("x-run-id") or got.json()["id"]


@pytest.mark.parametrize("mode", MODES)
async def test_the_same_request_joins_a_run_that_is_under_way(mode: str):
    gated = Gated()
    body = {"input": "word", "mode": mode}
    async with serving(gated.agent) as server:
        first = server.client.begin("POST", "/api/runs", body=body, headers=KEY)
        await gated.gate.reached()
        others = [
            server.client.begin("POST", "/api/runs", body=body, headers=KEY) for _ in range(3)
        ]
        if mode == "background":
            for got in others:
                await got.until_over()
        gated.gate.open()
        for got in (first, *others):
            await got.until_answered()
        assert len({run_of(got) for got in (first, *others)}) == 1
        assert {got.status for got in others} == {202 if mode == "background" else 200}
        assert gated.calls == 1
        if mode == "wait":
            assert {got.json()["output"] for got in (first, *others)} == {"word before after"}
        if mode == "stream":
            assert all(got.entries == first.entries for got in others)
            assert [entry["number"] for entry in first.entries] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("mode", MODES)
async def test_the_same_request_joins_a_run_that_has_ended(mode: str):
    gated = Gated()
    gated.gate.open()
    body: dict[str, object] = {"input": "word", "mode": mode}
    async with serving(gated.agent) as server:
        first = await submit(server, body)
        await server.ended(run_of(first))
        again = await submit(server, body)
        assert run_of(again) == run_of(first)
        assert gated.calls == 1
        match mode:
            case "stream":
                assert again.entries == first.entries
            case "wait":
                assert again.status == 200
                assert again.json() == first.json()
            case _:
                assert again.status == 200
                assert again.json()["status"] == "success"


async def test_many_at_once_start_one_run():
    gated = Gated()
    gated.gate.open()
    async with serving(gated.agent) as server:
        answers = await asyncio.gather(*(submit(server, {"input": "word"}) for _ in range(20)))
        assert {got.status for got in answers} == {200}
        assert len({run_of(got) for got in answers}) == 1
        assert gated.calls == 1
        assert len((await server.client.get("/api/runs")).json()["runs"]) == 1


async def test_a_joined_wait_answers_202_when_it_takes_too_long():
    gated = Gated()
    async with serving(gated.agent) as server:
        body: dict[str, object] = {"input": "word", "wait_seconds": 0.05}
        first = await submit(server, body)
        again = await submit(server, body)
        assert (first.status, again.status) == (202, 202)
        assert run_of(again) == run_of(first)
        gated.gate.open()
        await server.ended(run_of(first))


@pytest.mark.parametrize("mode", ["wait", "stream"])
async def test_a_joined_run_goes_on_when_all_who_joined_have_left(mode: str):
    gated = Gated()
    body = {"input": "word", "mode": mode}
    async with serving(gated.agent) as server:
        both = [server.client.begin("POST", "/api/runs", body=body, headers=KEY) for _ in range(2)]
        await gated.gate.reached()
        for got in both:
            got.leave()
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        gated.gate.open()
        assert (await server.ended(run["id"]))["status"] == "success"


@pytest.mark.parametrize(
    "change",
    [{"input": "other"}, {"agent": "echo"}, {"metadata": {"a": 1}}, {"session": "s"},
     {"mode": "background"}, {"durable": True}, {"expiry_seconds": 100}, {"deadline_seconds": 5},
     {"wait_seconds": 5}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
async def test_another_body_under_the_key_is_a_409(change: dict[str, object]):
    async with serving(give) as server:
        await submit(server, {"input": "word"})
        got = await submit(server, {"input": "word"} | change)
        assert (got.status, got.json()["code"]) == (409, "idempotency_key_reused")
        assert len((await server.client.get("/api/runs")).json()["runs"]) == 1


async def test_bodies_are_compared_after_they_were_read():
    async with serving(give) as server:
        first = await submit(server, {"input": {"a": 1, "b": [2]}, "metadata": {"x": 1, "y": 2}})
        raw = b' {"mode": "wait", "metadata":{"y":2,"x":1}, "input" : {"b":[ 2 ],"a":1}} '
        again = await server.client.send(
            "POST", "/api/runs", raw=raw, headers=KEY | {"content-type": "application/json"}
        )
        assert again.status == 200
        assert run_of(again) == run_of(first)


async def test_another_key_starts_another_run():
    async with serving() as server:
        first = await submit(server, {"input": "word"})
        other = await submit(server, {"input": "word"}, key="order-67")
        assert run_of(first) != run_of(other)


async def test_a_refused_request_does_not_use_up_its_key():
    async with serving(give) as server:
        assert (await submit(server, {"input": "word", "agent": "nobody"})).status == 404
        assert (await submit(server, {"input": 1, "agent": "echo"})).status == 422
        assert (await submit(server, {"input": "word"})).status == 200


async def test_a_failed_run_is_joined_and_not_tried_again():
    calls = 0

    @agent("fails")
    async def fails(ctx: Context, text: str) -> None:
        nonlocal calls
        calls += 1
        raise ValueError(text)

    async with serving(fails) as server:
        first = await submit(server, {"input": "word"})
        again = await submit(server, {"input": "word"})
        assert again.json() == first.json()
        assert (first.json()["status"], calls) == ("failure", 1)


async def test_a_key_whose_run_was_deleted_stays_used():
    async with serving(give) as server:
        first = await submit(server, {"input": "word"})
        assert (await server.client.delete(f"/api/runs/{run_of(first)}")).status == 204
        again = await submit(server, {"input": "word"})
        assert (again.status, again.json()["code"]) == (409, "idempotency_key_reused")
        assert "deleted" in again.json()["detail"]


async def test_a_key_lives_for_a_day_even_if_its_run_does_not():
    async with serving(give) as server:
        first = await submit(server, {"input": "word", "expiry_seconds": 60})
        await pass_time(server.clock, 180, step=60)
        assert (await server.client.get(f"/api/runs/{run_of(first)}")).status == 404
        again = await submit(server, {"input": "word", "expiry_seconds": 60})
        assert again.status == 409
        await pass_time(server.clock, DAY, step=DAY / 2)
        await pass_time(server.clock, 120, step=60)
        later = await submit(server, {"input": "word", "expiry_seconds": 60})
        assert later.status == 200
        assert run_of(later) != run_of(first)


async def test_a_key_lives_as_long_as_its_run():
    async with serving(give) as server:
        first = await submit(server, {"input": "word"})
        await pass_time(server.clock, 3 * DAY, step=DAY)
        again = await submit(server, {"input": "word"})
        assert (again.status, run_of(again)) == (200, run_of(first))
