"""forebay.act: a model with tools, until it answers; and what is borne until then."""

import asyncio
from collections.abc import Sequence

import pytest

from forebay import Context, act, agent, tool
from forebay.authoring import FunctionAgent, agent_in
from forebay.authoring.acting import Offer, text_of
from forebay.core.errors import ToolUnavailable
from forebay.core.events import RunSucceeded
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.core.messages import Reply, ToolSpec
from tests.support.acting import HeardModel, calls_in, failure_of, said, with_model
from tests.support.attempts import InMemory, Log
from tests.support.models import NotedGroup, NotingTool


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@tool
async def breaks(why: str) -> str:
    """Breaks."""
    raise ValueError(why)


def acting(tools: Sequence[object] = (add,), **how: object) -> FunctionAgent:
    @agent("acts")
    async def acts(ctx: Context, text: str) -> None:
        await act(ctx, text, tools=tools, **how)  # pyright: ignore[reportArgumentType]

    made = agent_in(acts)
    assert isinstance(made, FunctionAgent)
    return made


def adding(a: Json = 2, b: Json = 3) -> dict[str, Json]:
    return {"add": {"a": a, "b": b}}


async def run(model: HeardModel, *tools: object, **how: object) -> Log:
    memory = with_model(model, *tools)
    named = [each.name if isinstance(each, NotingTool) else each for each in tools]
    return await memory.attempt(acting(named, **how), value="What is 2 + 3?")


# --- the loop -----------------------------------------------------------------------------------


async def test_a_model_that_calls_no_tool_has_answered() -> None:
    model = HeardModel("Just five.")
    log = await run(model)
    assert (said(log), calls_in(log), len(model.requests)) == ("Just five.", [], 1)


async def test_results_are_told_until_the_model_answers() -> None:
    model = HeardModel({"call": adding()}, {"call": adding(5, 5)}, "It is {tool}.")
    log = await run(model, add)
    assert said(log) == "It is 10."
    assert calls_in(log) == [("add", {"a": 2, "b": 3}), ("add", {"a": 5, "b": 5})]
    last = model.requests[-1].messages
    assert [(each.role, each.text) for each in last] == [
        ("user", "What is 2 + 3?"), ("assistant", ""), ("tool", "5"), ("assistant", ""),
        ("tool", "10"),
    ]  # fmt: skip
    assert last[2].answers == last[1].tool_calls[0].id


async def test_the_last_reply_is_returned() -> None:
    replies: list[Reply] = []

    @agent("asks")
    async def asks(ctx: Context, text: str) -> None:
        replies.append(await act(ctx, text, tools=[add], say=False))

    model = HeardModel({"say": "Wait.", "call": adding()}, "Five.")
    log = await with_model(model, add).attempt(asks)
    assert ([reply.text for reply in replies], said(log)) == (["Five."], "")


async def test_what_is_said_beside_calls_is_a_paragraph_of_the_answer() -> None:
    log = await run(HeardModel({"say": "Let me add.", "call": adding()}, "It is {tool}."), add)
    assert said(log) == "Let me add.\n\nIt is 5."


async def test_tools_are_named_or_the_functions_themselves_or_groups() -> None:
    group = NotedGroup("house", [NotingTool("lamp")])
    model = HeardModel({"call": {"house__lamp": {"on": True}}}, "Done.")
    memory = with_model(model, add, groups=[group])
    log = await memory.attempt(acting(["house", add]), value="Light!")
    assert [spec.name for spec in model.requests[0].tools] == ["house__lamp", "add"]
    assert calls_in(log) == [("house__lamp", {"on": True})]


async def test_a_function_that_is_no_tool_is_refused() -> None:
    log = await with_model(HeardModel("x")).attempt(acting([run]))
    assert "is not a tool" in failure_of(log).message


async def test_a_tool_that_is_not_there_fails_the_run_at_once() -> None:
    model = HeardModel("x")
    log = await with_model(model, add).attempt(acting(["adder"]))
    assert failure_of(log).error == "ToolNotFound"
    assert "No tool is called 'adder'" in failure_of(log).message
    assert model.requests == []


