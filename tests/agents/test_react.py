"""react_agent: thinking aloud with tools, from the question to the answer."""

import asyncio
from collections.abc import AsyncGenerator

import pydantic
import pytest

from forebay import tool
from forebay.builtins.agents.conversation import Conversation
from forebay.core.errors import ModelRefused
from forebay.core.events import ModelChunk, OutputChunk
from forebay.core.json import Json
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.models import Thought
from forebay.testing.clock import ManualClock
from tests.support.acting import (
    HeardModel,
    ItsParts,
    answer,
    built,
    calls_in,
    failure_of,
    said,
    with_model,
)
from tests.support.attempts import Log
from tests.support.models import NotingTool
from tests.support.waiting import until

USE = 'Thought: I use it.\nAction: adder\nAction Input: {"text": "2 + 3"}'
DONE = "Thought: I know.\nFinal Answer: it is done"


@tool
async def adder(text: str) -> str:
    """Adds what
    stands there."""
    return str(sum(int(each) for each in text.split("+")))


@tool
async def breaks(why: str) -> str:
    """Breaks."""
    raise ValueError(why)


async def run(
    model: HeardModel, *tools: object, value: Json = "what is 2+3", **config: object
) -> Log:
    names: list[Json] = [
        getattr(each, "__name__", None) or getattr(each, "name", "") for each in tools
    ]
    agent = built("react_agent", llm_name="small", tool_names=names or ["adder"], **config)
    return await answer(with_model(model, *(tools or (adder,))), agent, value)


# --- the loop -----------------------------------------------------------------------------------


async def test_it_thinks_acts_observes_and_answers() -> None:
    model = HeardModel(USE, DONE)
    log = await run(model)
    assert (said(log), calls_in(log)) == ("it is done", [("adder", {"text": "2 + 3"})])
    assert model.told()[1:] == [
        ("user", "what is 2+3"),
        ("assistant", USE),
        ("user", "Observation: 5"),
    ]
    assert model.requests[0].stop == ("Observation:",)
    assert model.requests[0].tools == ()


async def test_the_answer_is_said_as_it_comes_and_thoughts_are_not() -> None:
    pieces = ["Thought: hm\nFin", "al Answ", "er:", " it", " is", " done"]
    log = await run(HeardModel({"chunks": pieces}))
    assert [each.text for each in log.events if isinstance(each, OutputChunk)] == [
        "it",
        " is",
        " done",
    ]
    thoughts = "".join(each.text for each in log.events if isinstance(each, ModelChunk))
    assert thoughts == "Thought: hm\nFinal Answer: "


async def test_an_answer_in_no_form_is_an_answer() -> None:
    assert said(await run(HeardModel("Hello there!"))) == "Hello there!"


async def test_what_the_model_imagines_to_observe_is_not_believed() -> None:
    model = HeardModel({"chunks": [f"{USE}\nObser"]}, DONE)
    await run(model)
    imagined = HeardModel(f"{USE}\nObservation : 17\nFinal Answer: 17", DONE)
    log = await run(imagined)
    assert said(log) == "it is done"
    assert imagined.told()[-2:] == [("assistant", USE), ("user", "Observation: 5")]


async def test_history_comes_before_the_question() -> None:
    model = HeardModel("x", DONE)
    messages: list[Json] = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"}, {"role": "user", "content": "bye"},
    ]  # fmt: skip
    await run(model, value={"messages": messages})
    told = model.told(0)
    assert [role for role, _ in told] == ["system", "user", "assistant", "user"]
    assert told[0][1].endswith("\n\nBe brief.")


async def test_old_history_is_forgotten() -> None:
    model = HeardModel(*["x"] * 9, DONE, config=None)
    messages: list[Json] = [{"role": "user", "content": str(at)} for at in range(9)]
    await run(model, value=messages, max_history=2)
    assert [text for role, text in model.told(0) if role == "user"] == ["7", "8"]


# --- the prompt ---------------------------------------------------------------------------------


async def test_the_prompt_describes_the_tools() -> None:
    model = HeardModel(DONE)
    await run(model)
    (_, prompt), *_ = model.told(0)
    assert "adder: Adds what stands there. Its input: {" in prompt
    assert '"text":{"type":"string"}' in prompt
    assert "one of adder" in prompt


async def test_the_prompt_can_be_another_one() -> None:
    model = HeardModel(DONE)
    await run(
        model,
        system_prompt='Tools: {tools} ({tool_names}). Write {{"a": 1}} or {other}.',
        additional_instructions="Be kind.",
        include_tool_input_schema_in_tool_description=False,
    )
    assert model.told(0)[0][1] == (
        'Tools: adder: Adds what stands there. (adder). Write {"a": 1} or {other}.\n\nBe kind.'
    )


def test_a_prompt_without_places_for_tools_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"needs \{tools\} and \{tool_names\}"):
        built("react_agent", llm_name="small", tool_names=["adder"], system_prompt="Hi.")


# --- what goes wrong ----------------------------------------------------------------------------


async def test_what_is_in_no_form_is_told_and_forgotten_when_the_model_does_better() -> None:
    model = HeardModel("Thought: hm.", USE, DONE)
    assert said(await run(model)) == "it is done"
    assert model.told(1)[-2] == ("assistant", "Thought: hm.")
    assert "neither an action nor a final answer" in model.told(1)[-1][1]
    assert "Thought: hm." not in [text for _, text in model.told()]


async def test_no_text_at_all_is_told() -> None:
    model = HeardModel({"chunks": []}, DONE)
    failure = failure_of(await run(model, max_retries=2))
    assert "There is no text" in failure.message
    assert [role for role, _ in model.told()] == ["system", "user", "user", "user"]


