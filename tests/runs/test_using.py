"""ctx.use: a tool's call in the log, approval by a person, its failures, and resuming."""

import asyncio

import pytest

from forebay import Context, agent
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
from forebay.ports.agent import BlockingContext
from forebay.ports.tools import Tool
from tests.support.attempts import InMemory, Log
from tests.support.models import NotedGroup, NotingTool


@agent()
async def notes(ctx: Context, text: str) -> Json:
    return await ctx.use("note", {"text": text})


def with_tools(*tools: Tool) -> InMemory:
    return InMemory(tools=ToolCatalogue({tool.name: tool for tool in tools}))


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


async def test_tools_of_two_groups_that_have_one_name_are_told_apart() -> None:
    @agent()
    async def calls(ctx: Context) -> Json:
        names = [spec.name for spec in await ctx.specs(["wiki", "web"])]
        for name in names:
            await ctx.use(name)
        return list(names)

    of_wiki, of_web = NotingTool("search"), NotingTool("search")
    groups = {"wiki": NotedGroup("wiki", [of_wiki]), "web": NotedGroup("web", [of_web])}
    memory = InMemory(tools=ToolCatalogue({}, groups))
    assert (await memory.attempt(calls)).fold.output == ["search", "web__search"]
    assert (len(of_wiki.calls), len(of_web.calls)) == (1, 1)


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
