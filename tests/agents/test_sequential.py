"""sequential_executor: the order of the functions, and what they hand on."""

from collections.abc import AsyncGenerator

import pydantic
import pytest

from forebay import Context, agent, tool
from forebay.authoring import agent_in
from forebay.core.events import OutputChunk, OutputValue
from forebay.core.grant import Grant
from forebay.core.json import Json
from forebay.ports.agent import Agent
from tests.support.acting import (
    HeardModel,
    ItsParts,
    answer,
    as_tools,
    built,
    calls_in,
    failure_of,
    said,
    with_model,
)
from tests.support.attempts import Log


@tool
async def upper(text: str) -> str:
    """Makes it loud."""
    return text.upper()


@tool
async def count(text: str) -> dict[str, int]:
    """Counts."""
    return {"width": len(text), "height": 2}


@tool
async def area(width: int, height: int) -> int:
    """Multiplies."""
    return width * height


@tool
async def breaks(text: str) -> str:
    """Breaks."""
    raise ValueError(f"no {text}")


@agent("poet", description="Writes poems")
async def poet(ctx: Context, text: str) -> AsyncGenerator[str]:
    del ctx
    yield f"O {text}"
    yield "!"


POET = agent_in(poet)
assert POET is not None
AGENTS: dict[str, Agent] = {"poet": POET}


async def run(*tools: str, value: Json = "rome", **config: object) -> Log:
    agent = built("sequential_executor", ItsParts(agents=AGENTS), tool_list=[*tools], **config)
    memory = with_model(HeardModel(), upper, count, area, breaks, *as_tools(AGENTS))
    return await answer(memory, agent, value)


async def test_each_function_gets_what_the_one_before_returned() -> None:
    log = await run("upper", "count", "area")
    assert calls_in(log) == [
        ("upper", {"text": "rome"}),
        ("count", {"text": "ROME"}),
        ("area", {"width": 4, "height": 2}),
    ]
    assert [each.value for each in log.events if isinstance(each, OutputValue)] == [8]


async def test_a_function_may_come_twice() -> None:
    assert said(await run("upper", "upper")) == "ROME"


async def test_what_the_last_agent_says_is_streamed() -> None:
    log = await run("upper", "poet")
    assert [each.text for each in log.events if isinstance(each, OutputChunk)] == ["O ROME", "!"]


async def test_an_agent_in_the_middle_hands_on_what_it_says() -> None:
    assert said(await run("poet", "upper")) == "O ROME!"


@pytest.mark.parametrize(
    "value",
    [
        "rome",
        {"input_message": "rome"},
        [{"role": "user", "content": "rome"}],
        {"messages": [{"role": "user", "content": "rome"}]},
        {"text": "rome"},
    ],
)
async def test_the_first_gets_what_is_asked(value: Json) -> None:
    assert said(await run("upper", value=value)) == "ROME"


async def test_what_fails_is_named_and_ends_it() -> None:
    log = await run("upper", "breaks", "count")
    assert failure_of(log).message == "breaks, number 2 of 3, has failed: no ROME"
    assert [tool for tool, _ in calls_in(log)] == ["upper", "breaks"]


async def test_a_value_that_does_not_fit_fails_it() -> None:
    message = failure_of(await run("upper", "area")).message
    assert message == "area, number 2 of 2, has failed: area needs an object with: width, height."


async def test_a_failure_can_be_the_answer() -> None:
    log = await run("breaks", "count", return_error_on_exception=True)
    assert said(log) == "Error in breaks: ValueError: no rome"


async def test_a_resumed_run_goes_on_where_it_was() -> None:
    whole = await run("upper", "poet")
    for length in range(2, len(whole.said)):
        sequence = built(
            "sequential_executor", ItsParts(agents=AGENTS), tool_list=["upper", "poet"]
        )
        memory = with_model(HeardModel(), upper, *as_tools(AGENTS))
        resumed = await memory.attempt(sequence, whole.cut(length), value="rome")
        assert said(resumed) == "O ROME!"
        assert resumed.finished() == whole.finished()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tool_list": []}, "at least 1 item"),
        ({"tool_execution_config": {"b": {}}}, "names what is not in tool_list: b"),
        ({"tool_execution_config": {"a": {"streaming": True}}}, "Extra inputs"),
    ],
)
def test_what_a_file_may_say(config: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        built("sequential_executor", **{"tool_list": ["a"], **config})


async def test_a_sequence_with_a_function_that_was_not_granted_does_not_begin() -> None:
    sequence = built(
        "sequential_executor", ItsParts(agents=AGENTS), tool_list=["upper", "count", "area"]
    )
    memory = with_model(HeardModel("x"), upper, count, area)
    memory.grant = Grant(tools=("upper", "area"))
    log = await answer(memory, sequence, "hi")
    assert (failure_of(log).error, calls_in(log)) == ("ToolNotGranted", [])
