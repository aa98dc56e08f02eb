"""A run that ends from outside ends its workflow, wherever that is, and leaves the rest built."""

import asyncio
import logging

import pytest

from forebay.core.caller import Caller
from forebay.core.clock import SystemClock
from forebay.core.errors import BacklogFull
from forebay.core.events import Event, RunFailed, RunInterrupted
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.runs.attempt import Attempt
from forebay.runs.recorder import LightRecorder
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.waiting import settle

from . import signals
from .conftest import Asked, Bench, answer_of

CANCELLED = RunInterrupted("cancelled", "cancelled by ada")
WAITS: dict[str, Json] = {"workflow": {"_type": "waits"}}


async def end_when(bench: Bench, attempt: Attempt, reached: asyncio.Event) -> object:
    """Execute an attempt, and end it from outside when the workflow has come so far."""

    async def execute() -> object:
        attempt.task = asyncio.current_task()
        ending = await bench.memory.execution(attempt)
        attempt.is_closing = True
        await asyncio.sleep(0)  # a cancellation too many would be heard here
        return ending

    async with asyncio.timeout(PATIENCE_SECONDS):
        task = asyncio.create_task(execute(), name="the run")
        await reached.wait()
        attempt.interrupt(CANCELLED)
        return await task


@pytest.mark.parametrize("output", ["single", "stream"])
async def test_cancelling_a_run_unwinds_the_workflow_in_its_own_task(bench: Bench, output: str):
    workflow = bench.workflow(WAITS)
    attempt = bench.attempt(workflow, "x", asked=Asked({"nat": {"output": output}}))
    assert await end_when(bench, attempt, signals.reached) == CANCELLED
    assert signals.ended == [f"{output} in the run"]


async def test_what_was_built_stays_for_the_next_run_until_the_workflow_is_closed(bench: Bench):
    workflow = bench.workflow(WAITS)
    for _ in range(2):
        signals.reached.clear()
        await end_when(bench, bench.attempt(workflow, "x"), signals.reached)
    assert signals.opened == ["waits"]
    assert signals.closed == []
    await workflow.aclose()
    assert signals.closed == ["waits"]


class Resting(SystemClock):
    """A clock on which nobody who sleeps wakes up."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.reached.set()
        await asyncio.Event().wait()


async def test_a_stream_that_is_ended_between_two_pieces_is_unwound_at_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    # Every 64 pieces others get their turn: the workflow's generators wait to be asked then.
    workflow = bench.workflow({"workflow": {"_type": "waits", "pieces": 70}})
    attempt = bench.attempt(workflow, "x")
    bench.memory.clock = clock = Resting()
    with caplog.at_level(logging.ERROR, "asyncio"):
        assert await end_when(bench, attempt, clock.reached) == CANCELLED
        ended = list(signals.ended)
        await settle()
    assert ended == ["stream in the run"]
    assert caplog.records == []


async def test_a_budget_that_is_spent_ends_the_workflow(bench: Bench):
    workflow = bench.workflow("main.yml")
    log = await bench.run(workflow, "hello", asked=Asked(grant=Grant(max_tokens=4)))
    assert isinstance(log.ending, RunFailed)
    assert log.ending.reason == "token_budget"
    assert answer_of(log) == ""


class Full(LightRecorder):
    """A log without room."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), 1)
        self.refused = 0

    def record(self, event: Event) -> None:
        self.refused += 1
        raise BacklogFull


async def test_an_event_that_the_log_refuses_ends_the_workflow(bench: Bench):
    attempt = bench.attempt(bench.workflow("main.yml"), "hello")
    attempt.recorder = full = Full()
    attempt.task = asyncio.current_task()
    ending = await bench.memory.execution(attempt)
    assert isinstance(ending, RunFailed)
    assert ending.error == "BacklogFull"
    assert full.refused == 1
    await settle()  # and nobody is cancelled who is not of this run


async def test_a_user_of_a_run_that_was_ended_keeps_what_was_built_for_him(bench: Bench):
    workflow = bench.workflow("peruser.yml")
    asked = Asked(caller=Caller("ada"))
    assert "call=1" in answer_of(await bench.run(workflow, "x", asked=asked))
    attempt = bench.attempt(workflow, "x", asked=asked)
    attempt.interrupt(CANCELLED)
    assert await bench.memory.execution(attempt) == CANCELLED
    assert "call=2" in answer_of(await bench.run(workflow, "x", asked=asked))
