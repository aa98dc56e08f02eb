"""Steps: done once, whatever happens; and what is recorded of them."""

import asyncio
import dataclasses
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from datetime import date
from itertools import pairwise
from typing import cast

import msgspec
import pydantic
import pytest

from forebay import Context, StepFailed, agent
from forebay.core import errors, events
from forebay.core.events import (
    Event,
    OutputChunk,
    RunFailed,
    RunInterrupted,
    RunSucceeded,
    StepFinished,
    StepRestarted,
    StepStarted,
)
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.runs.recorder import LightRecorder
from forebay.testing.clock import ManualClock
from tests.support.attempts import UUID, InMemory, Log
from tests.support.waiting import Gate, settle, until

STEP_EVENTS = (StepStarted, StepFinished, events.StepFailed, StepRestarted)


@pytest.fixture
def memory() -> Generator[InMemory]:
    memory = InMemory()
    yield memory
    memory.threads.shutdown()


def until_event(log: Log, kind: type[Event]) -> int:
    """The length of the log up to the first event of a kind, without it."""
    return next(at for at, event in enumerate(log.events) if isinstance(event, kind))


def failure_of(log: Log) -> RunFailed:
    assert isinstance(log.ending, RunFailed), log.ending
    return log.ending


# --- results ------------------------------------------------------------------------------------


class Model(pydantic.BaseModel):
    on: date


class Other(pydantic.BaseModel):
    name: str


@dataclasses.dataclass
class Plain:
    sizes: tuple[int, ...]
    raw: bytes = b""


class Struct(msgspec.Struct):
    model: Model | None = None


RESULTS: list[tuple[object, object]] = [
    (int, 3),
    (list[Model], [Model(on=date(2026, 1, 2))]),
    (Plain, Plain((1, 2), b"\xff\x00")),
    (Struct, Struct(Model(on=date(2026, 1, 2)))),
    (Model | Other, Other(name="x")),
    (dict[int, str], {1: "a"}),
    (set[str], {"a"}),
]


@pytest.mark.parametrize(("kind", "value"), RESULTS, ids=[str(kind) for kind, _ in RESULTS])
async def test_a_result_is_read_as_the_type_that_is_asked_for(
    memory: InMemory, kind: type[object], value: object
) -> None:
    got: list[object] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        got.append(await ctx.step("make", lambda: value, returns=kind))

    log = await memory.attempt(one)
    await memory.attempt(one, log.cut(len(log.said) - 1))
    assert got == [value, value]


async def test_a_result_is_what_json_makes_of_it_from_the_first_time_on(memory: InMemory) -> None:
    got: list[object] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        got.append(await ctx.step("make", lambda: {"a": (1, date(2026, 1, 2)), 2: float("nan")}))

    log = await memory.attempt(one)
    await memory.attempt(one, log.cut(len(log.said) - 1))
    assert got == [{"a": [1, "2026-01-02"], "2": None}] * 2


