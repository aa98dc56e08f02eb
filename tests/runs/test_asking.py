"""Asking people: once, whatever the attempt, and only what can be answered."""

import asyncio
from collections.abc import Generator

import pytest

from forebay import Context, Option, Prompt, QuestionTimedOut, agent
from forebay.core.clock import Millis
from forebay.core.codec import Entry
from forebay.core.errors import InvalidPrompt
from forebay.core.events import (
    OutputChunk,
    QuestionAnswered,
    QuestionAsked,
    RunFailed,
    StepFailed,
    StepRestarted,
)
from forebay.core.json import Json
from forebay.runs.recorder import LightRecorder
from tests.support.attempts import InMemory, Log
from tests.support.waiting import Gate, settle


@pytest.fixture
def memory() -> Generator[InMemory]:
    memory = InMemory()
    yield memory
    memory.threads.shutdown()


def asked_in(log: Log) -> list[QuestionAsked]:
    return [event for event in log.events if isinstance(event, QuestionAsked)]


async def test_a_question_is_asked_once_and_its_answer_counts_in_every_attempt(
    memory: InMemory,
) -> None:
    prompts: list[Prompt] = []

    def answer(prompt: Prompt) -> Json:
        prompts.append(prompt)
        return f"{prompt.text} yes"

    memory.answer = answer

    @agent()
    async def one(ctx: Context, text: str) -> None:
        for name in "a", "b", "b":
            ctx.say(f"{await ctx.ask(name)} ")

    log = await memory.attempt(one)
    assert len(prompts) == 3
    for length in range(2, len(log.said)):
        resumed = await memory.attempt(one, log.cut(length))
        assert len(asked_in(resumed)) == len(resumed.of(QuestionAnswered)) == 3, length
        assert resumed.fold.output == "a yes b yes b yes "
        assert not resumed.fold.questions


