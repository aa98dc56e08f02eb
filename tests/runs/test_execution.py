"""What agents do, and what becomes of it: whatever it is, their run ends and the server goes on."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

from forebay import Context, agent, events
from forebay.core.errors import RunFinished
from forebay.core.events import AGENT_EVENTS, TYPES, Event
from forebay.core.json import Json
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated
from tests.support.server import Server, serving
from tests.support.storage import FaultyStorage
from tests.support.waiting import Gate, settle, until

DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "light"])

LIFECYCLE = sorted(set(TYPES) - AGENT_EVENTS, key=TYPES.__getitem__)
SAYS: list[Event] = [
    events.ModelStarted("m", "small", 2),
    events.ModelChunk("m", "thinking"),
    events.ModelFinished("m", events.Usage(3, 4), "I thought"),
    events.ToolStarted("t", "search", {"q": "x"}),
    events.ToolFinished("t", ["found"], error=None),
    events.TodosUpdated([events.Todo("read", "done")]),
    events.FileWritten("a.md", "# A"),
    events.SourceFound("https://example.org/", "Example", "search"),
    events.SourceCited("https://example.org/"),
    events.OutputWritten("report", "# Report"),
]


async def run(server: Server, text: object = "word", **rest: object) -> dict[str, Any]:
    got = await server.run(text, **rest)
    assert got.status == 200, got.body
    return got.json()


# --- the four styles and classes ----------------------------------------------------------------


async def async_generator(ctx: Context, text: str) -> AsyncGenerator[str]:
    for word in text.split():
        yield word.upper()


async def async_function(ctx: Context, text: str) -> str:
    for word in text.split():
        ctx.say(word.upper())
    return ""


def generator(ctx: Context, text: str) -> Generator[str]:
    for word in text.split():
        yield word.upper()


def function(ctx: Context, text: str) -> str:
    return "".join(text.upper().split())


class Asynchronous:
    async def run(self, ctx: Context, text: str) -> AsyncGenerator[str]:
        for word in text.split():
            yield word.upper()


class Blocking:
    def run(self, ctx: Context, text: str) -> Generator[str]:
        for word in text.split():
            yield word.upper()


@DURABLE
@pytest.mark.parametrize(
    "body", [async_generator, async_function, generator, function, Asynchronous, Blocking],
    ids=lambda body: body.__name__,
)  # fmt: skip
async def test_every_style_of_agent_runs(body: Callable[..., object], durable: bool):
    async with serving(agent("any")(body)) as server:
        got = await run(server, "a b  c", durable=durable)
        entries = await server.entries(got["id"])
    assert (got["status"], got["output"]) == ("success", "ABC")
    chunks = [entry["text"] for entry in entries if entry["type"] == "output.chunk"]
    assert chunks == (["ABC"] if body is function else ["A", "B", "C"])


async def test_blocking_agents_run_in_threads_and_beside_one_another():
    barrier = threading.Barrier(3)
    threads: set[int] = set()

    @agent("blocks")
    def blocks(ctx: Context, text: str) -> str:
        threads.add(threading.get_ident())
        barrier.wait(5)
        return text

    async with serving(blocks) as server:
        answers = await asyncio.gather(*(run(server, str(number)) for number in range(3)))
    assert [answer["output"] for answer in answers] == ["0", "1", "2"]
    assert len(threads) == 3
    assert threading.get_ident() not in threads


async def test_a_blocking_agent_sees_the_context_variables_of_its_start():
    variable: ContextVar[str] = ContextVar("variable", default="nothing")

    @agent("reads")
    def reads(ctx: Context, text: str) -> str:
        return variable.get()

    async with serving(reads) as server:
        variable.set("something")
        assert (await run(server))["output"] == "something"


# --- what it is told ----------------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [True, False])
async def test_an_agent_is_told_about_its_run(blocking: bool):
    def tell(ctx: Context) -> Json:
        return {
            "run": ctx.run_id,
            "agent": ctx.agent,
            "caller": ctx.caller.name,
            "deadline": ctx.grant.deadline_seconds,
            "session": ctx.session,
            "metadata": dict(ctx.metadata),
            "attempt": ctx.attempt,
            "cancelled": ctx.cancelled,
        }

    @agent("tells")
    async def tells(ctx: Context) -> Json:
        return tell(ctx)

    @agent("tells")
    def tells_blocking(ctx: Context) -> Json:
        return tell(ctx)

    async with serving(tells_blocking if blocking else tells) as server:
        got = await run(server, session="s1", metadata={"a": [1]}, deadline_seconds=60)
    assert got["output"] == {
        "run": got["id"],
        "agent": "tells",
        "caller": "anonymous",
        "deadline": 60.0,
        "session": "s1",
        "metadata": {"a": [1]},
        "attempt": 1,
        "cancelled": False,
    }


# --- what it may say ----------------------------------------------------------------------------


def test_every_event_that_an_agent_may_say_is_tried():
    assert {type(event) for event in SAYS} == AGENT_EVENTS


@DURABLE
@pytest.mark.parametrize("blocking", [True, False])
async def test_an_agent_can_say_every_event_that_is_its_own(durable: bool, blocking: bool):
    @agent("says")
    async def says(ctx: Context) -> None:
        for event in SAYS:
            ctx.emit(event)  # pyright: ignore[reportArgumentType]

    @agent("says")
    def says_blocking(ctx: Context) -> None:
        for event in SAYS:
            ctx.emit(event)  # pyright: ignore[reportArgumentType]

    async with serving(says_blocking if blocking else says) as server:
        got = await run(server, durable=durable)
        entries = await server.entries(got["id"])
    assert (got["status"], got["output"]) == ("success", "")
    assert got["usage"] == {"input_tokens": 3, "output_tokens": 4, "estimated": False}
    assert [entry["type"] for entry in entries[2:-1]] == [TYPES[type(event)] for event in SAYS]
    assert entries[3]["text"] == "thinking"
    assert entries[7]["todos"] == [{"content": "read", "status": "done"}]


@DURABLE
@pytest.mark.parametrize("kind", LIFECYCLE, ids=lambda kind: TYPES[kind])
async def test_an_agent_cannot_say_what_only_the_server_says(kind: type[Event], durable: bool):
    examples: dict[str, Event] = {
        TYPES[type(event)]: event
        for event in (
            events.RunSubmitted("x", "y", "z"),
            events.RunStarted("x", "y"),
            events.CancelRequested("me"),
            events.RunSucceeded(),
            events.RunFailed("x", "y"),
            events.RunInterrupted("x", "y"),
            events.RunRequeued("x", "y"),
            events.RunWaiting(["x"]),
            events.CodeChanged("x", "y"),
            events.QuestionAsked("x", events.Prompt("y")),
            events.QuestionAnswered("x", "y", "me"),
            events.QuestionExpired("x"),
            events.StepStarted("x", "y"),
            events.StepFinished("x"),
            events.StepFailed("x", "y", "z"),
            events.StepRestarted("x"),
            events.ValueDrawn("x", "now", 1),
            events.OutputRestarted(0),
            events.JournalDiverged(["x"]),
            events.OutputChunk("x"),
            events.OutputValue("x"),
        )
    }

    @agent("lies")
    async def lies(ctx: Context) -> None:
        ctx.emit(examples[TYPES[kind]])  # pyright: ignore[reportArgumentType]

    async with serving(lies) as server:
        got = await run(server, durable=durable)
        entries = await server.entries(got["id"])
    assert (got["status"], got["error"]["error"]) == ("failure", "TypeError")
    assert [entry["type"] for entry in entries] == ["run.submitted", "run.started", "run.failed"]


@pytest.mark.parametrize("thing", ["text", None, 7, {"type": "model.chunk"}, events.ModelChunk])
async def test_what_is_no_event_cannot_be_said(thing: object):
    @agent("lies")
    async def lies(ctx: Context) -> None:
        ctx.emit(thing)  # pyright: ignore[reportArgumentType]

    async with serving(lies) as server:
        assert (await run(server))["error"]["error"] == "TypeError"


async def test_what_is_said_after_the_end_is_refused():
    kept: list[Context] = []

    @agent("leaks")
    async def leaks(ctx: Context) -> str:
        kept.append(ctx)
        return "done"

    async with serving(leaks) as server:
        got = await run(server, durable=True)
        for say in (kept[0].say, lambda text: kept[0].emit(events.ModelChunk("m", text))):  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType, reportUnknownArgumentType]
            with pytest.raises(RunFinished):
                say("more")
        await settle()
        assert len(await server.entries(got["id"])) == got["events"]
        assert kept[0].cancelled


@DURABLE
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        (None, ""),
        (0, 0),
        (False, False),
        ([], []),
        ({}, {}),
        ({"a": {1: (2,)}}, {"a": {"1": [2]}}),
        (float("inf"), None),
        (2**70, 2**70),
        (b"hi", "aGk="),
    ],
    ids=str,
)
async def test_what_an_agent_returns_is_its_answer(value: object, shown: Json, durable: bool):
    @agent("returns")
    async def returns(ctx: Context) -> object:
        return value

    async with serving(returns) as server:
        got = await run(server, durable=durable)
        assert (got["status"], got["output"]) == ("success", shown)
        assert (await server.show(got["id"]))["output"] == shown


@DURABLE
@pytest.mark.parametrize(
    "value",
    [object(), {1j: 2}, print, 10**5000, [object()], Exception("x")],
    ids=["object", "complex key", "function", "huge", "nested", "exception"],
)
async def test_an_answer_that_is_not_json_fails_the_run(value: object, durable: bool):
    @agent("returns")
    async def returns(ctx: Context) -> object:
        return value

    async with serving(returns) as server:
        got = await run(server, durable=durable)
        assert (got["status"], got["reason"]) == ("failure", "agent_error")
        assert (await run(server, "echo", agent="echo", durable=True))["status"] == "success"


async def test_an_answer_that_holds_itself_fails_the_run():
    @agent("returns")
    async def returns(ctx: Context) -> object:
        value: list[object] = []
        value.append(value)
        return value

    async with serving(returns) as server:
        assert (await run(server))["error"]["error"] == "RecursionError"


# --- text that cannot be written ----------------------------------------------------------------

BAD_TEXT = "a\ud800b"


async def yields_bad_text(ctx: Context) -> AsyncGenerator[str]:
    yield "fine "
    yield BAD_TEXT


async def says_bad_text(ctx: Context) -> None:
    ctx.say(BAD_TEXT)


async def returns_bad_text(ctx: Context) -> Json:
    return {"text": BAD_TEXT}


async def emits_bad_text(ctx: Context) -> None:
    ctx.emit(events.ModelChunk("m", BAD_TEXT))


async def fails_with_bad_text(ctx: Context) -> None:
    raise ValueError(BAD_TEXT)


def blocking_bad_text(ctx: Context) -> Generator[str]:
    yield BAD_TEXT


BAD = [yields_bad_text, says_bad_text, returns_bad_text, emits_bad_text, fails_with_bad_text,
       blocking_bad_text]  # fmt: skip


@pytest.fixture
def unlogged() -> Generator[None]:
    """What a test process logs is sent to another one, which cannot read such text."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@DURABLE