async def test_a_group_out_of_reach_fails_the_run_with_its_reason() -> None:
    group = NotedGroup("house", [], ToolUnavailable("The house does not answer."))
    log = await with_model(HeardModel("x"), groups=[group]).attempt(acting(["house"]))
    assert failure_of(log).error == "ToolUnavailable"
    assert failure_of(log).message == "The house does not answer."


async def test_a_name_that_models_do_not_take_is_written_in_another_way() -> None:
    note = NotingTool("my.house/lamp")
    model = HeardModel({"call": {"my__house_lamp": {"on": 1}}}, "Done.")
    log = await run(model, note)
    assert [spec.name for spec in model.requests[0].tools] == ["my__house_lamp"]
    assert (calls_in(log), said(log)) == ([("my.house/lamp", {"on": 1})], "Done.")


def test_names_stay_apart_and_short() -> None:
    long = "x" * 70
    offer = Offer.of([ToolSpec(name, "", {}) for name in ("a.b", "a__b", "a b", long, long + "y")])
    names = list(offer.names)
    assert names[:3] == ["a__b", "a__b_2", "a_b"]
    assert len(set(names)) == 5 and max(map(len, names)) == 64
    assert [offer.tool(name) for name in names] == ["a.b", "a__b", "a b", long, long + "y"]


def test_a_tool_that_is_named_twice_is_offered_once() -> None:
    assert len(Offer.of([ToolSpec("add", "", {}), ToolSpec("add", "", {})]).specs) == 1


async def test_the_result_of_a_direct_tool_is_the_answer() -> None:
    model = HeardModel({"call": adding()})
    log = await run(model, add, direct=["add"])
    assert (said(log), len(model.requests)) == ("5", 1)


async def test_a_direct_tool_that_fails_is_told_to_the_model() -> None:
    model = HeardModel({"call": {"breaks": {"why": "no"}}}, "Sorry.")
    assert said(await run(model, breaks, direct=["breaks"])) == "Sorry."


# --- several calls ------------------------------------------------------------------------------


class Meeting:
    """Calls that wait for one another."""

    def __init__(self, count: int) -> None:
        self.order: list[str] = []
        self._everybody = asyncio.Barrier(count)

        @tool
        async def meet(name: str) -> str:
            """Waits for the others."""
            self.order.append(name)
            await self._everybody.wait()
            return name

        self.tool = meet


async def test_the_calls_of_a_round_are_made_at_the_same_time() -> None:
    meeting = Meeting(3)
    calls: list[Json] = [{"meet": {"name": name}} for name in "abc"]
    model = HeardModel({"call": calls}, "Done.")
    log = await run(model, meeting.tool)
    assert isinstance(log.ending, RunSucceeded)
    assert meeting.order == ["a", "b", "c"]
    assert [text for role, text in model.told() if role == "tool"] == ["a", "b", "c"]


async def test_they_can_be_made_one_after_the_other() -> None:
    under_way: list[str] = []

    @tool
    async def alone(name: str) -> str:
        """Is alone."""
        under_way.append(name)
        await asyncio.sleep(0)
        assert under_way == [name]
        under_way.clear()
        return name

    calls: list[Json] = [{"alone": {"name": name}} for name in "abc"]
    log = await run(HeardModel({"call": calls}, "Done."), alone, parallel=False)
    assert said(log) == "Done."


async def test_equal_calls_of_a_round_are_all_made() -> None:
    note = NotingTool()
    calls: list[Json] = [{"note": {"x": 1}}, {"note": {"x": 1}}]
    await run(HeardModel({"call": calls}, "Done."), note)
    assert len(note.calls) == 2