async def test_a_prompt_is_made_of_what_is_given(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.ask("Name?", placeholder="Ada", required=False)
        await ctx.ask(
            "Go?",
            kind="binary_choice",
            options=["yes", {"id": "n", "label": "No", "value": "no"}],
            timeout_seconds=2.5,
            default="n",
        )
        await ctx.ask(Prompt("Ready?"))

    log = await memory.attempt(one)
    assert [asked.prompt for asked in asked_in(log)] == [
        Prompt("Name?", placeholder="Ada", required=False),
        Prompt(
            "Go?",
            "binary_choice",
            (Option("yes", "yes", "yes"), Option("n", "No", "no")),
            timeout_seconds=2.5,
            default="n",
        ),
        Prompt("Ready?"),
    ]
    now = memory.clock.now()
    assert [asked.due for asked in asked_in(log)] == [None, now + 2500, None]


async def test_an_option_that_is_none_is_refused(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        with pytest.raises(InvalidPrompt, match="label"):
            await ctx.ask("Go?", kind="radio", options=[{"id": "n"}])

    log = await memory.attempt(one)
    assert asked_in(log) == []


async def test_when_nobody_answers_the_default_counts_or_it_fails(memory: InMemory) -> None:
    memory.answer = lambda prompt: None
    got: list[Json] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        options = [Option("1", "Red", "red")]
        got.append(await ctx.ask("x", timeout_seconds=1, default="later"))
        got.append(await ctx.ask("x", kind="checkbox", options=options, default="1"))
        with pytest.raises(QuestionTimedOut, match="Sure"):
            await ctx.ask("Sure?", timeout_seconds=1)

    log = await memory.attempt(one)
    assert not isinstance(log.ending, RunFailed)
    await memory.attempt(one, log.cut(len(log.said) - 1))
    assert got == ["later", ["red"]] * 2


async def test_a_notification_waits_for_nobody(memory: InMemory) -> None:
    memory.answer = lambda prompt: pytest.fail("nobody answers a notification")

    @agent()
    async def one(ctx: Context, text: str) -> None:
        assert await ctx.ask("Look!", kind="notification") is None

    log = await memory.attempt(one)
    assert len(asked_in(log)) == 1
    assert not log.fold.questions
    resumed = await memory.attempt(one, log.cut(len(log.said) - 1))
    assert len(asked_in(resumed)) == 1


async def test_what_nobody_can_answer_is_not_asked(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        with pytest.raises(InvalidPrompt):
            await ctx.ask("Go?", kind="binary_choice", options=["yes"])

    log = await memory.attempt(one)
    assert not isinstance(log.ending, RunFailed), log.ending
    assert not asked_in(log)


async def test_an_answer_that_comes_before_the_agent_has_come_to_its_question_counts(
    memory: InMemory,
) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        ctx.say(str(await ctx.ask("Go?")))

    log = await memory.attempt(one)
    (asked,) = asked_in(log)
    memory.answer = lambda prompt: pytest.fail("it is answered")
    attempt = memory.prepare(one, log.cut(log.events.index(asked) + 1))
    answered = QuestionAnswered(asked.question, "heard", "ada")
    attempt.hear([Entry(9, 0, Millis(0), event=answered)])
    await memory.execution(attempt)
    assert isinstance(attempt.recorder, LightRecorder)
    assert attempt.recorder.log[-1].event == OutputChunk("heard")


# --- in steps -----------------------------------------------------------------------------------


async def test_another_try_of_a_step_asks_nobody_again(memory: InMemory) -> None:
    answers = iter(["yes"])
    memory.answer = lambda prompt: next(answers)
    tries: list[Json] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def body() -> None:
            tries.append(await ctx.ask("Go?"))
            if len(tries) == 1:
                raise OSError

        await ctx.step("body", body, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    assert tries == ["yes", "yes"]
    assert len(asked_in(log)) == 1
    assert len(log.of(StepRestarted)) == 1


async def test_a_step_that_waits_for_an_answer_is_not_in_flight(memory: InMemory) -> None:
    gate = Gate()
    in_flight: list[int] = []

    def look(prompt: Prompt) -> Json:
        assert memory.last is not None
        in_flight.append(memory.last.steps_in_flight)
        return "yes"

    memory.answer = look

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def inner() -> None:
            await ctx.ask("inside?")

        async def outer() -> None:
            await asyncio.gather(ctx.step("inner", inner), ctx.ask("beside?"))

        await ctx.ask("alone?")
        await ctx.step("outer", outer)
        working = asyncio.create_task(ctx.step("work", gate.passed))
        await gate.reached()
        await ctx.step("outer", outer)
        gate.open()
        await working

    log = await memory.attempt(one)
    assert not isinstance(log.ending, RunFailed)
    assert in_flight == [0, 0, 0, 1, 1]
    assert memory.last is not None and memory.last.steps_in_flight == 0


async def test_a_step_that_asks_two_people_is_in_flight_when_both_have_answered(
    memory: InMemory,
) -> None:
    gate, working = Gate(), Gate()

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def body() -> None:
            await asyncio.gather(ctx.ask("a"), ctx.ask("b"))
            await working.passed()

        await ctx.step("body", body)

    attempt = memory.prepare(one)
    attempt.thinks = gate.passed
    running = asyncio.create_task(memory.execution(attempt))
    await gate.reached()
    await settle()
    assert attempt.steps_in_flight == 0
    gate.open()
    await working.reached()
    assert attempt.steps_in_flight == 1
    working.open()
    await running
    assert attempt.steps_in_flight == 0


async def test_a_step_that_is_given_up_while_it_asks_is_counted_right(memory: InMemory) -> None:
    gate = Gate()

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def body() -> None:
            await ctx.ask("Go?")

        await ctx.step("body", body, timeout_seconds=0.01)

    attempt = memory.prepare(one)
    attempt.thinks = gate.passed
    ending = await memory.execution(attempt)
    await settle()
    assert isinstance(ending, RunFailed) and ending.error == "StepFailed"
    assert attempt.steps_in_flight == 0
    assert isinstance(attempt.recorder, LightRecorder)
    kinds = [type(said.event) for said in attempt.recorder.log]
    assert kinds[-2:] == [QuestionAsked, StepFailed]