async def test_what_is_in_no_form_again_fails_the_run() -> None:
    log = await run(HeardModel("Thought: a.", "Thought: b."))
    assert failure_of(log).error == "MalformedReply"
    assert "parse_agent_response_max_retries" in failure_of(log).message


@pytest.mark.parametrize(
    "config", [{"retry_parsing_errors": False}, {"max_retries": 0}], ids=["off", "none"]
)
async def test_retries_can_be_switched_off(config: dict[str, Json]) -> None:
    model = HeardModel("Thought: a.", DONE)
    failure_of(await run(model, **config))
    assert len(model.requests) == 1


async def test_what_is_in_no_form_can_be_the_answer() -> None:
    log = await run(HeardModel("Thought: a.", "Thought: b."), raise_on_parsing_failure=False)
    assert said(log) == "Thought: b."


async def test_the_name_of_a_tool_is_understood() -> None:
    for name in ("Adder", "the adder tool", "`adder`", "adder."):
        model = HeardModel(f"Action: {name}\nAction Input: 2 + 3", DONE)
        assert calls_in(await run(model)) == [("adder", {"text": "2 + 3"})]


async def test_an_unknown_tool_is_told_once() -> None:
    wrong = "Action: sum\nAction Input: 2 + 3"
    model = HeardModel(wrong, USE, DONE)
    assert said(await run(model)) == "it is done"
    assert model.told(1)[-1][1] == "Observation: There is no tool 'sum'. There are: adder."
    assert failure_of(await run(HeardModel(wrong, wrong, DONE))).error == "MalformedReply"


async def test_arguments_that_the_tool_does_not_take_are_told_once() -> None:
    wrong = 'Action: adder\nAction Input: {"txt": "2 + 3"}'
    model = HeardModel(wrong, USE, DONE)
    assert said(await run(model)) == "it is done"
    assert "adder does not take these arguments" in model.told(1)[-1][1]
    assert failure_of(await run(HeardModel(wrong, wrong, DONE))).error == "MalformedReply"


async def test_what_a_tool_raises_is_observed() -> None:
    model = HeardModel("Action: breaks\nAction Input: no wind", DONE)
    assert said(await run(model, breaks)) == "it is done"
    assert model.told()[-1][1] == "Observation: The tool breaks has failed: no wind"


async def test_what_a_tool_raises_can_fail_the_run() -> None:
    model = HeardModel("Action: breaks\nAction Input: no wind", DONE)
    log = await run(model, breaks, pass_tool_call_errors_to_agent=False)
    assert failure_of(log).message == "The tool breaks has failed: no wind"


async def test_a_tool_can_be_tried_again_after_a_pause() -> None:
    note = NotingTool(raises=ValueError("no wind"), parameters={"properties": {"x": {}}})
    model = HeardModel("Action: note\nAction Input: y", DONE)
    memory, clock = with_model(model, note), ManualClock()
    agent = built(
        "react_agent",
        ItsParts(clock),
        llm_name="small",
        tool_names=["note"],
        tool_call_max_retries=3,
    )
    running = asyncio.create_task(answer(memory, agent, "hi"))
    for seconds in (2, 4):
        await until(lambda: clock.sleepers == 1)
        clock.advance(seconds)
    assert said(await running) == "it is done"
    assert len(note.calls) == 3


async def test_a_model_that_never_answers_is_stopped() -> None:
    model = HeardModel(*[USE] * 9)
    log = await run(model, max_iterations=2)
    assert "after 2 calls (max_tool_calls)" in failure_of(log).message
    assert len(calls_in(log)) == 2


class Stubborn(HeardModel):
    """Refuses to be told where to stop."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        if request.stop:
            self.requests.append(request)
            raise ModelRefused("Unsupported parameter: 'stop'.")
        async for piece in super().chat(request):
            yield piece


async def test_a_model_that_takes_no_stop_is_asked_without() -> None:
    model = Stubborn(USE, DONE)
    assert said(await run(model)) == "it is done"
    assert [request.stop for request in model.requests] == [("Observation:",), (), ()]


async def test_a_model_that_refuses_something_else_is_not_asked_again() -> None:
    model = HeardModel({"fail": "model_refused", "message": "No."})
    assert failure_of(await run(model)).error == "ModelRefused"
    assert len(model.requests) == 1


# --- calling natively ---------------------------------------------------------------------------


async def test_tools_can_be_called_as_the_model_does_it_itself() -> None:
    model = HeardModel({"call": {"adder": {"text": "2 + 3"}}}, "It is {tool}.")
    log = await run(model, use_native_tool_calling=True)
    assert said(log) == "It is 5."
    assert [spec.name for spec in model.requests[0].tools] == ["adder"]
    assert model.told(0) == [("user", "what is 2+3")]


async def test_then_too_there_is_an_end() -> None:
    model = HeardModel(*[{"call": {"adder": {"text": "1"}}}] * 9)
    log = await run(model, use_native_tool_calling=True, max_tool_calls=2)
    assert "(max_tool_calls)" in failure_of(log).message


# --- resuming -----------------------------------------------------------------------------------


async def test_a_resumed_run_says_the_same() -> None:
    script = (USE, "Thought: no form.", DONE)
    whole = await run(HeardModel(*script))
    agent = built("react_agent", llm_name="small", tool_names=["adder"])
    value = agent.read_input("what is 2+3")
    assert isinstance(value, Conversation)
    for length in range(2, len(whole.said)):
        memory = with_model(HeardModel(*script), adder)
        resumed = await memory.attempt(agent, whole.cut(length), value=value)
        assert said(resumed) == said(whole)
        assert resumed.finished() == whole.finished()