async def test_an_agent_that_changes_a_result_does_not_change_the_log(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        result = await ctx.tool("make", lambda: {"a": 1})
        cast(dict[str, int], result)["a"] = 2

    log = await memory.attempt(one)
    assert list(log.finished().values()) == [{"a": 1}]


async def test_a_result_that_is_not_json_fails_its_step_once_and_for_all(memory: InMemory) -> None:
    calls: list[int] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("make", lambda: calls.append(1) or object(), retries=3)

    log = await memory.attempt(one)
    (failed,) = log.of(events.StepFailed)
    assert isinstance(failed, events.StepFailed)
    assert (failed.final, failed.error, len(calls)) == (True, "TypeError", 1)
    assert "'make'" in failed.message and "object" in failed.message


async def test_a_large_result_stands_beside_the_log_and_is_read_again(memory: InMemory) -> None:
    got: list[str] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        got.append(await ctx.step("make", lambda: "x" * 300_000))

    log = await memory.attempt(one)
    (finished,) = log.of(StepFinished)
    assert isinstance(finished, StepFinished) and finished.stored is not None
    await memory.attempt(one, log.cut(len(log.said) - 1))
    assert got == ["x" * 300_000] * 2


# --- names --------------------------------------------------------------------------------------


async def test_branches_under_gather_get_their_own_results_again(memory: InMemory) -> None:
    gates = {"a": Gate(), "b": Gate()}
    got: list[list[Json]] = []
    calls: list[str] = []

    async def fetch(name: str) -> str:
        calls.append(name)
        await gates[name].passed()
        return f"{name}!"

    @agent()
    async def one(ctx: Context, text: str) -> None:
        fetched = await asyncio.gather(*(ctx.step("fetch", fetch, name) for name in text.split()))
        got.append(list(fetched))

    first = asyncio.create_task(memory.attempt(one, value="a b"))
    await gates["b"].reached()
    gates["b"].open()  # the second is ready first
    await settle()
    gates["a"].open()
    log = await first
    await memory.attempt(one, log.cut(len(log.said) - 1), value="b a")
    assert got == [["a!", "b!"], ["b!", "a!"]]
    assert sorted(calls) == ["a", "b"]


async def test_equal_steps_are_told_apart_by_their_order(memory: InMemory) -> None:
    counter = iter(range(100))
    got: list[list[int]] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        got.append([await ctx.step("next", lambda: next(counter)) for _ in range(3)])

    log = await memory.attempt(one)
    cut = log.cut(until_event(log, RunSucceeded) - 2)
    await memory.attempt(one, cut)
    assert got == [[0, 1, 2], [0, 1, 3]]


async def test_a_key_names_a_step_whose_arguments_are_not_json(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        thing = object()

        def is_thing(given: object) -> bool:
            return given is thing

        await ctx.step("use", is_thing, thing, key=text)

    log = await memory.attempt(one, value="k")
    assert list(log.finished().values()) == [True]

    @agent()
    async def other(ctx: Context, text: str) -> None:
        await ctx.step("use", print, object())

    failed = failure_of(await memory.attempt(other))
    assert failed.error == "TypeError"
    assert "'use'" in failed.message and "key=" in failed.message


async def test_a_key_that_was_used_with_other_arguments_is_refused(memory: InMemory) -> None:
    paid: list[int] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("pay", paid.append, len(text), key="order 7")

    log = await memory.attempt(one, value="x")
    again = await memory.attempt(one, log.cut(len(log.said) - 1), value="xx")
    assert failure_of(again).error == "StepArgumentsChanged"
    assert "'pay'" in failure_of(again).message
    assert paid == [1]


async def test_a_key_that_is_used_twice_is_one_step(memory: InMemory) -> None:
    paid: list[int] = []
    gate = Gate()
    got: list[Json] = []

    async def pay(amount: int) -> str:
        paid.append(amount)
        await gate.passed()
        return "receipt"

    @agent()
    async def one(ctx: Context, text: str) -> None:
        got.extend(await asyncio.gather(*(ctx.step("pay", pay, 5, key="k") for _ in range(3))))
        got.append(await ctx.step("pay", pay, 5, key="k"))

    running = asyncio.create_task(memory.attempt(one))
    await gate.reached()
    await settle()
    gate.open()
    log = await running
    assert paid == [5]
    assert got == ["receipt"] * 4
    assert len(log.of(StepStarted)) == 1


async def test_steps_of_other_kinds_names_and_scopes_are_others(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("a", str, key="k")
        await ctx.tool("a", str, key="k")
        await ctx.step("b", str, key="k")
        await ctx.step("a", str)
        await ctx.step("a", str, "k")
        for name in ("s", "s", "t", "s#2", "s.t"):
            with ctx.scope(name):
                await ctx.step("a", str, key="k")

    log = await memory.attempt(one)
    assert len(log.finished()) == 10
    scopes = [event.within for event in log.of(StepStarted) if isinstance(event, StepStarted)]
    assert scopes[5:] == [".s", ".s#2", ".t", ".s%232", ".s%2Et"]


# --- failing ------------------------------------------------------------------------------------


async def test_a_step_that_fails_raises_the_same_in_every_attempt(memory: InMemory) -> None:
    calls: list[int] = []
    raised: list[StepFailed] = []

    def decline() -> None:
        calls.append(1)
        raise LookupError("no funds")

    @agent()
    async def one(ctx: Context, text: str) -> None:
        try:
            await ctx.step("charge", decline)
        except StepFailed as error:
            raised.append(error)
        ctx.say("sorry")

    log = await memory.attempt(one)
    await memory.attempt(one, log.cut(until_event(log, OutputChunk)))
    first, second = raised
    assert len(calls) == 1
    for error in raised:
        assert (error.step, error.error, error.message) == ("charge", "LookupError", "no funds")
    assert isinstance(first.__cause__, LookupError)
    assert second.__cause__ is None


async def test_a_step_has_as_many_more_tries_as_it_is_given(memory: InMemory) -> None:
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("away")
        return "there"

    @agent()
    async def one(ctx: Context, text: str) -> str:
        return await ctx.step("fetch", flaky, retries=2, backoff_seconds=0)

    log = await memory.attempt(one)
    assert [type(event) for event in log.of(*STEP_EVENTS)] == [
        StepStarted, events.StepFailed, StepRestarted,
        StepStarted, events.StepFailed, StepRestarted,
        StepStarted, StepFinished,
    ]  # fmt: skip
    started = [event.tries for event in log.of(StepStarted) if isinstance(event, StepStarted)]
    assert started == [1, 2, 3]
    assert log.fold.output == "there"

    tries[:] = [1] * -3

    async def broken() -> str:
        raise OSError("away")

    @agent()
    async def other(ctx: Context, text: str) -> None:
        await ctx.step("fetch", broken, retries=1, backoff_seconds=0)

    log = await memory.attempt(other)
    finals = [
        each.final for each in log.of(events.StepFailed) if isinstance(each, events.StepFailed)
    ]
    assert finals == [False, True]
    assert failure_of(log).error == "StepFailed"


async def test_pauses_between_tries_grow_on_the_clock_of_the_product(memory: InMemory) -> None:
    clock = memory.clock
    assert isinstance(clock, ManualClock)
    at: list[int] = []

    async def flaky() -> None:
        at.append(clock.now())
        if len(at) < 4:
            raise OSError

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("fetch", flaky, retries=3, backoff_seconds=2.0)

    running = asyncio.create_task(memory.attempt(one))
    while not running.done():
        await settle()
        clock.advance(0.5)
    await running
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses == [2000, 4000, 8000]


async def test_a_crash_uses_up_no_try_and_failures_of_all_attempts_count(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def body() -> None:
            raise OSError("away")

        await ctx.step("fetch", body, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    begun = log.cut(until_event(log, events.StepFailed))
    for _ in range(3):  # crashes in the first try
        resumed = await memory.attempt(one, begun)
        failed = resumed.of(events.StepFailed)
        assert len(failed) == 2
        begun = resumed.cut(until_event(resumed, events.StepFailed))
    tried = log.cut(until_event(log, events.StepFailed) + 1)
    resumed = await memory.attempt(one, tried)
    assert len(resumed.of(events.StepFailed)) == 2
    assert len(resumed.of(StepStarted)) == 2


async def test_a_step_that_takes_too_long_has_failed(memory: InMemory) -> None:
    given_up: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(True)
            raise

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("wait", slow, timeout_seconds=0.01, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    failed = log.of(events.StepFailed)
    assert [
        (each.error, each.message) for each in failed if isinstance(each, events.StepFailed)
    ] == [("TimeoutError", "It took longer than 0.01 s.")] * 2
    assert given_up == [True, True]
    assert failure_of(log).message == "It took longer than 0.01 s."


async def test_a_time_out_of_its_own_is_told_as_it_is(memory: InMemory) -> None:
    async def raises() -> None:
        raise TimeoutError("its own")

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("wait", raises, timeout_seconds=60)

    assert failure_of(await memory.attempt(one)).message == "its own"


async def test_a_step_that_is_cancelled_has_not_failed(memory: InMemory) -> None:
    gate = Gate()

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("wait", gate.passed, retries=3)

    running = asyncio.create_task(memory.attempt(one))
    await gate.reached()
    assert memory.last is not None
    assert memory.last.steps_in_flight == 1
    memory.last.interrupt(RunInterrupted("cancelled", "by ada"))
    log = await running
    assert isinstance(log.ending, RunInterrupted)
    assert [type(event) for event in log.of(*STEP_EVENTS)] == [StepStarted]


async def test_what_is_raised_instead_of_a_cancellation_is_no_failure_either(
    memory: InMemory,
) -> None:
    gate = Gate()

    async def converts() -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            raise OSError("connection closed") from None

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("wait", converts, retries=3)

    running = asyncio.create_task(memory.attempt(one))
    await gate.reached()
    assert memory.last is not None
    memory.last.interrupt(RunInterrupted("cancelled", "by ada"))
    log = await running
    assert isinstance(log.ending, RunInterrupted)
    assert not log.of(events.StepFailed)


async def test_a_failed_step_inside_a_step_has_another_chance_with_it(memory: InMemory) -> None:
    tries: list[int] = []
    paid: list[str] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("away")
        return "there"

    @agent()
    async def one(ctx: Context, text: str) -> str:
        async def pay() -> str:
            ctx.say("paying ")
            paid.append("once")
            return "paid"

        async def inner() -> str:
            await ctx.step("pay", pay)
            return await flaky()

        async def outer() -> str:
            ctx.say("outer ")
            return await ctx.step("inner", inner)

        return await ctx.step("outer", outer, retries=2, backoff_seconds=0)

    log = await memory.attempt(one)
    assert log.fold.output == "outer paying there"
    assert (len(tries), paid) == (3, ["once"])
    assert len(log.finished()) == 3


async def test_failed_steps_at_any_depth_have_another_chance(memory: InMemory) -> None:
    tries: list[int] = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError
        return "there"

    @agent()
    async def one(ctx: Context, text: str) -> str:
        async def middle() -> str:
            return await ctx.step("inner", flaky)

        async def outer() -> str:
            return await ctx.step("middle", middle)

        return await ctx.step("outer", outer, retries=2, backoff_seconds=0)

    log = await memory.attempt(one)
    assert log.fold.output == "there"
    assert len(log.of(StepStarted)) == 9


async def test_two_who_ask_for_what_is_said_again_hear_it_once(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def inner() -> None:
            ctx.emit(events.FileWritten("a", "x" * 300_000))
            ctx.say("inner ")

        async def outer() -> None:
            await asyncio.gather(*(ctx.step("inner", inner, key="k") for _ in range(2)))

        await ctx.step("outer", outer)

    log = await memory.attempt(one)
    resumed = await memory.attempt(one, log.cut(len(log.said) - 2))
    assert resumed.unvoided() == log.unvoided()


async def test_what_a_failed_try_inside_has_said_is_not_said_again(memory: InMemory) -> None:
    tries: Counter[str] = Counter()

    def fails_once(name: str) -> None:
        tries[name] += 1
        if tries[name] == 1:
            raise OSError

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def inner() -> None:
            ctx.say(f"inner {tries['inner']} ")
            fails_once("inner")

        async def middle() -> None:
            ctx.say("middle ")
            await ctx.step("inner", inner, retries=1, backoff_seconds=0)

        async def outer() -> None:
            await ctx.step("middle", middle)
            fails_once("outer")

        await ctx.step("outer", outer, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    assert log.fold.output == "middle inner 1 "
    assert tries == {"inner": 2, "outer": 2}


async def test_what_still_runs_of_a_try_that_was_given_up_is_not_listened_to(
    memory: InMemory,
) -> None:
    gate = Gate()
    late: list[BaseException] = []
    tasks: list[asyncio.Task[None]] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def lingers() -> None:
            await gate.passed()
            try:
                ctx.say("late")
            except errors.RunFinished as error:
                late.append(error)
            try:
                await ctx.step("late", str)
            except errors.RunFinished as error:
                late.append(error)

        async def body() -> str:
            if not tasks:
                tasks.append(asyncio.create_task(lingers()))
                await gate.reached()
                raise OSError
            gate.open()
            await tasks[0]
            ctx.say("said")
            return ""

        await ctx.step("work", body, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    assert log.fold.output == "said"
    assert len(late) == 2


async def test_another_try_does_not_wait_for_what_is_left_of_the_one_before(
    memory: InMemory,
) -> None:
    left: list[Gate] = []

    @agent()
    async def one(ctx: Context, text: str) -> str:
        async def inner() -> str:
            if left:
                return "done"
            left.append(Gate())
            await left[0].passed()
            return "late"

        async def beside() -> None:
            if len(left) == 1:
                await left[0].reached()
                left.append(Gate())
                raise OSError

        async def body() -> Json:
            return list(await asyncio.gather(ctx.step("inner", inner), beside()))

        said = await ctx.step("work", body, retries=1, backoff_seconds=0)
        left[0].open()
        await settle()
        return str(said)

    log = await memory.attempt(one)
    assert log.fold.output == "['done', None]"
    assert len(log.finished()) == 2


async def test_a_step_takes_its_arguments_by_whatever_name(memory: InMemory) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> str:
        def greet(name: str, fn: str) -> str:
            return f"{fn} {name}"

        return await ctx.step("greet", greet, name="Ada", fn="hello")

    assert (await memory.attempt(one)).fold.output == "hello Ada"


async def test_an_agent_that_was_asked_to_end_begins_no_step(memory: InMemory) -> None:
    gate = Gate()
    raised: list[BaseException] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            for call in ctx.step("tidy up", str), ctx.ask("Really?"):
                with pytest.raises(errors.RunFinished) as refused:
                    await call
                raised.append(refused.value)

    running = asyncio.create_task(memory.attempt(one))
    await gate.reached()
    assert memory.last is not None
    memory.last.interrupt(RunInterrupted("cancelled", "by ada"))
    log = await running
    assert isinstance(log.ending, RunInterrupted)
    assert len(raised) == 2
    assert not log.of(StepStarted)


async def test_a_step_that_outlives_its_agent_is_not_recorded(memory: InMemory) -> None:
    gate = Gate()
    tasks: list[asyncio.Task[None]] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        tasks.append(asyncio.create_task(ctx.step("late", gate.passed)))
        await gate.reached()

    attempt = memory.prepare(one)
    await memory.execution(attempt)
    attempt.is_closing = True
    gate.open()
    with pytest.raises(errors.RunFinished):
        await tasks[0]
    assert isinstance(attempt.recorder, LightRecorder)
    assert isinstance(attempt.recorder.log[-1].event, StepStarted)


# --- its place in the log -----------------------------------------------------------------------


async def test_a_step_starts_when_it_is_committed_that_it_does(memory: InMemory) -> None:
    begun: list[bool] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("work", begun.append, True)

    attempt = memory.prepare(one)
    gate = Gate()
    attempt.commit = gate.passed
    running = asyncio.create_task(memory.execution(attempt))
    await gate.reached()
    await settle()
    assert not begun
    gate.open()
    await running
    assert begun


async def test_a_step_does_not_start_when_the_log_takes_nothing_more(memory: InMemory) -> None:
    begun: list[bool] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("work", begun.append, True)

    async def refuse() -> None:
        raise errors.StaleAttempt

    attempt = memory.prepare(one)
    attempt.commit = refuse
    ending = await memory.execution(attempt)
    assert isinstance(ending, RunFailed) and ending.error == "StaleAttempt"
    assert not begun


async def test_a_step_is_executed_where_it_does_not_block_the_loop(memory: InMemory) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    seen: list[object] = []
    stop = threading.Event()

    def blocks(ctx: Context) -> str:
        seen.extend([threading.current_thread() is threading.main_thread(), variable.get()])
        ctx.say("from a thread ")
        with ctx.scope("there"):
            ctx.say("and there ")
        seen.append((ctx.idempotency_key, ctx.uuid()))
        assert stop.wait(5)
        return "done"

    @agent()
    async def one(ctx: Context, text: str) -> str:
        variable.set("carried over")
        working = asyncio.create_task(
            ctx.step("work", blocks, ctx, key="k")  # the loop goes on meanwhile
        )
        await until(lambda: len(seen) == 3)
        stop.set()
        return await working

    log = await memory.attempt(one)
    assert seen[:2] == [False, "carried over"]
    assert log.fold.output == "from a thread and there done"
    (step,) = log.finished()
    within = [event.within for event in log.of(OutputChunk) if isinstance(event, OutputChunk)]
    assert within == [step, f"{step}.there", None]


async def test_a_function_that_returns_something_to_await_is_awaited(memory: InMemory) -> None:
    async def later(number: int) -> int:
        return number + 1

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("add", lambda: later(1))

    log = await memory.attempt(one)
    assert list(log.finished().values()) == [2]


@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit])
async def test_what_no_future_can_carry_fails_a_step_like_the_rest(
    memory: InMemory, kind: type[BaseException]
) -> None:
    def raises() -> None:
        raise kind

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.step("work", raises)

    log = await memory.attempt(one)
    assert failure_of(log).error == "StepFailed"
    assert kind.__name__ in failure_of(log).message


async def test_a_run_inside_a_step_of_another_run_is_not_inside_that_step(
    memory: InMemory,
) -> None:
    inner_log: list[Log] = []

    @agent()
    async def inner(ctx: Context, text: str) -> AsyncGenerator[str]:
        yield "inside"
        await ctx.step("x", str)
        ctx.say("!")

    @agent()
    async def outer(ctx: Context, text: str) -> None:
        async def start() -> None:
            inner_log.append(await InMemory().attempt(inner))

        await ctx.step("start", start)

    log = await memory.attempt(outer)
    assert isinstance(log.ending, RunSucceeded)
    (found,) = inner_log
    said = [event for event in found.events if isinstance(event, OutputChunk | StepStarted)]
    assert [event.within for event in said] == [None, None, None]


async def test_an_idempotency_key_is_the_same_in_every_try_and_attempt(memory: InMemory) -> None:
    keys: list[str] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        with pytest.raises(RuntimeError):
            keys.append(ctx.idempotency_key)

        async def pay() -> None:
            with ctx.scope("there"):
                keys.append(ctx.idempotency_key)
            if len(keys) == 1:
                raise OSError

        await ctx.step("pay", pay, retries=1, backoff_seconds=0)

    log = await memory.attempt(one)
    await memory.attempt(one, log.cut(until_event(log, events.StepFailed)))
    assert len(keys) == 3
    assert set(keys) == {f"{UUID}:{next(iter(log.finished()))}"}


# --- tools and models ---------------------------------------------------------------------------


async def test_a_tool_is_shown_with_what_it_was_given_and_gave(memory: InMemory) -> None:
    class Window:
        def look(self, place: str, *, far: bool = False) -> list[str]:
            return [place, "wet"]

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.tool("window", Window().look, "outside", far=True)
        await ctx.tool("length", len, "abc")
        with pytest.raises(StepFailed):
            await ctx.tool("number", int, "x")

    log = await memory.attempt(one)
    window, length, number = log.finished() | dict.fromkeys(
        each.step for each in log.of(events.StepFailed) if isinstance(each, events.StepFailed)
    )
    assert log.of(events.ToolStarted, events.ToolFinished) == [
        events.ToolStarted(
            call=window, tool="window", input={"place": "outside", "far": True}, within=window
        ),
        events.ToolFinished(call=window, output=["outside", "wet"], within=window),
        events.ToolStarted(call=length, tool="length", input=["abc"], within=length),
        events.ToolFinished(call=length, output=3, within=length),
        events.ToolStarted(call=number, tool="number", input=["x"], within=number),
        events.ToolFinished(
            call=number,
            error="ValueError: invalid literal for int() with base 10: 'x'",
            within=number,
        ),
    ]


@dataclasses.dataclass
class Usage:
    input_tokens: int
    output_tokens: int


@dataclasses.dataclass
class Reply:
    text: str
    usage: Usage | None


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (Reply("hi", Usage(3, 4)), events.Usage(3, 4)),
        (Reply("hi", None), None),
        ({"usage": {"input_tokens": 3}}, events.Usage(3, 0)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, events.Usage(3, 4)),
        ({"usage": "much"}, None),
        ("hi", None),
    ],
)
async def test_a_model_is_shown_with_what_it_consumed(
    memory: InMemory, reply: object, usage: events.Usage | None
) -> None:
    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def complete(messages: list[str]) -> object:
            return reply

        await ctx.model("small", complete, ["a", "b"])

    log = await memory.attempt(one)
    (step,) = log.finished()
    assert log.of(events.ModelStarted, events.ModelFinished) == [
        events.ModelStarted(call=step, model="small", message_count=2, within=step),
        events.ModelFinished(call=step, usage=usage, within=step),
    ]
    assert log.fold.usage == usage


# --- budgets ------------------------------------------------------------------------------------


async def test_a_run_that_wants_more_steps_than_granted_fails(memory: InMemory) -> None:
    memory.grant = Grant(max_steps=2)
    done: list[str] = []

    @agent()
    async def one(ctx: Context, text: str) -> None:
        for word in text.split():
            try:
                await ctx.step("say", done.append, word)
            except Exception:  # noqa: BLE001 -- as careless agents do
                ctx.say("went on")

    log = await memory.attempt(one, value="a b")
    assert isinstance(log.ending, RunSucceeded)
    again = await memory.attempt(one, log.cut(len(log.said) - 1), value="a b")
    assert isinstance(again.ending, RunSucceeded)
    more = await memory.attempt(one, log.cut(len(log.said) - 1), value="a b c")
    assert failure_of(more).reason == "step_budget"
    assert "2 steps" in failure_of(more).message
    assert done == ["a", "b"]


async def test_a_run_whose_models_consume_more_than_granted_fails(memory: InMemory) -> None:
    memory.grant = Grant(max_tokens=10)

    @agent()
    async def one(ctx: Context, text: str) -> None:
        async def complete() -> Json:
            return {"usage": {"input_tokens": 2, "output_tokens": 3}}

        for _ in text.split():
            await ctx.model("small", complete)
        ctx.emit(events.ModelFinished(call="x", usage=events.Usage(1, 0)))

    log = await memory.attempt(one, value="a b c")
    assert failure_of(log).reason == "token_budget"
    assert len(log.finished()) == 3  # what was paid for is kept
    within = await memory.attempt(one, value="a")
    assert isinstance(within.ending, RunSucceeded)
    resumed = await memory.attempt(one, within.cut(len(within.said) - 1), value="a b")
    assert failure_of(resumed).reason == "token_budget"
    emitted = await memory.attempt(one, value="a b")
    assert failure_of(emitted).reason == "token_budget"
    memory.grant = Grant(max_tokens=11)
    assert isinstance((await memory.attempt(one, value="a b")).ending, RunSucceeded)