@pytest.mark.parametrize("mode", ["wait", "stream"])
@pytest.mark.parametrize("body", BAD, ids=lambda body: body.__name__)
async def test_text_that_is_no_unicode_fails_only_its_own_run(
    body: Callable[..., object], mode: str, durable: bool, unlogged: None
):
    del unlogged
    async with serving(agent("bad")(body)) as server:
        exchange = await server.begin("x", mode=mode, durable=durable).until_over()
        assert exchange.broken is None
        assert exchange.status == 200
        identity = exchange.headers.get("x-run-id") or exchange.json()["id"]
        shown = await server.ended(identity)
        assert (shown["status"], shown["reason"]) == ("failure", "agent_error")
        await until(lambda: server.app.runs.committer.backlog == 0)
        assert (await server.show(identity))["status"] == "failure"
        again = await run(server, "word", agent="echo", durable=True)
        assert again["status"] == "success"


# --- what goes wrong ----------------------------------------------------------------------------


class OwnError(Exception):
    """One of the agent's own."""


class Unspeakable(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


FAILURES: list[tuple[BaseException, str, str]] = [
    (ValueError("no"), "ValueError", "no"),
    (KeyError("k"), "KeyError", "'k'"),
    (OwnError(), "OwnError", "OwnError"),
    (OSError(2, "missing"), "FileNotFoundError", "[Errno 2] missing"),
    (TimeoutError("slow"), "TimeoutError", "slow"),
    (MemoryError(), "MemoryError", "MemoryError"),
    (ExceptionGroup("many", [ValueError("one")]), "ExceptionGroup", "many (1 sub-exception)"),
    (SystemExit(3), "SystemExit", "3"),
    (SystemExit(), "SystemExit", "SystemExit"),
    (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
    (GeneratorExit("odd"), "", ""),
    (StopAsyncIteration("odd"), "", ""),
    (StopIteration("odd"), "", ""),
    (Unspeakable(), "Unspeakable", ""),
    (BaseExceptionGroup("many", [SystemExit(1)]), "BaseExceptionGroup", "many (1 sub-exception)"),
]
STYLES = ["async generator", "async function", "generator", "function"]


def raising(style: str, error: BaseException) -> Callable[..., object]:
    async def async_generator(ctx: Context) -> AsyncGenerator[str]:
        yield "half"
        raise error

    async def async_function(ctx: Context) -> None:
        ctx.say("half")
        raise error

    def generator(ctx: Context) -> Generator[str]:
        yield "half"
        raise error

    def function(ctx: Context) -> None:
        ctx.say("half")
        raise error

    bodies = dict(zip(STYLES, (async_generator, async_function, generator, function), strict=True))
    return agent("raises")(bodies[style])


@DURABLE
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("error", "name", "message"), FAILURES, ids=[type(error).__name__ for error, *_ in FAILURES]
)
async def test_whatever_an_agent_raises_ends_its_run_and_nothing_else(
    error: BaseException, name: str, message: str, style: str, durable: bool
):
    async with serving(raising(style, error)) as server:
        got = await run(server, durable=durable)
        assert (got["status"], got["reason"], got["output"]) == ("failure", "agent_error", "half")
        if name:
            assert got["error"]["error"] == name
            assert got["error"]["message"] == (message or name)
        assert got["error"]["traceback"] is None
        assert (await run(server, "fine", agent="echo"))["output"] == "fine"


async def test_an_error_is_logged_once_with_its_traceback_and_its_run(
    caplog: pytest.LogCaptureFixture,
):
    async with serving(raising("async function", ValueError("no"))) as server:
        with caplog.at_level(logging.DEBUG):
            got = await run(server, durable=True)
            await settle()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert got["id"] in record.getMessage()
    assert record.exc_info
    assert "ValueError" in (caplog.text)


async def test_with_dev_the_traceback_is_told():
    async with serving(raising("async function", ValueError("no")), dev=True) as server:
        got = await run(server)
    assert "Traceback (most recent call last)" in got["error"]["traceback"]
    assert "ValueError: no" in got["error"]["traceback"]


async def test_a_message_of_any_length_is_told_shortened():
    async with serving(raising("async function", ValueError("x" * 1_000_000)), dev=True) as server:
        got = await run(server, durable=True)
    assert len(got["error"]["message"]) == 4_000
    assert len(got["error"]["traceback"]) <= 20_000


# --- cancellation and time ----------------------------------------------------------------------


async def test_an_agent_that_cancels_itself_is_interrupted():
    @agent("gives up")
    async def gives_up(ctx: Context) -> None:
        raise asyncio.CancelledError

    async with serving(gives_up) as server:
        got = await run(server)
        assert (got["status"], got["reason"]) == ("interrupted", "cancelled")
        assert got["error"]["message"] == "the agent cancelled itself"


async def test_an_agent_that_cancels_its_own_task_is_interrupted():
    @agent("gives up")
    async def gives_up(ctx: Context) -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    async with serving(gives_up) as server:
        got = await run(server)
        assert (got["status"], got["reason"]) == ("interrupted", "cancelled")
        assert (await run(server, durable=True))["status"] == "interrupted"


@DURABLE
async def test_an_agent_that_answers_its_cancellation_is_heard_to_the_end(durable: bool):
    gate = Gate()

    @agent("polite")
    async def polite(ctx: Context) -> AsyncGenerator[str]:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            yield "goodbye"
            raise

    async with serving(polite) as server:
        stream = server.begin("x", mode="stream", durable=durable)
        await gate.reached()
        identity = stream.headers["x-run-id"]
        await server.client.post(f"/api/runs/{identity}/cancel")
        shown = await server.ended(identity)
        assert (shown["status"], shown["output"]) == ("interrupted", "goodbye")


async def test_an_agent_that_never_waits_is_cancelled_between_its_pieces():
    begun = Gate()

    @agent("endless")
    async def endless(ctx: Context) -> AsyncGenerator[str]:
        begun.open()
        while True:
            yield "x"

    async with serving(endless) as server:
        identity = (await server.run("x", mode="background")).json()["id"]
        await begun.passed()
        got = await server.client.post(f"/api/runs/{identity}/cancel")
        assert (got.status, got.json()["status"]) == (200, "interrupted")


async def test_an_agent_that_never_waits_lets_others_have_their_turn():
    begun = Gate()

    @agent("endless")
    async def endless(ctx: Context) -> AsyncGenerator[str]:
        begun.open()
        while True:
            yield "x"

    async with serving(endless, Gated().agent) as server:
        endless_run = server.begin("x", agent="endless", mode="background", durable=True)
        await begun.passed()
        assert (await run(server, "a b", agent="echo"))["output"] == "a b"
        await endless_run.until_over()
        await server.client.post(f"/api/runs/{endless_run.json()['id']}/cancel")


@pytest.mark.parametrize("style", ["async generator", "generator"])
async def test_an_agent_is_left_properly_when_its_run_ends_early(style: str):
    left = threading.Event()
    gate = Gate()

    @agent("tidy")
    async def tidy(ctx: Context) -> AsyncGenerator[object]:
        try:
            yield object()  # not JSON: the run fails while the agent stands here
            await gate.passed()
        finally:
            left.set()

    @agent("tidy")
    def tidy_blocking(ctx: Context) -> Generator[object]:
        try:
            yield object()
        finally:
            left.set()

    async with serving(tidy if style == "async generator" else tidy_blocking) as server:
        assert (await run(server))["status"] == "failure"
        await until(left.is_set)


async def test_an_agent_that_goes_on_yielding_when_it_should_end_fails():
    @agent("stubborn")
    async def stubborn(ctx: Context) -> AsyncGenerator[object]:
        try:
            yield object()
        finally:
            yield "I am still here"

    async with serving(stubborn) as server:
        assert (await run(server))["status"] == "failure"
        assert (await run(server, "fine", agent="echo"))["output"] == "fine"


# --- much ---------------------------------------------------------------------------------------


@DURABLE
@pytest.mark.parametrize("mode", ["wait", "stream"])
async def test_a_hundred_thousand_pieces_come_in_order(durable: bool, mode: str):
    count = 100_000

    @agent("many")
    async def many(ctx: Context) -> AsyncGenerator[str]:
        for number in range(count):
            yield f"{number} "

    async with serving(many) as server:
        got = await server.run("x", mode=mode, durable=durable)
        if mode == "wait":
            output = got.json()["output"]
            assert got.json()["events"] == count + 3
        else:
            assert got.body.count(b"event: output.chunk\n") == count
            output = (await server.show(got.headers["x-run-id"]))["output"]
        assert output.split() == [str(number) for number in range(count)]
        assert server.app.runs.committer.commits > 10


async def test_an_agent_waits_for_the_log_before_it_goes_on():
    said = 0

    @agent("many")
    async def many(ctx: Context) -> AsyncGenerator[str]:
        nonlocal said
        for _ in range(50_000):
            said += 1
            yield "x"

    clock = ManualClock()
    storage = FaultyStorage(MemoryStorage(clock))
    async with serving(many, storage=storage, clock=clock) as server:
        stream = server.begin("x", mode="stream")
        await until(lambda: stream.status == 200)
        storage.paused.clear()
        await settle()
        for _ in range(20):
            await settle()
        assert 100 < said < 10_000
        storage.paused.set()
        await stream.until_over()
        assert said == 50_000
        assert stream.entries[-1]["number"] == 50_003


async def test_a_blocking_agent_waits_for_the_log_too():
    @agent("many")
    def many(ctx: Context) -> Generator[str]:
        for number in range(3_000):
            yield f"{number} "

    async with serving(many) as server:
        got = await run(server, durable=True)
    assert got["output"].split() == [str(number) for number in range(3_000)]


async def test_long_text_is_cut_between_characters():
    text = "aé🚀" * 50_000

    @agent("long")
    async def long(ctx: Context) -> str:
        return text

    async with serving(long) as server:
        got = await run(server, durable=True)
        assert got["output"] == text
        assert got["events"] > 5
