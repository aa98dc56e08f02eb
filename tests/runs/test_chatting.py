"""ctx.chat and ctx.embed: a model's pieces in the log, its bill, its failures, and resuming."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pydantic
import pytest

from forebay import Context, agent
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import SystemClock
from forebay.core.errors import (
    BudgetExceeded,
    InvalidInput,
    MalformedReply,
    ModelCutOff,
    ModelNotFound,
    ModelNotGranted,
    ModelUnreachable,
    RateLimited,
    RunFinished,
    ToolUnavailable,
)
from forebay.core.events import (
    ModelChunk,
    ModelFinished,
    ModelStarted,
    OutputChunk,
    RunFailed,
    RunSucceeded,
    StepRestarted,
    Usage,
)
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ChatRequest, Messages, Reply, ToolSpec
from forebay.ports.agent import BlockingContext
from forebay.ports.models import Finding, Price, Thought
from forebay.runs.recorder import LightRecorder
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.attempts import InMemory, Log
from tests.support.models import LengthEmbedder, NotedGroup, NotingTool, PlayedModel, played


class Verdict(pydantic.BaseModel):
    """A reply of a form."""

    good: bool
    why: str


@agent()
async def asks(ctx: Context, text: str) -> None:
    await ctx.chat(text, say=True)


@agent()
async def thinks_first(ctx: Context, text: str) -> str:
    return (await ctx.chat(text)).text.upper()


def with_models(*models: PlayedModel, **rest: str) -> InMemory:
    return InMemory(models=ModelCatalogue({model.name: model for model in models}, **rest))  # pyright: ignore[reportArgumentType]


def failure_of(log: Log) -> RunFailed:
    assert isinstance(log.ending, RunFailed)
    return log.ending


# --- what stands in the log ---------------------------------------------------------------------


async def test_pieces_are_recorded_in_the_step_of_the_model_as_they_come() -> None:
    memory = with_models(played("small", "to be or not"))
    log = await memory.attempt(thinks_first, value="Well?")
    (started,) = log.of(ModelStarted)
    assert isinstance(started, ModelStarted)
    pieces = [event for event in log.events if isinstance(event, ModelChunk)]
    assert [piece.text for piece in pieces] == ["to ", "be ", "or ", "not "]
    assert {(piece.call, piece.within) for piece in pieces} == {(started.call, started.call)}
    assert (started.model, started.message_count) == ("small", 1)
    assert started.provider == "played at nowhere"
    assert log.fold.output == "TO BE OR NOT"


async def test_what_is_said_is_the_answer_and_stands_in_the_log_once() -> None:
    memory = with_models(played("small", "to be"))
    log = await memory.attempt(asks, value="Well?")
    assert [event.text for event in log.events if isinstance(event, OutputChunk)] == ["to ", "be "]
    assert log.of(ModelChunk) == []
    assert log.fold.output == "to be "


async def test_a_long_piece_is_recorded_in_parts() -> None:
    memory = with_models(PlayedModel("small", [["x" * 100_000, Reply("x")]]))
    log = await memory.attempt(asks, value="Well?")
    assert log.fold.output == "x" * 100_000
    assert len(log.of(OutputChunk)) == 4


async def test_the_bill_stands_in_the_log_and_on_the_run() -> None:
    usage = Usage(1_000, 200, estimated=True)
    reply = Reply("yes", usage=usage, thinking="hm", finish="length")
    memory = with_models(PlayedModel("small", [["yes", reply]], price=Price(2.0, 10.0)))
    log = await memory.attempt(asks, value="Well?")
    (finished,) = log.of(ModelFinished)
    assert isinstance(finished, ModelFinished)
    assert (finished.usage, finished.thinking, finished.finish) == (usage, "hm", "length")
    assert finished.cost_usd == pytest.approx(0.004)
    assert (log.fold.usage, log.fold.cost_usd) == (usage, finished.cost_usd)


async def test_without_a_price_there_is_no_cost() -> None:
    memory = with_models(PlayedModel("small", [["yes", Reply("yes", usage=Usage(1, 1))]]))
    assert (await memory.attempt(asks, value="Well?")).fold.cost_usd is None


# --- what a model is told -----------------------------------------------------------------------


async def request_of(messages: Messages, **rest: object) -> PlayedModel:
    model = played("small", "yes")

    @agent()
    async def tells(ctx: Context) -> None:
        await ctx.chat(messages, **rest)  # pyright: ignore[reportCallIssue, reportArgumentType]

    tools = ToolCatalogue({"note": NotingTool()}, {"more": NotedGroup("more", [NotingTool("b")])})
    memory = InMemory(models=ModelCatalogue({"small": model}), tools=tools)
    log = await memory.attempt(tells)
    if isinstance(log.ending, RunFailed):
        raise InvalidInput(log.ending.message)
    return model


async def test_a_text_is_a_message_of_the_user() -> None:
    (request,) = (await request_of("Hello")).requests
    assert request.messages == (ChatMessage("user", "Hello"),)


async def test_messages_may_be_written_as_openai_does() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    (request,) = (
        await request_of(
            [
                {"role": "developer", "content": "Be short"},
                {"role": "user", "content": [{"type": "text", "text": "What is this?"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "42"},
            ]
        )
    ).requests
    system, user, assistant, tool = request.messages
    assert (system.role, user.text) == ("system", "What is this?")
    assert (assistant.tool_calls[0].name, tool.answers) == ("f", "c")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "robot", "content": "Hello"},
        {"content": "Hello"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"type": "smell"}]},
    ],
)
async def test_what_is_no_message_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="Message 0"):
        await request_of([message])


async def test_tools_are_named_one_by_one_or_by_their_group() -> None:
    own = ToolSpec("own", "Mine", {})
    (request,) = (await request_of("Hello", tools=["note", "more", own])).requests
    assert [spec.name for spec in request.tools] == ["note", "more__b", "own"]


async def test_a_reply_can_be_read_as_a_type() -> None:
    @agent()
    async def judges(ctx: Context, text: str) -> Json:
        verdict = await ctx.chat(text, returns=Verdict)
        return [verdict.good, verdict.why]

    plain, fenced = '{"good": true, "why": "short"}', '```json\n{"good":false,"why":"long"}\n```'
    model = played("small", plain, fenced)
    memory = with_models(model)
    assert (await memory.attempt(judges, value="x")).fold.output == [True, "short"]
    assert (await memory.attempt(judges, value="x")).fold.output == [False, "long"]
    schema = model.requests[0].schema
    assert isinstance(schema, dict) and schema["required"] == ["good", "why"]


async def test_a_reply_of_another_form_says_what_is_wrong_with_it_but_not_what_it_was() -> None:
    @agent()
    async def judges(ctx: Context, text: str) -> None:
        await ctx.chat(text, returns=Verdict)

    log = await with_models(played("small", '{"good": "secret"}')).attempt(judges, value="x")
    assert failure_of(log).error == MalformedReply.__name__
    assert "why: Field required" in failure_of(log).message
    assert "secret" not in failure_of(log).message
    log = await with_models(played("small", "secret")).attempt(judges, value="x")
    assert "of the type asked for: Invalid JSON" in failure_of(log).message
    assert "secret" not in failure_of(log).message


# --- what goes wrong ----------------------------------------------------------------------------


async def test_a_reply_that_was_cut_off_is_asked_for_again_and_its_pieces_are_void() -> None:
    cut = ModelCutOff("small was cut off")
    model = PlayedModel("small", [["to ", "b", cut], ["not ", "to ", Reply("not to")]])
    memory = with_models(model)
    memory.clock = SystemClock()
    log = await memory.attempt(asks, value="Well?")
    assert isinstance(log.ending, RunSucceeded)
    assert log.fold.output == "not to "
    assert len(log.of(StepRestarted)) == 1


async def test_other_failures_are_not_tried_again_by_us() -> None:
    model = PlayedModel("small", [[RateLimited("small takes no more calls")]])
    log = await with_models(model).attempt(asks, value="Well?")
    assert (failure_of(log).error, len(model.requests)) == ("RateLimited", 1)


async def test_fallbacks_are_asked_in_their_order() -> None:
    first = PlayedModel("first", [[RateLimited("no")]], fallbacks=("second", "third"))
    second = PlayedModel("second", [["hal", ModelUnreachable("gone")]])
    third = played("third", "yes")
    memory = with_models(first, second, third, default="first")
    log = await memory.attempt(asks, value="Well?")
    models = [event.model for event in log.events if isinstance(event, ModelStarted)]
    assert models == ["first", "second", "third"]
    errors = [event.error for event in log.events if isinstance(event, ModelFinished)]
    assert errors == ["RateLimited: no", "ModelUnreachable: gone", None]


async def test_what_a_fallback_takes_over_was_not_said() -> None:
    first = PlayedModel("first", [["hal", ModelUnreachable("gone")]], fallbacks=("second",))
    memory = with_models(first, played("second", "whole"), default="first")
    assert (await memory.attempt(asks, value="Well?")).fold.output == "whole "


async def test_when_all_have_failed_each_is_named() -> None:
    first = PlayedModel("first", [[RateLimited("first is busy.")]], fallbacks=("second",))
    second = PlayedModel("second", [[ModelUnreachable("second is away.")]])
    log = await with_models(first, second, default="first").attempt(asks, value="Well?")
    assert failure_of(log).error == RateLimited.__name__
    assert "first is busy." in failure_of(log).message
    assert "second is away." in failure_of(log).message


async def test_a_model_that_ends_without_a_reply_has_failed() -> None:
    model = PlayedModel("small", [["half "]], fallbacks=("spare",))
    memory = with_models(model, played("spare", "yes"), default="small")
    assert (await memory.attempt(asks, value="Well?")).fold.output == "yes "


async def test_what_was_said_of_a_reply_that_failed_for_good_is_void() -> None:
    model = PlayedModel("small", [["half ", ModelUnreachable("gone")]])
    log = await with_models(model).attempt(asks, value="Well?")
    assert (failure_of(log).error, log.fold.output) == (ModelUnreachable.__name__, None)
    assert log.unvoided() == []


async def test_a_model_that_was_not_granted_is_not_asked() -> None:
    first = PlayedModel("first", [[RateLimited("no")]], fallbacks=("second",))
    second = played("second", "yes")
    memory = with_models(first, second, default="first")
    memory.grant = Grant(models=("first",))
    assert failure_of(await memory.attempt(asks, value="Well?")).error == "RateLimited"
    memory.grant = Grant(models=("second",))
    assert failure_of(await memory.attempt(asks, value="Well?")).error == ModelNotGranted.__name__
    assert (len(first.requests), second.requests) == (1, [])


async def test_without_any_model_the_error_says_what_to_do() -> None:
    log = await InMemory().attempt(asks, value="Well?")
    assert failure_of(log).error == ModelNotFound.__name__
    assert "FOREBAY_DEFAULT_MODEL" in failure_of(log).message


async def test_of_two_models_one_has_to_be_named() -> None:
    memory = with_models(played("a", "A"), played("b", "B"))
    assert "There are: a, b." in failure_of(await memory.attempt(asks, value="x")).message


async def test_a_model_can_be_made_of_a_name() -> None:
    made: list[str] = []

    def make(name: str) -> PlayedModel | None:
        made.append(name)
        return played(name, "one", "two") if name == "some/model" else None

    @agent()
    async def names(ctx: Context, text: str) -> None:
        await ctx.chat("x", model=text, say=True)

    memory = InMemory(models=ModelCatalogue(make=make))
    assert (await memory.attempt(names, value="some/model")).fold.output == "one "
    assert (await memory.attempt(names, value="some/model")).fold.output == "two "
    assert failure_of(await memory.attempt(names, value="other")).error == ModelNotFound.__name__
    assert made == ["some/model", "other"]


# --- budgets ------------------------------------------------------------------------------------


async def test_a_run_whose_models_cost_more_than_granted_fails_and_keeps_what_it_paid_for() -> None:
    reply = Reply("yes", usage=Usage(1_000, 0))

    @agent()
    async def asks_thrice(ctx: Context) -> None:
        for _ in range(3):
            await ctx.chat("Well?")

    model = PlayedModel("small", [["yes", reply]] * 9, price=Price(1_000.0, 0.0))
    memory = with_models(model)
    memory.grant = Grant(max_cost_usd=1.5)
    log = await memory.attempt(asks_thrice)
    assert (failure_of(log).reason, len(log.finished())) == ("cost_budget", 2)
    memory.grant = Grant(max_cost_usd=3.0)
    assert isinstance((await memory.attempt(asks_thrice)).ending, RunSucceeded)


async def test_what_an_earlier_attempt_has_paid_counts() -> None:
    reply = Reply("yes", usage=Usage(1_000, 0))
    model = PlayedModel("small", [["yes", reply]] * 9, price=Price(1_000.0, 0.0))
    memory = with_models(model)

    @agent()
    async def asks_twice(ctx: Context) -> None:
        await ctx.chat("One?")
        await ctx.chat("Two?")

    whole = await memory.attempt(asks_twice)
    half = next(n for n, event in enumerate(whole.events) if isinstance(event, ModelFinished)) + 2
    memory.grant = Grant(max_cost_usd=1.5)
    assert failure_of(await memory.attempt(asks_twice, whole.cut(half))).reason == "cost_budget"


async def test_who_has_used_up_the_budget_asks_no_model_any_more() -> None:
    @agent()
    async def is_stubborn(ctx: Context) -> None:
        for _ in range(3):
            with suppress(BudgetExceeded):
                await ctx.chat("Well?")

    reply = Reply("x", usage=Usage(100, 100))
    model = PlayedModel("small", [["x", reply], ["x", reply], ["x", reply]])
    memory = with_models(model)
    memory.grant = Grant(max_tokens=150)
    assert failure_of(await memory.attempt(is_stubborn)).reason == "token_budget"
    assert len(model.requests) == 1


# --- a run that ends ----------------------------------------------------------------------------


@dataclass
class Hesitating:
    """A model that never comes to its end, and notes that nobody listens any more."""

    name: str = "slow"
    provider: str = "nowhere"
    price: Price | None = None
    fallbacks: tuple[str, ...] = ()
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        del request
        try:
            yield "a "
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        del dry_call
        return []


async def test_a_reply_that_its_agent_does_not_wait_for_ends_with_the_run() -> None:
    model = Hesitating()
    left: list[asyncio.Task[object]] = []

    @agent()
    async def leaves(ctx: Context) -> None:
        left.append(asyncio.create_task(ctx.chat("Well?", say=True)))
        await model.begun.wait()

    memory = InMemory(models=ModelCatalogue({"slow": model}))
    attempt = memory.prepare(leaves)
    ending = await memory.execution(attempt)
    attempt.close()
    attempt.recorder.end(ending)
    with pytest.raises(RunFinished):
        await left[0]
    assert model.left.is_set()
    assert isinstance(attempt.recorder, LightRecorder)
    assert isinstance(attempt.recorder.log[-1].event, RunSucceeded)


async def test_nothing_stands_in_a_log_behind_its_end() -> None:
    recorder = InMemory().prepare(asks).recorder
    recorder.end(RunSucceeded())
    for record in (recorder.record, recorder.piece):
        with pytest.raises(RunFinished):
            record(OutputChunk("late"))
    assert recorder.final is not None


async def test_what_runs_beside_a_call_that_exceeds_the_budget_is_given_up() -> None:
    costly = PlayedModel("costly", [["x", Reply("x", usage=Usage(100, 100))]])
    slow = Hesitating()

    @agent()
    async def gathers(ctx: Context) -> None:
        beside = asyncio.create_task(ctx.chat("a", model="slow"))
        await slow.begun.wait()
        await asyncio.gather(beside, ctx.chat("b", model="costly"))

    memory = InMemory(models=ModelCatalogue({"costly": costly, "slow": slow}))
    memory.grant = Grant(max_tokens=150)
    attempt = memory.prepare(gathers)
    ending = await memory.execution(attempt)
    attempt.close()
    assert isinstance(ending, RunFailed) and ending.reason == "token_budget"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await slow.left.wait()


# --- resuming -----------------------------------------------------------------------------------


async def test_a_resumed_run_asks_with_the_same_tools_whatever_their_server_offers_now() -> None:
    @agent()
    async def offers(ctx: Context) -> None:
        await ctx.chat("Well?", tools=["wiki"], say=True)

    group = NotedGroup("wiki", [NotingTool("note")])
    model = played("small", "a b")
    memory = with_models(model)
    memory.tools = ToolCatalogue({}, {"wiki": group})
    whole = await memory.attempt(offers)
    group.error = ToolUnavailable("the wiki is away")
    resumed = await memory.attempt(offers, whole.cut(len(whole.said) - 1))
    assert (resumed.fold.output, len(model.requests)) == ("a b ", 1)
    assert failure_of(await memory.attempt(offers)).error == ToolUnavailable.__name__


async def test_a_model_that_has_replied_is_not_asked_again_wherever_the_run_was_cut() -> None:
    @agent()
    async def asks_twice(ctx: Context) -> None:
        first = await ctx.chat("One?", say=True)
        await ctx.chat([first.message, {"role": "user", "content": "Two?"}], say=True)

    whole = await with_models(played("small", "a b", "c d")).attempt(asks_twice)
    for length in range(2, len(whole.said)):
        before = whole.cut(length)
        replied = len(before.finished())
        model = played("small", *["a b", "c d"][replied:])
        log = await with_models(model).attempt(asks_twice, before)
        assert isinstance(log.ending, RunSucceeded)
        assert log.fold.output == "a b c d ", length
        assert len(model.requests) == 2 - replied, length


async def test_a_model_that_has_failed_for_good_is_not_asked_again() -> None:
    first = PlayedModel("first", [[RateLimited("no")]], fallbacks=("second",))
    whole = await with_models(first, played("second", "yes"), default="first").attempt(asks)
    for length in range(2, len(whole.said)):
        again = PlayedModel("first", [[RateLimited("no")]], fallbacks=("second",))
        before = whole.cut(length)
        log = await with_models(again, played("second", "yes"), default="first").attempt(
            asks, before
        )
        assert log.fold.output == "yes "
        failed_before = any(
            event.error for event in before.events if isinstance(event, ModelFinished)
        )
        assert len(again.requests) <= 1
        assert again.requests == [] or not failed_before or length == 5


async def test_inside_a_step_that_is_tried_again_a_reply_is_said_again() -> None:
    model = played("small", "a b")
    tries: list[str] = []

    @agent()
    async def retries(ctx: Context) -> None:
        async def once() -> None:
            await ctx.chat("Well?", say=True)
            tries.append("x")
            if len(tries) == 1:
                raise RuntimeError("once")

        await ctx.step("outer", once, retries=1, backoff_seconds=0)

    log = await with_models(model).attempt(retries)
    assert (log.fold.output, len(model.requests), len(tries)) == ("a b ", 1, 2)


# --- threads, branches, embedders ---------------------------------------------------------------


async def test_a_blocking_agent_asks_in_the_same_way() -> None:
    @agent()
    def blocks(ctx: BlockingContext, text: str) -> str:
        reply = ctx.chat(text)
        with_form = ctx.chat(text, returns=Verdict)
        (vector,) = ctx.embed([text])
        return f"{reply.text} {with_form.why} {vector[0]:g}"

    model = played("small", "yes", '{"good": true, "why": "short"}')
    memory = with_models(model)
    memory.models.embedders["lengths"] = LengthEmbedder()
    whole = await memory.attempt(blocks, value="Well?")
    assert whole.fold.output == "yes short 5"
    resumed = await memory.attempt(blocks, whole.cut(len(whole.said) - 1), value="Well?")
    assert (resumed.fold.output, len(model.requests)) == ("yes short 5", 2)


async def test_branches_keep_their_replies_when_the_run_is_resumed() -> None:
    @agent()
    async def branches(ctx: Context) -> list[str]:
        replies = await asyncio.gather(*(ctx.chat("Same?", model=name) for name in ("a", "b")))
        return [reply.text for reply in replies]

    models = played("a", "A"), played("b", "B")
    memory = with_models(*models)
    whole = await memory.attempt(branches)
    again = await memory.attempt(branches, whole.cut(len(whole.said) - 2))
    assert again.fold.output == ["A", "B"]
    assert [len(model.requests) for model in models] == [1, 1]


async def test_vectors_are_made_once() -> None:
    embedder = LengthEmbedder(price=Price(1.0, 0.0))

    @agent()
    async def embeds(ctx: Context) -> list[list[float]]:
        return await ctx.embed(["a", "abc"])

    memory = InMemory(models=ModelCatalogue(embedders={"lengths": embedder}))
    whole = await memory.attempt(embeds)
    assert whole.fold.output == [[1.0], [3.0]]
    again = await memory.attempt(embeds, whole.cut(len(whole.said) - 2))
    assert (again.fold.output, embedder.asked) == ([[1.0], [3.0]], [["a", "abc"]])


async def test_thoughts_are_not_part_of_the_answer() -> None:
    model = PlayedModel("small", [[Thought("hm"), "yes", Reply("yes", thinking="hm")]])
    assert (await with_models(model).attempt(asks, value="x")).fold.output == "yes"


async def test_a_reply_that_takes_too_long_is_left_to_the_fallbacks() -> None:
    class Slow(PlayedModel):
        async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
            yield "half "
            await asyncio.Event().wait()

    @agent()
    async def hurries(ctx: Context) -> None:
        await ctx.chat("Well?", say=True, timeout_seconds=0.05)

    slow = Slow("slow", [], fallbacks=("spare",))
    log = await with_models(slow, played("spare", "yes"), default="slow").attempt(hurries)
    assert log.fold.output == "yes "


async def test_models_that_are_made_of_names_are_forgotten_again() -> None:
    made: list[str] = []

    def make(name: str) -> PlayedModel:
        made.append(name)
        return played(name)

    models = ModelCatalogue(make=make)
    for number in range(300):
        models.model(f"a/{number}")
    models.model("a/299")
    models.model("a/0")
    assert made.count("a/299") == 1 and made.count("a/0") == 2