async def test_a_budget_that_is_used_up_in_one_call_ends_the_others() -> None:
    began = asyncio.Event()
    ended: list[str] = []

    @tool
    async def waits() -> str:
        """Waits for ever."""
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")
        return ""

    @tool
    async def spends(ctx: Context) -> None:
        """Does steps without end."""
        await began.wait()
        for number in range(100):
            await ctx.step("one", int, number)

    memory = with_model(HeardModel({"call": {"waits": {}, "spends": {}}}), waits, spends)
    memory.grant = Grant(max_steps=6)
    log = await memory.attempt(acting([waits, spends]))
    assert (failure_of(log).reason, ended) == ("step_budget", ["waits"])


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ['{"a": 2, "b"', "[1]", '"a=2"', "NaN", "{'a': 2}"])
async def test_arguments_that_are_no_object_are_told_once(arguments: str) -> None:
    model = HeardModel({"call": {"add": arguments}}, {"call": adding()}, "It is {tool}.")
    log = await run(model, add)
    assert said(log) == "It is 5."
    told = model.told(1)[-1][1]
    assert "cannot be read" in told and arguments in told
    # What is no JSON is not shown to the provider again: some break on it.
    assert model.requests[1].messages[1].tool_calls[0].arguments == "{}"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [("", {}), ("null", {}), ('"{\\"x\\": 1}"', {"x": 1}), ('{"x": "a\nb"}', {"x": "a\nb"})],
)
async def test_arguments_that_can_be_understood_are(arguments: str, meant: Json) -> None:
    log = await run(HeardModel({"call": {"note": arguments}}, "Done."), NotingTool())
    assert calls_in(log) == [("note", meant)]


async def test_arguments_that_cannot_be_read_twice_fail_the_run() -> None:
    model = HeardModel({"call": {"add": "{"}}, {"call": {"add": "{{"}}, "never")
    log = await run(model, add)
    assert failure_of(log).error == "MalformedReply"
    assert "has done it again" in failure_of(log).message
    assert "add" in failure_of(log).message and len(model.requests) == 2


async def test_arguments_that_the_tool_does_not_take_are_told_once() -> None:
    model = HeardModel({"call": adding("two")}, {"call": adding("three")}, "never")
    log = await run(model, add)
    assert "add does not take these arguments" in model.told(1)[-1][1]
    assert failure_of(log).error == "MalformedReply"


async def test_after_a_good_call_a_bad_one_is_told_again() -> None:
    model = HeardModel(
        {"call": {"add": "{"}}, {"call": adding()}, {"call": {"add": "{"}}, {"call": adding()},
        "It is {tool}.",
    )  # fmt: skip
    assert said(await run(model, add)) == "It is 5."


async def test_each_tool_may_be_called_wrongly_once() -> None:
    model = HeardModel(
        {"call": {"add": "{"}}, {"call": {"note": "{"}}, {"call": {"add": "{"}}, "never"
    )
    log = await run(model, add, NotingTool())
    assert failure_of(log).error == "MalformedReply"
    assert len(model.requests) == 3


async def test_an_unknown_tool_is_told_once_with_those_that_there_are() -> None:
    model = HeardModel({"call": {"sum": {}}}, {"call": adding()}, "It is {tool}.")
    log = await run(model, add)
    assert said(log) == "It is 5."
    assert model.told(1)[-1] == ("tool", "There is no tool 'sum'. There are: add.")


async def test_two_unknown_tools_fail_the_run() -> None:
    log = await run(HeardModel({"call": {"sum": {}}}, {"call": {"total": {}}}, "never"), add)
    assert failure_of(log).error == "MalformedReply"
    assert "There is no tool 'total'" in failure_of(log).message


async def test_a_tool_that_was_not_offered_cannot_be_called() -> None:
    note = NotingTool()
    memory = with_model(HeardModel({"call": {"note": {}}}, "Done."), add, note)
    log = await memory.attempt(acting([add]))
    assert (note.calls, said(log)) == ([], "Done.")


async def test_what_a_tool_raises_is_told() -> None:
    model = HeardModel({"call": {"breaks": {"why": "no wind"}}}, "Sorry.")
    assert said(await run(model, breaks)) == "Sorry."
    assert model.told()[-1] == ("tool", "The tool breaks has failed: no wind")


async def test_tools_that_fail_again_and_again_fail_the_run() -> None:
    model = HeardModel(*({"call": {"breaks": {"why": str(at)}}} for at in range(9)))
    log = await run(model, breaks)
    assert failure_of(log).error == "ToolError"
    assert failure_of(log).message == (
        "The tool breaks has failed: 3 That is failure 4 in a row (max_tool_failures)."
    )
    assert len(model.requests) == 4


