"""router_agent: whom the model chooses, and what becomes of it."""

from collections.abc import AsyncGenerator

import pydantic
import pytest

from forebay import BlockingContext, Context, Message, agent, tool
from forebay.authoring import agent_in
from forebay.builtins.agents.router import choice_in
from forebay.core.events import OutputChunk
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
async def weather(place: str) -> str:
    """Tells the weather."""
    return f"Rain in {place}."


@agent("poet", description="Writes poems")
async def poet(ctx: Context, messages: list[Message]) -> AsyncGenerator[str]:
    del ctx
    for message in messages:
        yield f"{message.content}! "


@agent("clerk", description="Writes letters")
def clerk(ctx: BlockingContext, text: str) -> str:
    del ctx
    return f"Dear {text},"


@agent("helper", description="Asks a model")
async def helper(ctx: Context, text: str) -> str:
    await ctx.chat(text, say=True)
    return " At your service."


AGENTS: dict[str, Agent] = {
    made.name: made for each in (poet, clerk, helper) if (made := agent_in(each)) is not None
}


async def run(model: HeardModel, value: Json = "rome", **config: object) -> Log:
    router = built(
        "router_agent",
        ItsParts(agents=AGENTS),
        **{"llm_name": "small", "branches": ["weather", "poet", "clerk"], **config},
    )
    return await answer(with_model(model, weather, *as_tools(AGENTS)), router, value)


async def test_the_function_that_is_chosen_answers() -> None:
    model = HeardModel("weather")
    log = await run(model)
    assert (said(log), calls_in(log)) == ("Rain in rome.", [("weather", {"place": "rome"})])
    system = model.told()[0][1]
    assert "weather: Tells the weather.\npoet: Writes poems" in system
    assert "one of: weather, poet, clerk" in system
    assert model.told()[1][1].endswith("The request:\nrome\n")


@pytest.mark.parametrize("branch", ["poet", "weather"])
async def test_a_function_that_was_not_granted_does_not_answer(branch: str) -> None:
    router = built(
        "router_agent", ItsParts(agents=AGENTS), llm_name="small", branches=["poet", "weather"]
    )
    memory = with_model(HeardModel(branch), weather, *as_tools(AGENTS))
    memory.grant = Grant(tools=("clerk",))
    log = await answer(memory, router, "rome")
    assert (failure_of(log).error, said(log)) == ("ToolNotGranted", "")


async def test_of_functions_only_those_that_were_granted_can_be_chosen() -> None:
    router = built(
        "router_agent", ItsParts(agents=AGENTS), llm_name="small", branches=["poet", "weather"]
    )
    memory = with_model(HeardModel("weather"), weather, *as_tools(AGENTS))
    memory.grant = Grant(tools=("poet",))
    assert said(await answer(memory, router, "rome")) == "rome! "


async def test_what_an_agent_says_is_streamed() -> None:
    log = await run(HeardModel("poet"))
    assert [each.text for each in log.events if isinstance(each, OutputChunk)] == ["rome! "]
    assert [tool for tool, _ in calls_in(log)] == ["poet"]


async def test_an_agent_that_can_take_the_conversation_gets_it() -> None:
    messages: list[Json] = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "bye"},
    ]  # fmt: skip
    model = HeardModel("?", "poet")
    assert said(await run(model, messages)) == "hi! ho! bye! "
    assert "user: hi\nassistant: ho\n\nThe request:\nbye" in model.told(0)[1][1]


async def test_an_agent_that_blocks_answers_too() -> None:
    assert said(await run(HeardModel("clerk"))) == "Dear rome,"


async def test_an_agent_may_ask_a_model_itself() -> None:
    model = HeardModel("helper", "Yes.")
    log = await run(model, branches=["helper", "clerk"])
    assert said(log) == "helper At your service."


async def test_a_choice_that_is_none_is_told() -> None:
    model = HeardModel("the mayor", "poet")
    assert said(await run(model)) == "rome! "
    assert model.told()[-2:] == [
        ("assistant", "the mayor"),
        ("user", "Write one of these names and nothing else: weather, poet, clerk"),
    ]


async def test_choices_that_are_none_again_and_again_fail_the_run() -> None:
    model = HeardModel(*["the mayor"] * 9)
    log = await run(model, max_router_retries=2)
    assert failure_of(log).error == "ModelError"
    assert "chosen none of weather, poet, clerk (max_router_retries)" in failure_of(log).message
    assert len(model.requests) == 3


async def test_where_there_is_no_choice_nobody_is_asked() -> None:
    model = HeardModel()
    assert said(await run(model, branches=["weather"])) == "Rain in rome."
    assert model.requests == []


async def test_a_resumed_run_takes_the_same_branch() -> None:
    whole = await run(HeardModel("poet"))
    router = built(
        "router_agent", ItsParts(agents=AGENTS), llm_name="small", branches=["weather", "poet"]
    )
    model = HeardModel("weather")
    memory = with_model(model, weather, *as_tools(AGENTS))
    whole = await memory.attempt(router, value=router.read_input("rome"))
    cut = whole.cut(len(whole.said) - 1)
    resumed = await with_model(HeardModel("poet"), weather, *as_tools(AGENTS)).attempt(
        router, cut, value=router.read_input("rome")
    )
    assert said(resumed) == "Rain in rome."


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("weather", "weather"),
        ("  **Weather**.\n", "weather"),
        ("I choose `poet` for this.", "poet"),
        ("Not the weather but the poet", None),
        ("poet\n\nNot weather, because it is about words.", "poet"),
        ("weather and poet fit.\npoet", "poet"),
        ("<think>weather or poet</think>poet", "poet"),
        ('{"branch": "poet"}', "poet"),
        ("poets", None),
        ("clerk-2", "clerk-2"),
        ("", None),
    ],
)
def test_the_name_is_found_in_a_reply(text: str, choice: str | None) -> None:
    assert choice_in(text, ["weather", "poet", "clerk", "clerk-2"]) == choice


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"branches": []}, "at least 1 item"),
        ({"system_prompt": "Choose."}, r"needs \{branches\} and \{branch_names\}"),
        ({"user_prompt": "{request}"}, r"needs \{chat_history\}"),
    ],
)
def test_what_a_file_may_say(config: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        built("router_agent", **{"llm_name": "small", "branches": ["a"], **config})
