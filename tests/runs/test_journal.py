"""What a resumed attempt finds in its log, and what becomes of that which it says otherwise."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import UTC, datetime

import pytest

from forebay import Context, agent, events
from forebay.core.clock import Millis
from forebay.core.codec import Entry
from forebay.core.events import (
    Event,
    JournalDiverged,
    OutputChunk,
    OutputRestarted,
    OutputValue,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RunFailed,
    StepFinished,
    StepRestarted,
    StepStarted,
    ValueDrawn,
)
from forebay.runs.journal import Journal
from forebay.testing.clock import ManualClock
from tests.support.attempts import InMemory, Log


@pytest.fixture
def memory() -> Generator[InMemory]:
    memory = InMemory()
    yield memory
    memory.threads.shutdown()


def crash(log: Log) -> Log:
    """All of it is there but the end."""
    return log.cut(len(log.said) - 1)


def texts(log: Log) -> list[str]:
    return [each.text for each in log.unvoided() if isinstance(each, OutputChunk)]


@agent()
async def words(ctx: Context, text: str) -> AsyncGenerator[str]:
    for word in text.split():
        yield word


# --- what is said outside steps -----------------------------------------------------------------


async def test_what_stands_in_the_log_is_not_said_again(memory: InMemory) -> None:
    log = await memory.attempt(words, value="a b c d")
    resumed = await memory.attempt(words, log.cut(4), value="a b c d")
    assert len(resumed.of(OutputChunk)) == 4
    assert resumed.fold.output == "abcd"


async def test_at_the_first_difference_the_rest_is_void(memory: InMemory) -> None:
    log = await memory.attempt(words, value="a b c d")
    resumed = await memory.attempt(words, crash(log), value="a b x d e")
    assert resumed.of(OutputRestarted) == [OutputRestarted(after=4)]
    assert texts(resumed) == ["a", "b", "x", "d", "e"]
    assert resumed.fold.output == "abxde"
    third = await memory.attempt(words, crash(resumed), value="a b x d f")
    assert texts(third) == ["a", "b", "x", "d", "f"]
    assert third.fold.output == "abxdf"
    same = await memory.attempt(words, crash(third), value="a b x d f")
    assert len(same.of(OutputRestarted)) == 2  # those that stood there already


async def test_an_agent_that_says_something_else_from_the_start_voids_it_all(
    memory: InMemory,
) -> None:
    log = await memory.attempt(words, value="a b")
    resumed = await memory.attempt(words, crash(log), value="x")
    assert resumed.of(OutputRestarted) == [OutputRestarted(after=0)]
    assert texts(resumed) == ["x"]


async def test_what_an_agent_does_not_say_again_is_void_in_the_end(memory: InMemory) -> None:
    log = await memory.attempt(words, value="a b c")
    resumed = await memory.attempt(words, crash(log), value="a")
    assert resumed.of(OutputRestarted) == [OutputRestarted(after=3)]
    assert texts(resumed) == ["a"]
    assert resumed.fold.output == "a"


async def test_a_failing_agent_leaves_what_was_said(memory: InMemory) -> None:
    @agent()
    async def breaks(ctx: Context, text: str) -> AsyncGenerator[str]:
        yield "a"
        raise ValueError

    log = await memory.attempt(words, value="a b")
    resumed = await memory.attempt(breaks, crash(log))
    assert isinstance(resumed.ending, RunFailed)
    assert resumed.fold.output == "ab"


async def test_every_kind_of_emission_is_compared(memory: InMemory) -> None:
    @agent()
    async def says(ctx: Context, text: str) -> AsyncGenerator[object]:
        ctx.emit(events.SourceFound("https://example.org/"))
        yield {"a": [1, text]}
        yield "x" * 100_000  # in several pieces
        ctx.emit(events.OutputWritten("report", "y" * 300_000))  # beside the log
        yield "end"

    log = await memory.attempt(says)
    assert not (await memory.attempt(says, crash(log))).of(OutputRestarted)
    again = await memory.attempt(says, crash(log))
    assert again.unvoided() == log.unvoided()
    other = await memory.attempt(says, crash(log), value="other")
    assert other.of(OutputRestarted) == [OutputRestarted(after=3)]


async def test_a_large_value_that_differs_is_another(memory: InMemory) -> None:
    @agent()
    async def says(ctx: Context, text: str) -> AsyncGenerator[object]:
        yield ["x" * 300_000 + text]

    log = await memory.attempt(says)
    resumed = await memory.attempt(says, crash(log), value="y")
    assert resumed.of(OutputRestarted) == [OutputRestarted(after=0)]
    assert resumed.fold.output == ["x" * 300_000 + "y"]
    assert isinstance(resumed.of(OutputValue)[-1], OutputValue)


async def test_branches_with_scopes_are_compared_each_by_itself(memory: InMemory) -> None:
    order: list[list[str]] = [["a", "b"], ["b", "a"]]

    @agent()
    async def branches(ctx: Context, text: str) -> None:
        turns = {"a": asyncio.Event(), "b": asyncio.Event()}

        async def branch(name: str) -> None:
            with ctx.scope(name):
                for word in "x", "y":
                    await turns[name].wait()
                    ctx.say(word)

        async def conduct() -> None:
            for name in order[memory.attempts - 1]:
                turns[name].set()
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        await asyncio.gather(branch("a"), branch("b"), conduct())

    log = await memory.attempt(branches)
    assert [each.within for each in log.unvoided()] == [".a", ".a", ".b", ".b"]
    resumed = await memory.attempt(branches, crash(log))
    assert not resumed.of(OutputRestarted)
    assert resumed.unvoided() == log.unvoided()


async def test_a_scope_is_left_however_its_generator_ends(memory: InMemory) -> None:
    @agent()
    async def says(ctx: Context, text: str) -> AsyncGenerator[str]:
        async def inner() -> AsyncGenerator[str]:
            with ctx.scope("inner"):
                yield "in"
                yield "never"

        pieces = inner()
        yield await anext(pieces)
        closing = pieces.aclose()
        await (asyncio.create_task(_wait_for(closing)) if text else closing)
        yield "out"

    for text, outside in ("", None), ("in another task", ".inner"):
        log = await memory.attempt(says, value=text)
        assert [each.within for each in log.unvoided()] == [".inner", outside]
        resumed = await memory.attempt(says, crash(log), value=text)
        assert resumed.unvoided() == log.unvoided()
        assert not resumed.of(OutputRestarted)


async def _wait_for(closing: Awaitable[None]) -> None:
    await closing


async def test_an_agent_cannot_say_in_whose_name_it_speaks(memory: InMemory) -> None:
    @agent()
    async def pretends(ctx: Context, text: str) -> None:
        ctx.emit(events.SourceCited("https://example.org/", within="somebody"))
        with ctx.scope("s"):
            ctx.emit(events.SourceCited("https://example.org/", within="somebody"))

    log = await memory.attempt(pretends)
    assert [each.within for each in log.unvoided()] == [None, ".s"]


# --- steps that nobody asks for -----------------------------------------------------------------


def steps_of(*names: str, nested: bool = False) -> Callable[..., object]:
    @agent()
    async def steps(ctx: Context, text: str) -> None:
        async def body(name: str) -> None:
            ctx.say(name)

        async def all_of_them() -> None:
            for name in names:
                await ctx.step(name, body, name)

        await (ctx.step("outer", all_of_them) if nested else all_of_them())

    return steps


async def test_a_result_that_nobody_asks_for_is_told(memory: InMemory) -> None:
    log = await memory.attempt(steps_of("a", "b", "c"))
    _, b, c = log.finished()
    resumed = await memory.attempt(steps_of("a", "d"), crash(log))
    assert resumed.of(JournalDiverged) == [JournalDiverged([b, c])]
    assert texts(resumed) == ["a", "d"]
    assert resumed.fold.output == "ad"


async def test_it_is_told_once(memory: InMemory) -> None:
    log = await memory.attempt(steps_of("a", "b"))
    resumed = await memory.attempt(steps_of("a"), crash(log))
    assert len(resumed.of(JournalDiverged)) == 1
    again = await memory.attempt(steps_of("a"), crash(resumed))
    assert len(again.of(JournalDiverged)) == 1
    assert len(again.of(OutputRestarted)) == 1
    back = await memory.attempt(steps_of("a", "b"), crash(resumed))
    assert len(back.of(StepStarted)) == 2  # what has its result is not done again even now


async def test_a_result_inside_a_step_that_nobody_asks_for_is_told(memory: InMemory) -> None:
    log = await memory.attempt(steps_of("a", "b", nested=True))
    _, b, outer = log.finished()
    assert isinstance(log.events[-2], StepFinished) and log.events[-2].step == outer
    resumed = await memory.attempt(steps_of("a", nested=True), log.cut(len(log.said) - 2))
    assert resumed.of(JournalDiverged) == [JournalDiverged([b])]
    assert texts(resumed) == ["a"]


async def test_a_step_under_way_that_nobody_asks_for_says_nothing(memory: InMemory) -> None:
    log = await memory.attempt(steps_of("a", "b"))
    cut = log.cut(len(log.said) - 2)  # b has said something, and has no result
    resumed = await memory.attempt(steps_of("a"), cut)
    assert not resumed.of(JournalDiverged)
    assert texts(resumed) == ["a"]


async def test_what_is_inside_a_step_with_its_result_is_not_missed(memory: InMemory) -> None:
    log = await memory.attempt(steps_of("a", "b", nested=True))
    resumed = await memory.attempt(steps_of("a", nested=True), crash(log))
    assert not resumed.of(JournalDiverged, OutputRestarted)
    assert texts(resumed) == ["a", "b"]


async def test_large_values_of_a_step_inside_are_said_again_whole(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def inner() -> None:
            ctx.emit(events.FileWritten("a", "x" * 300_000))
            for number in range(100):
                ctx.say(str(number))

        async def outer() -> None:
            ctx.say("first ")
            await ctx.step("inner", inner)

        await ctx.step("outer", outer)

    log = await memory.attempt(one)
    resumed = await memory.attempt(one, log.cut(len(log.said) - 2))
    assert len(resumed.of(StepRestarted)) == 1
    assert resumed.unvoided() == log.unvoided()
    assert resumed.fold.output == log.fold.output


# --- what is drawn ------------------------------------------------------------------------------


async def test_what_was_drawn_is_the_same_in_every_attempt(memory: InMemory) -> None:
    drawn: list[list[object]] = []

    @agent()
    async def draws(ctx: Context, text: str) -> None:
        values: list[object] = []

        async def body() -> None:
            values.append(ctx.random())

        with ctx.scope("s"):
            values += [ctx.uuid(), ctx.random()]
        values += [ctx.now(), ctx.uuid(), ctx.uuid(), ctx.random(), ctx.random()]
        await ctx.step("body", body)
        drawn.append(values)

    log = await memory.attempt(draws)
    clock = memory.clock
    assert isinstance(clock, ManualClock)
    clock.advance(60)
    resumed = await memory.attempt(draws, log.cut(len(log.said) - 2))
    first, second = drawn
    assert first == second
    assert len(set(map(str, first))) == 8
    assert first[2] == datetime(2026, 1, 1, tzinfo=UTC)
    assert len(resumed.of(ValueDrawn)) == 8
    assert {each.kind for each in log.of(ValueDrawn) if isinstance(each, ValueDrawn)} == {
        "now", "uuid", "random",
    }  # fmt: skip


async def test_another_try_of_a_step_draws_the_same(memory: InMemory) -> None:
    drawn: list[float] = []

    @agent()
    async def draws(ctx: Context, text: str) -> None:
        async def body() -> None:
            drawn.append(ctx.random())
            if len(drawn) == 1:
                raise OSError

        await ctx.step("body", body, retries=1, backoff_seconds=0)

    log = await memory.attempt(draws)
    assert drawn[0] == drawn[1]
    assert len(log.of(ValueDrawn)) == 1


# --- the journal alone --------------------------------------------------------------------------


def journal_of(*log: Event) -> Journal:
    journal = Journal()
    for number, event in enumerate(log, 1):
        journal.add(Entry(number, 1, Millis(0), event=event))
    return journal


def test_an_empty_journal_knows_nothing_and_leaves_nothing():
    journal = journal_of()
    assert not journal.repeats
    assert journal.recall("s") is None
    assert journal.drawn("s") is None
    assert journal.asked("q") is None
    assert journal.answer("q") is None
    assert journal.leftovers() == []


def test_what_was_voided_is_not_compared():
    journal = journal_of(
        OutputChunk("a"),
        OutputChunk("b"),
        OutputChunk("in s", within=".s"),
        OutputRestarted(1),
        OutputChunk("c"),
    )
    assert journal.repeat(OutputChunk("a")) is True
    assert journal.repeat(OutputChunk("c")) is True
    assert journal.repeat(OutputChunk("d")) is False
    assert journal.repeat(OutputChunk("x", within=".s")) == OutputRestarted(0, ".s")
    assert not journal.repeats
    assert journal.leftovers() == []


def test_text_that_looks_like_a_scope_is_text():
    journal = journal_of(
        OutputChunk('{"within":"s"}'),
        OutputValue({"within": ".x"}),
        OutputValue([{"within": 1}]),
    )
    assert journal.repeat(OutputChunk('{"within":"s"}')) is True
    assert journal.repeat(OutputValue({"within": ".x"})) is True
    assert journal.repeat(OutputValue([{"within": 1}])) is True
    assert journal.leftovers() == []


def test_the_first_outcome_of_a_question_counts():
    asked = QuestionAsked("q", events.Prompt("Really?"))
    journal = journal_of(asked, QuestionExpired("q"), QuestionAnswered("q", "late", "ada"))
    assert journal.asked("q") == asked
    assert journal.answer("q") == QuestionExpired("q")


def test_steps_and_tokens_are_counted_over_all_attempts_once():
    journal = journal_of(
        StepStarted("a", "a"),
        StepStarted("b", "b", within="a"),
        events.ModelFinished(call="b", usage=events.Usage(1, 2), within="b"),
        StepFinished("b"),
        StepRestarted("a"),
        StepStarted("a", "a", tries=2),
        events.ModelFinished(call="b", usage=events.Usage(1, 2), within="b"),  # said again
        events.ModelFinished(call="x", usage=events.Usage(4, 0), within="a.scope"),
        events.ModelFinished(call="y", usage=events.Usage(0, 8)),
        events.ModelFinished(call="z"),
    )
    assert journal.steps == 2
    assert journal.tokens == 15


def test_the_journal_of_a_long_run_keeps_no_more_than_it_needs():
    journal = journal_of(
        StepStarted("a", "a"),
        StepStarted("b", "b", within="a"),
        OutputChunk("x" * 10_000, within="b"),
        StepFinished("b", "y" * 10_000),
        StepFinished("a"),
    )
    assert journal.recall("b") is None
    record = journal.recall("a")
    assert record is not None
    assert sum(len(data) for _, data in record.said) == 0
    assert journal.leftovers() == []


def test_what_a_finished_step_left_running_says_is_not_taken_for_the_agents_own():
    journal = journal_of(
        StepStarted("a", "a"),
        StepFinished("a"),
        OutputChunk("late", within="a"),
        OutputChunk("later", within="a.scope"),
    )
    assert not journal.repeats


@pytest.mark.parametrize(
    "late",
    [
        StepFinished("b"),
        events.StepFailed("b", "E", "m"),
        events.StepFailed("b", "E", "m", final=False),
        StepRestarted("b"),
        JournalDiverged(["b"]),
        StepStarted("c", "c", within="b"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_step_may_outlive_the_step_around_it(late: Event):
    journal = journal_of(
        StepStarted("a", "a"), StepStarted("b", "b", within="a"), StepFinished("a"), late
    )
    record = journal.recall("a")
    assert record is not None and record.has_outcome
    journal.remember(late)


@pytest.mark.parametrize("kind", ["finished", "failed"])
def test_a_journal_takes_the_end_of_a_step_that_was_begun_twice(kind: str):
    end: Event = StepFinished("a", 1) if kind == "finished" else events.StepFailed("a", "E", "m")
    journal = journal_of(
        StepStarted("a", "a", "digest"), StepRestarted("a"), StepStarted("a", "a", tries=2), end
    )
    record = journal.recall("a")
    assert record is not None and record.has_outcome
    assert (record.tries, record.arguments) == (2, "digest")