async def test_a_call_that_works_lets_tools_fail_again() -> None:
    failing = {"call": {"breaks": {"why": "no"}}}
    model = HeardModel(failing, failing, {"call": adding()}, failing, failing, "Done.")
    assert said(await run(model, breaks, add, max_tool_failures=2)) == "Done."


async def test_without_patience_the_first_failure_fails_the_run() -> None:
    log = await run(HeardModel({"call": {"breaks": {"why": "no"}}}), breaks, max_tool_failures=0)
    assert failure_of(log).message == "The tool breaks has failed: no"


async def test_a_refusal_is_told() -> None:
    note = NotingTool(needs_approval=True)
    model = HeardModel({"call": {"note": {}}}, "All right.")
    memory = with_model(model, note)
    memory.answer = lambda prompt: "refuse"
    log = await memory.attempt(acting([note.name]))
    assert (said(log), note.calls) == ("All right.", [])
    assert "was refused" in model.told()[-1][1]


async def test_a_call_that_takes_too_long_is_told() -> None:
    @tool(timeout_seconds=0.01)
    async def slow() -> str:
        """Takes for ever."""
        await asyncio.Event().wait()
        return ""

    model = HeardModel({"call": {"slow": {}}}, "Too slow.")
    assert said(await run(model, slow)) == "Too slow."
    assert "It took longer than 0.01 s" in model.told()[-1][1]


async def test_a_model_that_never_answers_is_stopped() -> None:
    model = HeardModel(*({"call": adding(at)} for at in range(9)))
    log = await run(model, add, max_rounds=3)
    assert failure_of(log).error == "ModelError"
    assert "after 3 rounds (max_rounds)" in failure_of(log).message
    assert (len(model.requests), len(calls_in(log))) == (4, 3)


async def test_what_the_model_raises_is_raised() -> None:
    log = await run(HeardModel({"fail": "key_refused", "message": "Wrong key."}), add)
    assert (failure_of(log).error, failure_of(log).message) == ("KeyRefused", "Wrong key.")


# --- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("text", "text"), ({"a": "é"}, '{"a":"é"}'), (None, "It has returned nothing."),
        ("", "It has returned nothing."), (0, "0"), (False, "false"), ([], "[]"),
    ],
)  # fmt: skip
def test_a_result_is_text(result: Json, text: str) -> None:
    assert text_of(result) == text


def test_a_large_result_is_cut_and_says_so() -> None:
    text = text_of("x" * 150_000)
    assert len(text) < 100_200
    assert text.endswith("[Cut: these are the first 100000 of 150000 characters.]")


# --- resuming -----------------------------------------------------------------------------------


def resumable() -> tuple[HeardModel, InMemory, FunctionAgent, NotingTool]:
    note = NotingTool()
    calls: list[Json] = [{"notes__note": {"x": at % 2}} for at in range(3)]
    model = HeardModel(
        {"say": "First.", "call": calls}, {"call": {"notes__note": {"x": 9}}}, "Done."
    )
    group = NotedGroup("notes", [note])
    return model, with_model(model, groups=[group]), acting(["notes"]), note


async def test_a_resumed_run_does_what_is_left_and_says_the_same() -> None:
    _, memory, agent, _ = resumable()
    whole = await memory.attempt(agent, value="Go!")
    for length in range(2, len(whole.said)):
        model, memory, agent, note = resumable()
        resumed = await memory.attempt(agent, whole.cut(length), value="Go!")
        assert said(resumed) == "First.\n\nDone."
        assert resumed.finished() == whole.finished()
        done = len(whole.cut(length).finished())
        assert len(model.requests) + len(note.calls) + done <= 9


async def test_a_resumed_run_offers_the_same_tools_whatever_the_server_says_now() -> None:
    _, memory, agent, _ = resumable()
    whole = await memory.attempt(agent, value="Go!")
    model, memory, agent, _ = resumable()
    group = memory.tools.groups["notes"]
    assert isinstance(group, NotedGroup)
    group.error = ToolUnavailable("It is away.")
    resumed = await memory.attempt(agent, whole.cut(len(whole.said) - 1), value="Go!")
    assert isinstance(resumed.ending, RunSucceeded)
    assert model.requests == []
