"""ctx.use: a tool's call in the log, approval by a person, its failures, and resuming."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from forebay import Context, agent
from forebay.authoring import agent_in, agent_tool
from forebay.authoring.tools import make_tool
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.errors import (
    InvalidArguments,
    StepFailed,
    ToolNotFound,
    ToolNotGranted,
    ToolRefused,
    ToolUnavailable,
)
from forebay.core.events import QuestionAsked, RunFailed, ToolFinished, ToolStarted
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.agent import Agent, BlockingContext
from forebay.ports.models import Thought
from forebay.ports.tools import Tool
from forebay.runs.recorder import LightRecorder
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.attempts import InMemory, Log
from tests.support.models import NotedGroup, NotingTool, PlayedModel, played
from tests.support.waiting import Gate


class Waiting(PlayedModel):
    """A model that never says anything."""

    def __init__(self) -> None:
        super().__init__("small", [])

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        self.requests.append(request)
        await asyncio.Event().wait()
        yield ""


class Counting(NotingTool):
    """A tool that tells how often it was called."""

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        del ctx
        self.calls.append(arguments)
        return self._count(len(self.calls))

    async def _count(self, number: int) -> Json:
        return number


@agent()
async def notes(ctx: Context, text: str) -> Json:
    return await ctx.use("note", {"text": text})


def with_tools(*tools: Tool) -> InMemory:
    return InMemory(tools=ToolCatalogue({tool.name: tool for tool in tools}))


def made_agent(function: Callable[..., object]) -> Agent:
    made = agent_in(function) or agent_in(agent("shouts")(function))
    assert made is not None
    return made


def failure_of(log: Log) -> RunFailed:
    assert isinstance(log.ending, RunFailed)
    return log.ending


async def test_a_call_is_shown_with_its_arguments_and_its_result() -> None:
    log = await with_tools(NotingTool()).attempt(notes, value="hi")
    (started,), (finished,) = log.of(ToolStarted), log.of(ToolFinished)
    assert isinstance(started, ToolStarted) and isinstance(finished, ToolFinished)
    assert (started.tool, started.input) == ("note", {"text": "hi"})
    assert (finished.call, finished.output) == (started.call, {"text": "hi"})
    assert log.fold.output == {"text": "hi"}


async def test_a_tool_that_has_answered_is_not_called_again() -> None:
    tool = NotingTool()
    memory = with_tools(tool)
    whole = await memory.attempt(notes, value="hi")
    again = await memory.attempt(notes, whole.cut(len(whole.said) - 2), value="hi")
    assert (again.fold.output, len(tool.calls)) == ({"text": "hi"}, 1)


async def test_a_tool_that_blocks_is_called_in_a_thread_and_may_speak() -> None:
    log = await with_tools(NotingTool(blocks=True)).attempt(notes, value="hi")
    assert log.fold.output == ["noted ", {"text": "hi"}]


@pytest.mark.parametrize("blocks", [True, False])
async def test_a_blocking_agent_calls_tools_of_both_kinds(blocks: bool) -> None:
    @agent()
    def calls(ctx: BlockingContext, text: str) -> None:
        ctx.use("note", {"text": text})
        ctx.say("done")

    memory = with_tools(NotingTool(blocks=blocks, needs_approval=True))
    memory.answer = lambda prompt: "approve"
    whole = await memory.attempt(calls, value="hi")
    assert whole.fold.output == ("noted done" if blocks else "done")
    again = await memory.attempt(calls, whole.cut(len(whole.said) - 1), value="hi")
    assert again.fold.output == whole.fold.output


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("error", [InvalidArguments("text: too short"), ToolUnavailable("away")])
async def test_the_errors_of_tools_reach_the_agent_as_they_are(
    error: Exception, blocks: bool
) -> None:
    @agent()
    async def tries(ctx: Context) -> str:
        try:
            await ctx.use("note")
        except type(error) as raised:
            return str(raised)
        return "nothing"

    @agent()
    def tries_blocking(ctx: BlockingContext) -> str:
        try:
            ctx.use("note")
        except type(error) as raised:
            return str(raised)
        return "nothing"

    memory = with_tools(NotingTool(raises=error, blocks=blocks))
    for each in (tries, tries_blocking):
        whole = await memory.attempt(each)
        said = "noted " if blocks else ""
        assert whole.fold.output == said + str(error)
        resumed = await memory.attempt(each, whole.cut(len(whole.said) - 2))
        assert resumed.fold.output == said + str(error)


async def test_whatever_else_a_tool_raises_fails_its_step() -> None:
    log = await with_tools(NotingTool(raises=KeyError("x"))).attempt(notes, value="hi")
    assert failure_of(log).error == StepFailed.__name__
    (finished,) = log.of(ToolFinished)
    assert isinstance(finished, ToolFinished) and finished.error == "KeyError: 'x'"


async def test_a_tool_that_takes_too_long_is_left() -> None:
    class Slow(NotingTool):
        async def _answer(self, arguments: object) -> Json:
            await asyncio.Event().wait()

    log = await with_tools(Slow(timeout_seconds=0.01)).attempt(notes, value="hi")
    assert "longer than 0.01 s" in failure_of(log).message


async def test_approval_is_asked_for_before_each_call() -> None:
    tool = NotingTool(needs_approval=True)
    memory = with_tools(tool)
    memory.answer = lambda prompt: "approve"
    log = await memory.attempt(notes, value="hi")
    (asked,) = log.of(QuestionAsked)
    assert isinstance(asked, QuestionAsked)
    assert asked.prompt.text == 'May the tool note be called with {"text":"hi"}?'
    assert (log.fold.output, len(tool.calls)) == ({"text": "hi"}, 1)


async def test_the_question_names_the_group_of_the_tool() -> None:
    @agent()
    async def calls(ctx: Context) -> None:
        await ctx.use("wiki__note")

    group = NotedGroup("wiki", [NotingTool("note", needs_approval=True)])
    memory = InMemory(tools=ToolCatalogue({}, {"wiki": group}))
    memory.answer = lambda prompt: "approve"
    (asked,) = (await memory.attempt(calls)).of(QuestionAsked)
    assert isinstance(asked, QuestionAsked)
    assert asked.prompt.text == "May the tool wiki__note be called with {}?"


async def test_a_call_that_a_person_refuses_is_not_made() -> None:
    tool = NotingTool(needs_approval=True)
    memory = with_tools(tool)
    memory.answer = lambda prompt: "refuse"
    log = await memory.attempt(notes, value="hi")
    assert (failure_of(log).error, tool.calls) == (ToolRefused.__name__, [])


async def test_an_approval_counts_in_every_attempt() -> None:
    memory = with_tools(NotingTool(needs_approval=True))
    memory.answer = lambda prompt: "approve"
    whole = await memory.attempt(notes, value="hi")
    memory.answer = lambda prompt: "refuse"
    answered = 4  # submitted, started, asked, answered
    assert (await memory.attempt(notes, whole.cut(answered), value="hi")).fold.output == {
        "text": "hi"
    }


async def test_a_tool_that_was_not_granted_is_not_called() -> None:
    tool = NotingTool()
    memory = with_tools(tool)
    memory.grant = Grant(tools=("other",))
    log = await memory.attempt(notes, value="hi")
    assert (failure_of(log).error, tool.calls) == (ToolNotGranted.__name__, [])
    memory.grant = Grant(tools=("note",))
    assert (await memory.attempt(notes, value="hi")).fold.output == {"text": "hi"}


async def test_an_unknown_tool_is_named_with_the_known_ones() -> None:
    log = await with_tools(NotingTool("other")).attempt(notes, value="hi")
    assert failure_of(log).error == ToolNotFound.__name__
    assert "There are: other." in failure_of(log).message


@pytest.mark.parametrize("name", ["note", "wiki.note", "wiki__note"])
async def test_a_tool_of_a_group_is_found_by_its_name_and_by_its_group(name: str) -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        return await ctx.use(name, {"x": 1})

    group = NotedGroup("wiki", [NotingTool("other"), NotingTool("note")])
    memory = InMemory(tools=ToolCatalogue({}, {"wiki": group}))
    assert (await memory.attempt(calls)).fold.output == {"x": 1}


async def test_a_group_that_is_away_fails_only_calls_that_have_no_result_yet() -> None:
    group = NotedGroup("wiki", [NotingTool("note")])
    memory = InMemory(tools=ToolCatalogue({}, {"wiki": group}))

    @agent()
    async def calls(ctx: Context) -> Json:
        return await ctx.use("wiki.note", {"x": 1})

    whole = await memory.attempt(calls)
    group.error = ToolUnavailable("the wiki is away")
    resumed = await memory.attempt(calls, whole.cut(len(whole.said) - 2))
    anew = await memory.attempt(calls)
    assert failure_of(anew).error == ToolUnavailable.__name__
    assert resumed.fold.output == {"x": 1}


@pytest.mark.parametrize(
    ("named", "told", "called"),
    [
        (["wiki", "web"], ["wiki__search", "web__search"], (1, 1, 0)),
        (["web"], ["web__search"], (0, 1, 0)),
        (["web.search", "wiki.search"], ["web__search", "wiki__search"], (1, 1, 0)),
        (["search", "web__search"], ["search", "web__search"], (0, 1, 1)),
    ],
)
async def test_tools_of_two_groups_that_have_one_name_are_told_apart(
    named: list[str], told: list[Json], called: tuple[int, int, int]
) -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        names = [spec.name for spec in await ctx.specs(named)]
        for name in names:
            await ctx.use(name)
        return list(names)

    of_wiki, of_web, own = (NotingTool("search") for _ in range(3))
    groups = {"wiki": NotedGroup("wiki", [of_wiki]), "web": NotedGroup("web", [of_web])}
    memory = InMemory(tools=ToolCatalogue({"search": own}, groups))
    assert (await memory.attempt(calls)).fold.output == told
    assert (len(of_wiki.calls), len(of_web.calls), len(own.calls)) == called


async def test_the_catalogue_lets_go_of_its_groups() -> None:
    group = NotedGroup("wiki", [])
    await ToolCatalogue({}, {"wiki": group}).aclose()
    assert group.is_closed


async def test_calls_at_the_same_time_keep_their_results_when_the_run_is_resumed() -> None:
    tool = NotingTool()

    @agent()
    async def gathers(ctx: Context) -> list[Json]:
        return list(await asyncio.gather(*(ctx.use("note", {"n": n}) for n in (1, 2, 2))))

    memory = with_tools(tool)
    whole = await memory.attempt(gathers)
    assert whole.fold.output == [{"n": 1}, {"n": 2}, {"n": 2}]
    for length in range(2, len(whole.said)):
        again = await memory.attempt(gathers, whole.cut(length))
        assert again.fold.output == whole.fold.output


# --- grants -------------------------------------------------------------------------------------


@pytest.mark.parametrize("granted", ["note", "wiki", "wiki.note", "wiki__note"])
@pytest.mark.parametrize("name", ["note", "wiki.note", "wiki__note"])
async def test_a_grant_may_name_a_tool_in_every_form(granted: str, name: str) -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        return await ctx.use(name, {"x": 1})

    groups = {each: NotedGroup(each, [NotingTool("note")]) for each in ("wiki", "web")}
    memory = InMemory(tools=ToolCatalogue({}, groups), grant=Grant(tools=(granted,)))
    assert (await memory.attempt(calls)).fold.output == {"x": 1}


@pytest.mark.parametrize("name", ["web.note", "web__note"])
@pytest.mark.parametrize("own", [[], [NotingTool("note")]])
async def test_a_grant_is_not_for_the_tool_of_another_group_with_the_same_name(
    name: str, own: list[Tool]
) -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        return await ctx.use(name, {"x": 1})

    other = NotingTool("note")
    groups = {
        "wiki": NotedGroup("wiki", [NotingTool("note")]),
        "web": NotedGroup("web", [other]),
    }
    memory = InMemory(tools=ToolCatalogue({each.name: each for each in own}, groups))
    memory.grant = Grant(tools=("note",))
    assert failure_of(await memory.attempt(calls)).error == ToolNotGranted.__name__
    assert other.calls == []


async def test_a_granted_call_keeps_its_result_while_its_group_is_away() -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        return await ctx.use("wiki.note", {"x": 1})

    group = NotedGroup("wiki", [NotingTool("note")])
    memory = InMemory(tools=ToolCatalogue({}, {"wiki": group}), grant=Grant(tools=("wiki",)))
    whole = await memory.attempt(calls)
    group.error = ToolUnavailable("the wiki is away")
    assert (await memory.attempt(calls, whole.cut(len(whole.said) - 2))).fold.output == {"x": 1}


# --- threads ------------------------------------------------------------------------------------


SHOUTED = "YES {'text': 'hi'}"


def shouts(ctx: BlockingContext, text: str) -> str:
    """Asks a model, and calls another tool."""
    said = ctx.chat(text).text
    return f"{ctx.step('loud', said.upper)} {ctx.use('note', {'text': text})}"


def with_shouting(tool: Tool, threads: int = 4) -> InMemory:
    return InMemory(
        models=ModelCatalogue({"small": played("small", "yes")}),
        tools=ToolCatalogue({"note": NotingTool(), tool.name: tool}),
        threads=ThreadPoolExecutor(threads),
    )


@pytest.mark.parametrize("kind", ["tool", "agent"])
async def test_what_blocks_gets_a_context_that_blocks_from_an_agent_that_does_not(
    kind: str,
) -> None:
    @agent()
    async def calls(ctx: Context, text: str) -> Json:
        given = {"text": text} if kind == "tool" else {"input": text}
        return await ctx.use("shouts", given)

    tool = make_tool(shouts, "shouts") if kind == "tool" else agent_tool(made_agent(shouts))
    memory = with_shouting(tool)
    whole = await memory.attempt(calls, value="hi")
    assert whole.fold.output == SHOUTED
    for length in range(2, len(whole.said)):
        again = await with_shouting(tool).attempt(calls, whole.cut(length), value="hi")
        assert again.fold.output == SHOUTED, length


async def test_a_tool_in_a_thread_that_took_too_long_is_let_go_wherever_it_waits() -> None:
    model, ended = Waiting(), threading.Event()

    def asks(ctx: BlockingContext) -> str:
        """Asks a model that says nothing."""
        try:
            return ctx.chat("Well?").text
        finally:
            ended.set()

    @agent()
    async def calls(ctx: Context) -> bool:
        with pytest.raises(StepFailed, match="longer than"):
            await ctx.use("asks")
        return await asyncio.to_thread(ended.wait, PATIENCE_SECONDS)

    memory = with_tools(make_tool(asks, "asks", timeout_seconds=0.05))
    memory.models.models["small"] = model
    assert (await memory.attempt(calls)).fold.output is True


async def test_agents_that_occupy_all_threads_still_get_their_tools() -> None:
    @agent("middle")
    async def middle(ctx: Context, text: str) -> str:
        return str(await ctx.use("shouts", {"text": text}))

    @agent()
    def blocks(ctx: BlockingContext, text: str) -> None:
        ctx.say(str(ctx.use("middle", {"input": text})))

    memory = with_shouting(make_tool(shouts, "shouts"), threads=1)
    memory.tools.tools["middle"] = agent_tool(made_agent(middle))
    assert (await memory.attempt(blocks, value="hi")).fold.output == SHOUTED


# --- equal calls --------------------------------------------------------------------------------


async def test_equal_calls_keep_their_results_whichever_was_approved_first() -> None:
    tool = Counting(needs_approval=True)
    first_waits = Gate()
    waiting = [first_waits.passed]

    @agent()
    async def calls(ctx: Context) -> Json:
        one = asyncio.create_task(ctx.use("note"))
        await first_waits.reached()
        other = await ctx.use("note")
        first_waits.open()
        return [await one, other]

    async def think() -> None:
        if waiting:
            await waiting.pop()()

    memory = with_tools(tool)
    memory.answer = lambda prompt: "approve"
    attempt = memory.prepare(calls)
    attempt.thinks = think
    ending = await memory.execution(attempt)
    assert isinstance(attempt.recorder, LightRecorder)
    whole = Log(attempt.recorder.log, [], ending)
    assert whole.fold.output == [2, 1]
    first_waits.open()

    @agent()
    async def calls_again(ctx: Context) -> Json:
        return list(await asyncio.gather(ctx.use("note"), ctx.use("note")))

    again = await memory.attempt(calls_again, whole.cut(len(whole.said) - 1))
    assert (again.fold.output, len(tool.calls)) == ([2, 1], 2)


async def test_a_model_is_told_of_tools_that_the_run_may_use_only() -> None:
    @agent()
    async def tells(ctx: Context) -> list[str]:
        return [spec.name for spec in await ctx.specs(["wiki", "own"])]

    group = NotedGroup("wiki", [NotingTool("read"), NotingTool("write")])
    memory = InMemory(tools=ToolCatalogue({"own": NotingTool("own")}, {"wiki": group}))
    memory.grant = Grant(tools=("wiki.read",))
    assert (await memory.attempt(tells)).fold.output == ["wiki__read"]
