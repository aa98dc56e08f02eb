"""A run goes on where its log ends: after a loss, after a stop, after an answer."""

from collections.abc import AsyncGenerator

import pytest

from forebay import Context, agent
from forebay.core.events import RunStarted
from forebay.ports.store import Appended, RunQuery
from forebay.testing.runs import cancel, write
from tests.support.server import Server, serving
from tests.support.storage import Audience, FaultyStorage
from tests.support.waiting import Gate, pass_time, settle, until

from .test_recovery import BOUND, Place


class Counted:
    """Says what it did in three counted steps, with a gate before the last one."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.done: list[int] = []

        @agent("counted")
        async def counted(ctx: Context, text: str) -> AsyncGenerator[str]:
            yield f"{text}:"
            for number in (1, 2, 3):
                if number == 3:
                    await self.gate.passed()
                yield f" {await ctx.step('count', self._count, number)}"

        self.agent = counted

    async def _count(self, number: int) -> int:
        self.done.append(number)
        return number * 10


@agent("asking")
async def asking(ctx: Context, text: str) -> AsyncGenerator[str]:
    yield f"{text}? "
    yield str(await ctx.ask("your name", timeout_seconds=60))


@agent("choosing")
async def choosing(ctx: Context, text: str) -> str:
    del text
    return str(await ctx.ask("go on", timeout_seconds=60, default="later"))


def types(entries: list[dict[str, object]]) -> list[object]:
    return [entry["type"] for entry in entries]


async def submitted(server: Server, name: str, text: str = "x") -> str:
    got = await server.run(text, agent=name, mode="background")
    assert got.status == 202
    return got.json()["id"]


async def until_waiting(server: Server, run: str) -> str:
    """Wait until a run waits for an answer; the name of its question."""

    def waits() -> bool:
        return server.app.runs.under_way == 0

    await until(waits)
    shown = await server.show(run)
    assert shown["status"] == "waiting"
    entries = await server.entries(run)
    return next(entry["question"] for entry in entries if entry["type"] == "question.asked")


async def test_a_lost_run_goes_on_in_another_server_and_no_step_is_done_twice():
    place, lost, found = Place(), Counted(), Counted()
    theirs = place.access()
    async with serving(lost.agent, storage=theirs, clock=place.clock) as server:
        run = await submitted(server, "counted")
        await lost.gate.reached()
        await settle()
        theirs.go_away()
        found.gate.open()
        async with serving(found.agent, storage=place.storage, clock=place.clock) as other:
            await pass_time(place.clock, BOUND)
            shown = await other.ended(run)
            entries = await other.entries(run)
        theirs.come_back()
        lost.gate.open()
    assert (shown["status"], shown["output"]) == ("success", "x: 10 20 30")
    assert (lost.done, found.done) == ([1, 2], [3])
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    attempts = [entry["attempt"] for entry in entries if entry["attempt"]]
    assert attempts == sorted(attempts)
    assert types(entries).count("output.chunk") == 4


async def test_a_run_is_handed_back_when_its_server_stops_and_goes_on_in_the_next():
    place, first, second = Place(), Counted(), Counted()
    async with serving(first.agent, storage=place.access(), clock=place.clock) as server:
        run = await submitted(server, "counted")
        await first.gate.reached()
    second.gate.open()
    async with serving(second.agent, storage=place.storage, clock=place.clock) as server:
        shown = await server.ended(run)
        entries = await server.entries(run)
    assert (shown["status"], shown["output"]) == ("success", "x: 10 20 30")
    assert second.done == [3]
    (requeued,) = [entry for entry in entries if entry["type"] == "run.requeued"]
    assert requeued["reason"] == "handed_back"


async def test_an_interactive_durable_run_goes_on_after_its_server_was_lost():
    place, lost, found = Place(), Counted(), Counted()
    theirs = place.access()
    async with serving(lost.agent, storage=theirs, clock=place.clock) as server:
        stream = server.begin("x", agent="counted", mode="stream")
        await lost.gate.reached()
        await settle()
        theirs.go_away()
        found.gate.open()
        async with serving(found.agent, storage=place.storage, clock=place.clock) as other:
            await pass_time(place.clock, BOUND)
            (run,) = (await other.client.get("/api/runs")).json()["runs"]
            assert (await other.ended(run["id"]))["output"] == "x: 10 20 30"
        theirs.come_back()
        lost.gate.open()
        await pass_time(place.clock, 2)
        await stream.until_over()
    assert found.done == [3]


async def test_a_run_whose_attempts_get_nowhere_fails():
    @agent("stuck")
    async def stuck(ctx: Context, text: str) -> str:
        del ctx
        await Gate().passed()
        return text

    place = Place()
    run, shown = "", {}
    for number in range(3):
        theirs: FaultyStorage = place.access()
        async with serving(stuck, storage=theirs, clock=place.clock, max_attempts=3) as server:
            if not number:
                run = await submitted(server, "stuck")
            await until(lambda: server.app.runs.under_way == 1)
            await settle()
            theirs.go_away()
            async with serving(storage=place.access(), clock=place.clock, max_attempts=3) as other:
                await pass_time(place.clock, BOUND)
                shown = await other.show(run)
            theirs.come_back()
    assert (shown["status"], shown["reason"]) == ("failure", "attempts_spent")


async def test_without_resuming_a_lost_run_ends():
    place, lost = Place(), Counted()
    theirs = place.access()
    async with (
        serving(lost.agent, storage=theirs, clock=place.clock) as server,
        serving(storage=place.storage, clock=place.clock, resume=False) as other,
    ):
        run = await submitted(server, "counted")
        await lost.gate.reached()
        theirs.go_away()
        await pass_time(place.clock, BOUND)
        shown = await other.show(run)
        theirs.come_back()
        lost.gate.open()
    assert (shown["status"], shown["reason"]) == ("interrupted", "server_lost")


async def test_a_run_that_asks_waits_without_a_worker_and_goes_on_with_the_answer():
    async with serving(asking) as server:
        run = await submitted(server, "asking", "who")
        question = await until_waiting(server, run)
        answered = await server.client.post(
            f"/api/runs/{run}/answers/{question}", {"answer": "Ada"}
        )
        assert answered.status == 200
        shown = await server.ended(run)
        entries = await server.entries(run)
    assert (shown["status"], shown["output"]) == ("success", "who? Ada")
    assert types(entries).count("output.chunk") == 2


async def test_a_light_run_that_asks_becomes_durable_and_its_caller_is_told():
    async with serving(asking) as server:
        got = await server.run("who", agent="asking")
        assert (got.status, got.json()["status"], got.json()["durable"]) == (202, "waiting", True)


async def test_a_question_survives_the_restart_of_everything():
    place = Place()
    async with serving(asking, storage=place.access(), clock=place.clock) as server:
        run = await submitted(server, "asking", "who")
        question = await until_waiting(server, run)
    async with serving(asking, storage=place.storage, clock=place.clock) as server:
        await server.client.post(f"/api/runs/{run}/answers/{question}", {"answer": "Ada"})
        assert (await server.ended(run))["output"] == "who? Ada"


@pytest.mark.parametrize(
    ("asker", "status", "output"), [("choosing", "success", "later"), ("asking", "failure", "x? ")]
)
async def test_a_question_that_nobody_answers_expires(asker: str, status: str, output: str):
    async with serving(asking, choosing) as server:
        run = await submitted(server, asker)
        await until_waiting(server, run)
        await pass_time(server.clock, 62)
        shown = await server.ended(run)
    assert (shown["status"], shown["output"]) == (status, output)


async def test_waiting_and_queued_runs_can_be_cancelled():
    gate = Gate()

    @agent("slow")
    async def slow(ctx: Context, text: str) -> str:
        del ctx
        await gate.passed()
        return text

    async with serving(asking, slow, concurrency=1) as server:
        waiting = await submitted(server, "asking")
        await until_waiting(server, waiting)
        await submitted(server, "slow")
        await gate.reached()
        queued = await submitted(server, "slow")
        for run in (waiting, queued):
            cancelled = await server.client.post(f"/api/runs/{run}/cancel", {})
            assert (cancelled.status, cancelled.json()["reason"]) == (200, "cancelled")
        gate.open()


async def test_the_deadline_of_a_run_counts_while_it_is_queued():
    gate = Gate()

    @agent("slow")
    async def slow(ctx: Context, text: str) -> str:
        del ctx
        await gate.passed()
        return text

    async with serving(slow, concurrency=1) as server:
        await submitted(server, "slow")
        await gate.reached()
        got = await server.run("x", agent="slow", mode="background", deadline_seconds=5)
        await pass_time(server.clock, 8)
        shown = await server.show(got.json()["id"])
        gate.open()
    assert (shown["status"], shown["reason"]) == ("failure", "deadline")


async def test_no_more_runs_are_executed_at_once_than_there_is_room_for():
    under_way: list[int] = []
    gate = Gate()

    @agent("slow")
    async def slow(ctx: Context, text: str) -> str:
        del ctx
        under_way.append(1)
        await gate.passed()
        return text

    async with serving(slow, concurrency=2) as server:
        runs = [await submitted(server, "slow") for _ in range(5)]
        await gate.reached()
        await settle()
        assert len(under_way) == 2
        gate.open()
        for run in runs:
            assert (await server.ended(run))["status"] == "success"


async def test_changed_code_is_an_event_of_the_next_attempt():
    place, first, second = Place(), Counted(), Counted()
    async with serving(first.agent, storage=place.access(), clock=place.clock) as server:
        server.app.runs.started = RunStarted("inline", "somebody", "old code")
        run = await submitted(server, "counted")
        await first.gate.reached()
    second.gate.open()
    async with serving(second.agent, storage=place.storage, clock=place.clock) as server:
        await server.ended(run)
        now = server.app.runs.place.code
        entries = await server.entries(run)
    changed = [entry for entry in entries if entry["type"] == "code.changed"]
    assert [(entry["before"], entry["now"]) for entry in changed] == [("old code", now)]


async def test_a_cancel_that_nobody_rang_for_is_heard_with_the_next_entry():
    place, first, second = Place(), Gate(), Gate()

    @agent("twice")
    async def twice(ctx: Context, text: str) -> AsyncGenerator[str]:
        del ctx
        await first.passed()
        yield text
        await second.passed()

    deaf = FaultyStorage(place.memory, Audience())
    async with serving(twice, storage=deaf, clock=place.clock) as server:
        waiting = server.begin("x", durable=True)
        await first.reached()
        (run,) = await place.memory.list(RunQuery("default"))
        assert run.number is not None
        assert isinstance(await write(place.memory, cancel(run.number, run.last + 1)), Appended)
        first.open()
        await waiting.until_over()
    assert waiting.json()["reason"] == "cancelled"
