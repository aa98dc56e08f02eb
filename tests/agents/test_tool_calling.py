"""tool_calling_agent and chat_completion: a model with tools, and one without."""

import pydantic
import pytest

from forebay import tool
from forebay.core.json import Json
from tests.support.acting import HeardModel, answer, built, calls_in, failure_of, said, with_model
from tests.support.attempts import Log
from tests.support.models import NotedGroup, NotingTool

CALL = {"call": {"adder": {"text": "2 + 3"}}}


@tool
async def adder(text: str) -> str:
    """Adds."""
    return str(sum(int(each) for each in text.split("+")))


@tool
async def breaks() -> str:
    """Breaks."""
    raise ValueError("no wind")


async def run(model: HeardModel, value: Json = "what is 2+3", **config: object) -> Log:
    agent = built(
        "tool_calling_agent", **{"llm_name": "small", "tool_names": ["adder", "breaks"], **config}
    )
    group = NotedGroup("house", [NotingTool("lamp")])
    return await answer(with_model(model, adder, breaks, groups=[group]), agent, value)


async def test_it_calls_tools_and_answers() -> None:
    model = HeardModel(CALL, "The tool said: {tool}")
    log = await run(model)
    assert (said(log), calls_in(log)) == ("The tool said: 5", [("adder", {"text": "2 + 3"})])
    assert [spec.name for spec in model.requests[0].tools] == ["adder", "breaks"]
    assert model.told(0) == [("user", "what is 2+3")]


async def test_it_is_told_how_to_answer() -> None:
    model = HeardModel("x")
    await run(model, system_prompt="Be brief.", additional_instructions="Be kind.")
    assert model.told(0)[0] == ("system", "Be brief.\n\nBe kind.")


async def test_it_remembers_so_many_messages() -> None:
    model = HeardModel("x")
    messages: list[Json] = [{"role": "user", "content": str(at)} for at in range(30)]
    await run(model, {"messages": messages})
    assert len(model.told(0)) == 15
    await run(model, messages, max_history=1)
    assert model.told() == [("user", "29")]


async def test_the_result_of_a_tool_can_be_the_answer() -> None:
    model = HeardModel(CALL)
    assert said(await run(model, return_direct=["adder"])) == "5"


@pytest.mark.parametrize("names", [["house"], ["house.lamp"]])
@pytest.mark.parametrize("direct", ["house", "house.lamp", "house__lamp"])
async def test_the_result_of_a_group_s_tool_can_be_the_answer(
    names: list[Json], direct: str
) -> None:
    lamp = HeardModel({"call": {"house__lamp": {"on": 1}}}, "Not this.")
    log = await run(lamp, tool_names=names, return_direct=[direct])
    assert said(log) == '{"on":1}'


async def test_failures_of_tools_are_told_or_fail_the_run() -> None:
    failing: dict[str, Json] = {"call": {"breaks": {}}}
    assert said(await run(HeardModel(failing, "Sorry."))) == "Sorry."
    log = await run(HeardModel(failing, "Sorry."), handle_tool_errors=False)
    assert failure_of(log).message == "The tool breaks has failed: no wind"


async def test_there_is_an_end() -> None:
    log = await run(HeardModel(*[CALL] * 9), max_iterations=2)
    assert "after 2 rounds (max_iterations)" in failure_of(log).message
    assert len(calls_in(log)) == 2


async def test_an_empty_answer_fails_the_run() -> None:
    model = HeardModel({"chunks": []})
    assert "has answered with nothing" in failure_of(await run(model)).message
    assert len(model.requests) == 1


async def test_it_can_be_asked_again_for_an_empty_answer() -> None:
    model = HeardModel({"chunks": []})
    failure_of(await run(model, max_empty_response_retries=2))
    assert len(model.requests) == 3


@pytest.mark.parametrize(
    ("retry", "limits"),
    [
        ({"max_retries": 2, "token_increment": 50}, [None, 150, 200]),
        ({"max_retries": 2, "token_scaling": 1.5}, [None, 151, 227]),
        ({"max_retries": 1}, [None, 1124]),
        ({}, [None]),
    ],
)
async def test_an_answer_that_is_cut_off_can_be_asked_for_with_more_tokens(
    retry: object, limits: list[int | None]
) -> None:
    cut = {"say": "half", "finish": "length", "usage": {"output_tokens": 100}}
    model = HeardModel(cut)
    log = await run(model, truncation_retry=retry)
    assert [request.max_tokens for request in model.requests] == limits
    assert said(log) == "half"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tool_names": []}, "at least 1 item"),
        ({"max_iterations": 0}, "greater than or equal to 1"),
        ({"max_itertions": 3}, "Extra inputs are not permitted"),
        ({"truncation_retry": {"token_increment": 1, "token_scaling": 2}}, "not both"),
    ],
)
def test_what_a_file_may_say(config: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        built("tool_calling_agent", **{"llm_name": "small", "tool_names": ["adder"], **config})


# --- without tools ------------------------------------------------------------------------------


async def test_chat_completion_tells_the_conversation_and_streams_the_answer() -> None:
    model = HeardModel("one", "It is five.")
    agent = built("chat_completion", llm_name="small", system_prompt="Be brief.")
    said_before: list[Json] = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "one"},
        {"role": "user", "content": "and?"},
    ]  # fmt: skip
    log = await answer(with_model(model), agent, said_before)
    assert said(log) == "It is five."
    assert model.told() == [
        ("system", "Be brief."), ("user", "hi"), ("assistant", "one"), ("user", "and?"),
    ]  # fmt: skip


async def test_chat_completion_fails_with_what_the_model_says() -> None:
    agent = built("chat_completion", llm_name="small")
    log = await answer(with_model(HeardModel({"fail": "rate_limited"})), agent, "hi")
    assert failure_of(log).error == "RateLimited"
