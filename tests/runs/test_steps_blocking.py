"""Agents in threads: the same journal, and everything blocks."""

import asyncio
import threading
from collections.abc import Generator

import pytest

from forebay import BlockingContext, StepFailed, agent
from forebay.core import events
from forebay.core.errors import RunFinished
from forebay.core.events import (
    OutputChunk,
    OutputRestarted,
    QuestionAsked,
    RunFailed,
    RunInterrupted,
    RunRequeued,
    RunSucceeded,
    StepFinished,
    StepRestarted,
    StepStarted,
)
from forebay.runs.attempt import Attempt
from tests.support.attempts import UUID, InMemory
from tests.support.waiting import settle, until


@pytest.fixture
def memory() -> Generator[InMemory]:
    memory = InMemory()
    yield memory
    memory.threads.shutdown()


async def test_a_blocking_agent_is_resumed_wherever_it_was(memory: InMemory) -> None:
    drawn: list[object] = []
    executed: list[str] = []
    threads: set[int] = set()

    @agent()
    def everything(ctx: BlockingContext, text: str) -> Generator[str]:
        threads.add(threading.get_ident())

        def inner() -> int:
            ctx.say("inner ")
            executed.append(ctx.idempotency_key)
            return 1

        def outer() -> int:
            assert threading.get_ident() in threads
            ctx.say("outer ")
            return ctx.step("inner", inner) + 1

        yield "begin "
        yield f"{ctx.step('outer', outer, returns=int)} "
        with ctx.scope("s"):
            yield "in scope "
        drawn.append((ctx.now(), ctx.uuid(), ctx.random()))
        ctx.tool("look", len, "abc")
        ctx.model("small", lambda: {"usage": {"input_tokens": 1}})
        yield str(ctx.ask("Really?", kind="binary_choice", options=["yes", "no"]))

    log = await memory.attempt(everything)
    assert log.fold.output == "begin outer inner 2 in scope yes"
    assert executed[0].startswith(f"{UUID}:")
    for length in range(2, len(log.said)):
        before = log.cut(length)
        done = set(before.finished())
        executed.clear()
        resumed = await memory.attempt(everything, before)
        assert isinstance(resumed.ending, RunSucceeded), (length, resumed.ending)
        assert resumed.unvoided() == log.unvoided(), length
        assert resumed.fold.output == log.fold.output
        assert not done & {key.rpartition(":")[2] for key in executed}
        assert not resumed.of(OutputRestarted)
    assert drawn[-1] == drawn[0]


async def test_its_steps_have_more_tries_and_fail_in_the_end(memory: InMemory) -> None:
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("away")
        return "there"

    def broken() -> None:
        raise OSError("away")

    @agent()
    def one(ctx: BlockingContext, text: str) -> str:
        said = ctx.step("fetch", flaky, retries=2, backoff_seconds=0)
        with pytest.raises(StepFailed) as raised:
            ctx.step("break", broken)
        assert isinstance(raised.value.__cause__, OSError)
        return said

    log = await memory.attempt(one)
    assert log.fold.output == "there"
    assert len(log.of(StepRestarted)) == 2


async def test_its_steps_can_take_too_long(memory: InMemory) -> None:
    stop = threading.Event()
    late: list[BaseException] = []

    @agent()
    def one(ctx: BlockingContext, text: str) -> None:
        def slow() -> None:
            stop.wait(5)
            try:
                ctx.say("late")
            except RunFinished as error:
                late.append(error)

        try:
            ctx.step("wait", slow, timeout_seconds=0.01)
        finally:
            stop.set()
        ctx.say("never")

    log = await memory.attempt(one)
    assert isinstance(log.ending, RunFailed)
    assert log.ending.message == "It took longer than 0.01 s."
    await until(lambda: bool(late))
    assert not log.of(OutputChunk)

    @agent()
    def two(ctx: BlockingContext, text: str) -> str:
        with pytest.raises(StepFailed) as raised:
            ctx.step("raise", _time_out, timeout_seconds=5)
        assert raised.value.message == "its own"
        return ctx.step("quick", str, "in time", timeout_seconds=5)

    assert (await memory.attempt(two)).fold.output == "in time"


def _time_out() -> None:
    raise TimeoutError("its own")


async def test_its_steps_are_plain_functions(memory: InMemory) -> None:
    async def later() -> None: ...

    @agent()
    def one(ctx: BlockingContext, text: str) -> None:
        ctx.step("later", later)

    log = await memory.attempt(one)
    assert isinstance(log.ending, RunFailed) and log.ending.error == "TypeError"
    assert not log.of(StepStarted)


async def test_a_cancelled_one_is_let_go_where_it_waits_for_the_loop(memory: InMemory) -> None:
    raised: list[BaseException] = []

    @agent()
    def one(ctx: BlockingContext, text: str) -> None:
        try:
            ctx.step("fetch", _time_out, retries=1, backoff_seconds=1000)
        except RunFinished as error:
            raised.append(error)
            raise
        ctx.say("never")

    running = asyncio.create_task(memory.attempt(one))
    attempt = await _attempt_of(memory)
    await until(lambda: any(isinstance(e, StepRestarted) for e in _said(memory)))
    await settle()
    attempt.interrupt(RunInterrupted("cancelled", "by ada"))
    log = await running
    assert isinstance(log.ending, RunInterrupted)
    assert len(raised) == 1


async def test_what_a_step_has_done_when_it_is_handed_back_is_kept(memory: InMemory) -> None:
    begun, stop = threading.Event(), threading.Event()
    calls: list[int] = []

    def pay() -> str:
        calls.append(1)
        begun.set()
        assert stop.wait(5)
        return "receipt"

    @agent()
    def one(ctx: BlockingContext, text: str) -> str:
        receipt = ctx.step("pay", pay)
        ctx.say("paid ")
        return receipt

    running = asyncio.create_task(memory.attempt(one))
    attempt = await _attempt_of(memory)
    await until(begun.is_set)
    attempt.interrupt(RunRequeued("handed_back", "stopping"))
    await settle()
    stop.set()
    log = await running
    assert len(log.of(StepFinished)) == 1
    assert not log.of(OutputChunk)
    resumed = await memory.attempt(one, log.cut(len(log.said) - 1))
    assert resumed.fold.output == "paid receipt"
    assert len(calls) == 1


async def test_threads_of_its_own_may_ask_for_steps_at_once(memory: InMemory) -> None:
    results: list[int] = []

    @agent()
    def one(ctx: BlockingContext, text: str) -> None:
        def work() -> None:
            results.extend(ctx.step("count", int, "1") for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    log = await memory.attempt(one)
    assert results == [1] * 80
    assert len(log.finished()) == 80


async def test_it_asks_and_a_step_around_it_is_not_in_flight(memory: InMemory) -> None:
    in_flight: list[int] = []

    def answer(prompt: events.Prompt) -> str:
        assert memory.last is not None
        in_flight.append(memory.last.steps_in_flight)
        return prompt.text

    memory.answer = answer

    @agent()
    def one(ctx: BlockingContext, text: str) -> str:
        return str(ctx.step("ask", ctx.ask, "Name?"))

    log = await memory.attempt(one)
    assert log.fold.output == "Name?"
    assert in_flight == [0]
    assert len(log.of(QuestionAsked)) == 1


async def _attempt_of(memory: InMemory) -> Attempt:
    await until(lambda: memory.last is not None)
    assert memory.last is not None
    return memory.last


def _said(memory: InMemory) -> list[events.Event]:
    assert memory.last is not None
    return [said.event for said in getattr(memory.last.recorder, "log", [])]
