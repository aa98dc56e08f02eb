"""Answering: a run asks, waits without occupying anybody, and goes on with the answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forebay import Context, agent
from forebay.core.codec import Entry
from forebay.core.errors import QuestionTimedOut, StaleAttempt
from forebay.core.events import CancelRequested, Option, Prompt
from forebay.core.ids import parse_run_id
from forebay.core.json import Json
from forebay.core.run import move_of
from forebay.dialects.native.models import QuestionModel
from forebay.ports.store import CONTROL, Append, Appended, Outcome, Write
from forebay.storage.memory import MemoryStorage
from forebay.storage.sqlite.storage import SqliteStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import Gate, pass_time, settle

CITIES = (
    Option("a", "Rome", "rome", "In Italy"),
    Option("b", "Oslo", "oslo"),
)
NOBODY = "00000000-03e8-7d1c-8a5f-0123456789ab"


@agent("ask")
async def ask(ctx: Context, text: str) -> AsyncGenerator[str]:
    """Asks what it is given, between two words."""
    yield "before "
    answer = await ctx.ask(text)
    yield f"[{answer}] "
    yield "after"


@agent("timed")
async def timed(ctx: Context, seconds: float) -> AsyncGenerator[Json]:
    """Asks, for so long."""
    yield await ctx.ask(Prompt("Which?", "radio", CITIES, timeout_seconds=seconds))


@agent("hasty")
async def hasty(ctx: Context, seconds: float) -> Json:
    """Asks, for so long, and knows what to do without an answer."""
    return await ctx.ask("Which?", timeout_seconds=seconds, default="any")


@agent("both")
async def both(ctx: Context, text: str) -> Json:
    """Asks two people at the same time."""
    del text
    return list(await asyncio.gather(ctx.ask("first?"), ctx.ask("second?")))


async def waiting(server: Server, input: Json, **rest: object) -> dict[str, Any]:
    """A run that has asked and waits."""
    got = await server.run(input, **rest)
    assert (got.status, got.json()["status"]) == (202, "waiting"), got.body
    return got.json()


async def answer(server: Server, run: str, question: str, given: Json) -> Exchange:
    return await server.client.post(f"/api/runs/{run}/answers/{question}", {"answer": given})


def refused(got: Exchange, status: int, code: str) -> None:
    assert (got.status, got.json()["code"]) == (status, code), got.body


async def types(server: Server, run: str) -> list[tuple[int, str]]:
    return [(entry["attempt"], entry["type"]) for entry in await server.entries(run)]


# --- a run that waits ---------------------------------------------------------------------------


async def test_who_waits_for_a_run_is_told_at_once_that_it_waits_itself():
    async with serving(ask) as server:
        got = await server.run("Which city?")
        run = got.json()
        assert (got.status, run["status"], run["durable"]) == (202, "waiting", True)
        assert got.headers["location"] == f"/api/runs/{run['id']}"
        assert run["output"] == "before "
        assert await server.show(run["id"]) == run
        (question,) = run["questions"]
        assert set(question) == set(QuestionModel.model_fields)
        assert (question["text"], question["kind"], question["due"]) == (
            "Which city?",
            "text",
            None,
        )
        assert server.app.runs.under_way == 0


async def test_a_question_is_shown_with_all_that_one_needs_to_answer_it():
    async with serving(timed) as server:
        run = await waiting(server, 90)
        (question,) = run["questions"]
        del question["id"]
        assert question == {
            "text": "Which?",
            "kind": "radio",
            "options": [
                {"id": "a", "label": "Rome", "value": "rome", "description": "In Italy"},
                {"id": "b", "label": "Oslo", "value": "oslo", "description": ""},
            ],
            "placeholder": None,
            "required": True,
            "timeout_seconds": 90.0,
            "default": None,
            "due": "2026-01-01T00:01:30.000Z",
        }


@pytest.mark.parametrize("mode", ["wait", "background"])
@pytest.mark.parametrize("durable", [True, None])
async def test_an_answered_run_goes_on_to_its_end(mode: str, durable: bool | None):
    async with serving(ask) as server:
        run = (await server.run("Which city?", mode=mode, durable=durable)).json()["id"]
        await until_waiting(server, run)
        (question,) = (await server.show(run))["questions"]
        got = await answer(server, run, question["id"], "Oslo")
        assert (got.status, got.json()["id"], got.json()["questions"]) == (200, run, [])
        shown = await server.ended(run)
        assert (shown["status"], shown["output"]) == ("success", "before [Oslo] after")
        assert (shown["questions"], shown["attempt"]) == ([], 2)
        said = await types(server, run)
    assert said[1:] == [
        (1, "run.started"),
        (1, "output.chunk"),
        (1, "question.asked"),
        (1, "run.waiting"),
        (0, "question.answered"),
        (2, "run.started"),
        (2, "output.chunk"),
        (2, "output.chunk"),
        (2, "run.succeeded"),
    ]


async def until_waiting(server: Server, run: str) -> None:
    async with asyncio.timeout(5):
        while (await server.show(run))["status"] != "waiting":
            await settle()


async def test_a_stream_stays_open_while_its_run_waits():
    async with serving(ask) as server:
        stream = server.begin("Which city?", mode="stream")
        await stream.until(lambda got: "run.waiting" in got.text)
        run = stream.headers["x-run-id"]
        (question,) = (await server.show(run))["questions"]
        await settle()
        assert not stream.is_over
        await answer(server, run, question["id"], "Oslo")
        await stream.until_over()
        assert stream.entries == await server.entries(run)
        assert [frame.id for frame in stream.events] == [
            str(number) for number in range(1, len(stream.events) + 1)
        ]
        assert stream.entries[-1]["type"] == "run.succeeded"


async def test_a_light_stream_becomes_durable_when_its_run_asks():
    async with serving(ask) as server:
        stream = server.begin("Which city?", mode="stream", durable=False)
        await stream.until(lambda got: "run.waiting" in got.text)
        run = stream.headers["x-run-id"]
        shown = await server.show(run)
        assert (shown["status"], shown["durable"]) == ("waiting", True)
        await answer(server, run, shown["questions"][0]["id"], "Oslo")
        await stream.until_over()
        assert stream.entries == await server.entries(run)


async def test_who_joins_a_run_that_waits_is_told_at_once():
    key = {"idempotency-key": "once"}
    async with serving(ask) as server:
        first = await server.client.post("/api/runs", {"input": "Well?"}, headers=key)
        again = await server.client.post("/api/runs", {"input": "Well?"}, headers=key)
        assert (again.status, again.json()) == (202, first.json())


async def test_who_joins_a_run_that_has_waited_before_waits_for_what_comes_now():
    gate = Gate()

    @agent("asks twice")
    async def twice(ctx: Context, text: str) -> Json:
        first = await ctx.ask(f"{text} first")
        await gate.passed()
        return [first, await ctx.ask(f"{text} second")]

    key = {"idempotency-key": "once"}
    async with serving(twice) as server:
        run = (await server.client.post("/api/runs", {"input": "x"}, headers=key)).json()
        await answer(server, run["id"], run["questions"][0]["id"], "one")
        await gate.reached()
        again = server.client.begin("POST", "/api/runs", body={"input": "x"}, headers=key)
        await settle()
        assert not again.is_complete
        gate.open()
        await again.until_answered()
        assert (again.status, again.json()["status"]) == (202, "waiting")
        assert [each["text"] for each in again.json()["questions"]] == ["x second"]


async def test_runs_that_wait_can_be_listed():
    async with serving(ask) as server:
        run = await waiting(server, "Which city?")
        listed = (await server.client.get("/api/runs", query="status=waiting")).json()["runs"]
        assert [each["id"] for each in listed] == [run["id"]]
        assert "questions" not in listed[0]
        assert (await server.client.get("/api/runs", query="status=running")).json()["runs"] == []


async def test_a_notification_is_no_question():
    @agent("tells")
    async def tells(ctx: Context, text: str) -> Json:
        await ctx.ask(text, kind="notification")
        return await ctx.ask("And now?")

    async with serving(tells) as server:
        run = await waiting(server, "By the way")
        assert [question["text"] for question in run["questions"]] == ["And now?"]
        told = next(e for e in await server.entries(run["id"]) if e["type"] == "question.asked")
        refused(await answer(server, run["id"], told["question"], "x"), 404, "question_not_found")


async def test_a_run_waits_across_a_restart_of_the_server():
    clock = ManualClock()
    storage = MemoryStorage(clock)
    async with serving(ask, clock=clock, storage=storage) as server:
        before = await waiting(server, "Which city?")
    async with serving(ask, clock=clock, storage=storage) as server:
        run = before["id"]
        assert await server.show(run) == before
        await answer(server, run, before["questions"][0]["id"], "Oslo")
        assert (await server.ended(run))["output"] == "before [Oslo] after"


async def test_any_server_on_the_database_takes_the_answer(tmp_path: Path):
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(serving(ask, storage=storage, clock=clock))
            for clock in (ManualClock(), ManualClock())
            for storage in [SqliteStorage(tmp_path / "db", clock)]
        ]
        stream = here.begin("Which city?", mode="stream")
        await stream.until(lambda got: "run.waiting" in got.text)
        run = stream.headers["x-run-id"]
        (question,) = (await there.show(run))["questions"]
        assert (await answer(there, run, question["id"], "Oslo")).status == 200
        await stream.until_over()
        assert stream.entries[-1]["type"] == "run.succeeded"
        assert (await there.show(run))["output"] == "before [Oslo] after"


# --- what an answer may be ----------------------------------------------------------------------


@agent("prompted")
async def prompted(ctx: Context, kind: str, required: bool = True) -> dict[str, Json]:
    """Asks a question of some kind."""
    options = () if kind == "text" else CITIES
    return {"got": await ctx.ask(Prompt("Which?", kind, options, required=required))}


@pytest.mark.parametrize(
    ("kind", "given", "got"),
    [
        ("text", "any text", "any text"),
        ("binary_choice", "a", "rome"),
        ("radio", "oslo", "oslo"),
        ("dropdown", {"id": "b", "label": "Oslo", "value": "oslo"}, "oslo"),
        ("checkbox", "a", ["rome"]),
        ("checkbox", ["b", "rome"], ["oslo", "rome"]),
    ],
)
async def test_the_agent_gets_what_was_answered(kind: str, given: Json, got: Json):
    async with serving(prompted) as server:
        run = await waiting(server, {"kind": kind})
        (question,) = run["questions"]
        assert (await answer(server, run["id"], question["id"], given)).status == 200
        assert (await server.ended(run["id"]))["output"] == {"got": got}
        told = await server.entries(run["id"])
        assert [entry["answer"] for entry in told if "answer" in entry] == [got]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text", ""),
        ("text", 7),
        ("text", None),
        ("text", ["a"]),
        ("radio", "Paris"),
        ("radio", ["a"]),
        ("radio", {"label": "Rome"}),
        ("binary_choice", True),
        ("dropdown", None),
        ("checkbox", []),
        ("checkbox", ["a", "Paris"]),
    ],
)
async def test_what_does_not_answer_a_question_is_a_422_and_leaves_it_open(kind: str, given: Json):
    async with serving(prompted) as server:
        run = await waiting(server, {"kind": kind})
        (question,) = run["questions"]
        got = await answer(server, run["id"], question["id"], given)
        refused(got, 422, "invalid_answer")
        assert [each["location"] for each in got.json()["errors"]] == [["answer"]]
        assert await server.show(run["id"]) == run
        assert (await answer(server, run["id"], question["id"], "a")).status == 200


@pytest.mark.parametrize(
    ("kind", "got"), [("text", ""), ("radio", None), ("dropdown", None), ("checkbox", [])]
)
async def test_where_no_answer_is_required_null_is_one(kind: str, got: Json):
    async with serving(prompted) as server:
        run = await waiting(server, {"kind": kind, "required": False})
        await answer(server, run["id"], run["questions"][0]["id"], None)
        assert (await server.ended(run["id"]))["output"] == {"got": got}


@pytest.mark.parametrize(
    ("body", "field"), [({}, "answer"), ({"answer": "x", "by": "me"}, "by"), ([], None)]
)
async def test_a_body_that_is_no_answer_is_a_422(body: Json, field: str | None):
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        path = f"/api/runs/{run['id']}/answers/{run['questions'][0]['id']}"
        got = await server.client.post(path, body)
        refused(got, 422, "invalid_body")
        assert got.json()["errors"][0]["location"][1:] == ([field] if field else [])


# --- once, and only once ------------------------------------------------------------------------


async def test_a_question_that_nobody_asked_is_a_404():
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        refused(await answer(server, run["id"], "another", "x"), 404, "question_not_found")
        refused(await answer(server, NOBODY, "another", "x"), 404, "run_not_found")
        finished = (await server.run("hi", agent="echo")).json()["id"]
        refused(await answer(server, finished, "another", "x"), 404, "question_not_found")


async def test_the_same_answer_may_be_sent_again_and_again():
    async with serving(timed) as server:
        run = await waiting(server, 60)
        (question,) = run["questions"]
        several: list[Json] = ["b", "oslo", {"id": "b"}]
        for given in several:
            got = await answer(server, run["id"], question["id"], given)
            assert (got.status, got.json()["questions"]) == (200, [])
        ended = await server.ended(run["id"])
        again = await answer(server, run["id"], question["id"], "b")
        assert (again.status, again.json()) == (200, ended)
        said = await types(server, run["id"])
        assert said.count((0, "question.answered")) == 1


async def test_another_answer_is_a_409():
    async with serving(timed) as server:
        run = await waiting(server, 60)
        (question,) = run["questions"]
        await answer(server, run["id"], question["id"], "b")
        for given in ("a", "Paris", None):
            got = await answer(server, run["id"], question["id"], given)
            refused(got, 409, "question_closed")
        assert (await server.ended(run["id"]))["output"] == "oslo"


async def test_of_two_who_answer_at_once_one_is_told_that_he_was_late():
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        path = f"/api/runs/{run['id']}/answers/{run['questions'][0]['id']}"
        words = ["one", "two", "three", "four"]
        several = [server.client.begin("POST", path, body={"answer": word}) for word in words]
        for got in several:
            await got.until_answered()
        assert sorted(got.status for got in several) == [200, 409, 409, 409]
        first = next(word for word, got in zip(words, several, strict=True) if got.status == 200)
        assert (await server.ended(run["id"]))["output"] == f"before [{first}] after"
        assert (await types(server, run["id"])).count((0, "question.answered")) == 1


async def test_a_run_that_ended_without_an_answer_takes_none_any_more():
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        await server.client.post(f"/api/runs/{run['id']}/cancel")
        got = await answer(server, run["id"], run["questions"][0]["id"], "x")
        refused(got, 409, "run_finished")


# --- several questions, and runs that do something else meanwhile -------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_several_questions_are_answered_in_any_order(order: tuple[int, int]):
    async with serving(both) as server:
        run = await waiting(server, "x")
        assert [question["text"] for question in run["questions"]] == ["first?", "second?"]
        given = ["one", "two"]
        first, last = order
        got = await answer(server, run["id"], run["questions"][first]["id"], given[first])
        assert [each["id"] for each in got.json()["questions"]] == [run["questions"][last]["id"]]
        got = await answer(server, run["id"], run["questions"][last]["id"], given[last])
        assert got.json()["questions"] == []
        assert (await server.ended(run["id"]))["output"] == given


async def test_a_run_that_has_something_else_to_do_is_answered_while_it_runs():
    gate = Gate()

    async def work() -> str:
        await gate.passed()
        return "done"

    @agent("busy")
    async def busy(ctx: Context, text: str) -> Json:
        return list(await asyncio.gather(ctx.ask(text), ctx.step("work", work)))

    async with serving(busy) as server:
        run = (await server.run("Well?", mode="background")).json()["id"]
        await gate.reached()
        shown = await server.show(run)
        assert shown["status"] == "running"
        (question,) = shown["questions"]
        got = await answer(server, run, question["id"], "yes")
        assert (got.status, got.json()["status"]) == (200, "running")
        gate.open()
        ended = await server.ended(run)
        assert (ended["output"], ended["attempt"]) == (["yes", "done"], 1)
        assert "run.waiting" not in [kind for _, kind in await types(server, run)]


async def test_a_run_that_talks_all_the_time_is_answered_too():
    @agent("talks")
    async def talks(ctx: Context, text: str) -> None:
        async def talk() -> None:
            while not asking.done():
                ctx.say("bla ")
                await asyncio.sleep(0)

        asking = asyncio.ensure_future(ctx.ask(text))
        await asyncio.gather(asking, ctx.step("talk", talk))

    async with serving(talks) as server:
        stream = server.begin("Well?", mode="stream")
        await stream.until(lambda got: len(got.events) > 100)
        run = stream.headers["x-run-id"]
        (question,) = (await server.show(run))["questions"]
        got = await answer(server, run, question["id"], "enough")
        assert got.status == 200
        assert (await server.ended(run))["status"] == "success"
        assert (await types(server, run)).count((0, "question.answered")) == 1


class Crowded(MemoryStorage):
    """A storage where somebody else has always just written what one did not expect."""

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        return [await self._outcome(each) for each in batch]

    async def _outcome(self, write: Write) -> Outcome:
        if isinstance(write, Append) and write.attempt == CONTROL and write.only_if_last:
            return StaleAttempt()
        (outcome,) = await super().write([write])
        return outcome


async def test_an_answer_comes_through_however_much_is_written_meanwhile():
    clock = ManualClock()
    async with serving(ask, clock=clock, storage=Crowded(clock)) as server:
        run = await waiting(server, "Well?")
        path = f"/api/runs/{run['id']}/answers/{run['questions'][0]['id']}"
        several = [server.client.begin("POST", path, body={"answer": word}) for word in "abca"]
        for got in several:
            await got.until_answered()
        told = await server.entries(run["id"])
        first = next(entry["answer"] for entry in told if entry["type"] == "question.answered")
        assert [got.status for got in several] == [200 if word == first else 409 for word in "abca"]
        assert (await server.ended(run["id"]))["output"] == f"before [{first}] after"


# --- ending what waits --------------------------------------------------------------------------


async def test_a_run_that_waits_is_cancelled_at_once():
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        got = await server.client.post(f"/api/runs/{run['id']}/cancel")
        shown = got.json()
        assert (got.status, shown["status"], shown["reason"]) == (200, "interrupted", "cancelled")
        assert shown["questions"] == []
        assert (await types(server, run["id"]))[-2:] == [
            (0, "run.cancel_requested"),
            (0, "run.interrupted"),
        ]


async def test_a_run_that_began_to_wait_while_it_was_cancelled_ends():
    async with serving(ask) as server:
        run = (await waiting(server, "Well?"))["id"]
        found = await server.app.runs.reader.find(parse_run_id(run))
        as_it_was = msgspec.structs.replace(found, status="running")
        await server.app.runs.controls.cancel(as_it_was, "ada")
        shown = await server.show(run)
        assert (shown["status"], shown["reason"]) == ("interrupted", "cancelled")


async def test_a_cancellation_that_no_attempt_has_heard_ends_the_next_one():
    gated = Gated()
    clock = ManualClock()
    storage = MemoryStorage(clock)
    async with serving(gated.agent, clock=clock, storage=storage) as server:
        run = (await server.run("word", mode="background")).json()["id"]
        await gated.gate.reached()
    found = await storage.find(parse_run_id(run))
    assert found is not None
    assert found.number is not None
    request = Entry(found.last + 1, CONTROL, clock.now(), event=CancelRequested("ada"))
    move = move_of([request.event])
    (outcome,) = await storage.write([Append(found.number, CONTROL, [request], move)])
    assert isinstance(outcome, Appended)
    async with serving(gated.agent, clock=clock, storage=storage) as server:
        shown = await server.ended(run)
        assert (shown["status"], shown["reason"]) == ("interrupted", "cancelled")
        assert shown["error"]["message"] == "cancelled by ada"
    assert gated.calls == 1


async def test_a_run_that_waits_cannot_be_deleted():
    async with serving(ask) as server:
        run = await waiting(server, "Well?")
        refused(await server.client.delete(f"/api/runs/{run['id']}"), 409, "run_unfinished")


async def test_a_question_that_nobody_answers_in_time_gives_the_default():
    async with serving(hasty) as server:
        run = await waiting(server, 30)
        (question,) = run["questions"]
        await pass_time(server.clock, 29)
        assert (await server.show(run["id"]))["status"] == "waiting"
        await pass_time(server.clock, 3)
        assert (await server.ended(run["id"]))["output"] == "any"
        refused(await answer(server, run["id"], question["id"], "late"), 409, "question_closed")
        assert (0, "question.expired") in await types(server, run["id"])


async def test_a_question_without_a_default_fails_when_nobody_answers_in_time():
    async with serving(timed) as server:
        run = await waiting(server, 30)
        await pass_time(server.clock, 32)
        ended = await server.ended(run["id"])
        assert (ended["status"], ended["reason"]) == ("failure", "agent_error")
        assert ended["error"]["error"] == QuestionTimedOut.__name__


async def test_the_deadline_counts_from_the_admission_and_ends_a_run_that_waits():
    async with serving(ask) as server:
        run = await waiting(server, "Well?", deadline_seconds=60)
        await pass_time(server.clock, 58)
        assert (await server.show(run["id"]))["status"] == "waiting"
        await pass_time(server.clock, 4)
        ended = await server.ended(run["id"])
        assert (ended["status"], ended["reason"]) == ("failure", "deadline")
        assert ended["error"]["message"] == "The run took longer than 60 s."


# --- budgets ------------------------------------------------------------------------------------


async def nothing() -> None:
    """A step that does nothing."""


@agent("steps")
async def steps(ctx: Context, number: int) -> str:
    """Begins so many steps."""
    for _ in range(number):
        await ctx.step("nothing", nothing)
    return "done"


@agent("consumes")
async def consumes(ctx: Context, tokens: int) -> str:
    """Calls a model twice."""

    async def call() -> dict[str, Json]:
        return {"usage": {"input_tokens": tokens, "output_tokens": 1}}

    for _ in range(2):
        await ctx.model("small", call)
    return "done"


@pytest.mark.parametrize("durable", [True, False])
async def test_a_run_that_begins_too_many_steps_ends_with_its_own_reason(durable: bool):
    async with serving(steps) as server:
        good = (await server.run(3, max_steps=3, durable=durable)).json()
        bad = (await server.run(4, max_steps=3, durable=durable)).json()
        assert (good["status"], good["output"]) == ("success", "done")
        assert (bad["status"], bad["reason"]) == ("failure", "step_budget")
        assert (await server.entries(bad["id"]))[0]["grant"] == {"max_steps": 3}


@pytest.mark.parametrize("durable", [True, False])
async def test_a_run_that_consumes_too_many_tokens_ends_with_its_own_reason(durable: bool):
    async with serving(consumes) as server:
        good = (await server.run(49, max_tokens=100, durable=durable)).json()
        bad = (await server.run(50, max_tokens=100, durable=durable)).json()
        assert (good["status"], good["usage"]["input_tokens"]) == ("success", 98)
        assert (bad["status"], bad["reason"]) == ("failure", "token_budget")
        assert (await server.entries(bad["id"]))[0]["grant"] == {"max_tokens": 100}


@pytest.mark.parametrize("limit", [0, -1, 1.5, "many", 2**53])
@pytest.mark.parametrize("name", ["max_steps", "max_tokens"])
async def test_a_budget_is_a_whole_number_of_at_least_one(name: str, limit: Json):
    async with serving() as server:
        refused(await server.run("hi", **{name: limit}), 422, "invalid_body")


async def test_a_run_without_limits_has_no_grant_in_its_log():
    async with serving() as server:
        run = (await server.run("hi")).json()["id"]
        assert "grant" not in (await server.entries(run))[0]
