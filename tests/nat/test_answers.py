"""What goes into a NAT workflow, and what comes out: the probe's functions, under NAT's builder."""

import json

import pytest

from forebay.core.caller import Caller
from forebay.core.events import (
    ModelChunk,
    ModelFinished,
    ModelStarted,
    OutputChunk,
    RunFailed,
    RunSucceeded,
    ToolFinished,
    ToolStarted,
    Usage,
)
from forebay.core.json import Json

from .conftest import Asked, Bench, answer_of, told, values_of

SINGLE: dict[str, Json] = {"nat": {"output": "single"}}
CONVERSATION: list[Json] = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
]


async def test_the_steps_and_the_stream_of_a_workflow_become_events_in_their_order(bench: Bench):
    log = await bench.run(bench.workflow("main.yml"), "hello")
    assert log.ending == RunSucceeded()
    assert told(log) == [
        ModelStarted("nat-1", "fake-llm"),
        ModelChunk("nat-1", "<t0>"),
        ModelChunk("nat-1", "<t1>"),
        ToolStarted("nat-2", "adder", '{"a": 1, "b": 2}'),
        ToolFinished("nat-2", "3"),
        ModelFinished("nat-1", Usage(3, 2)),
        OutputChunk("tok0 "),
        OutputChunk("tok1 "),
        OutputChunk("tok2 "),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "hello",
        {"input_message": "hello"},
        {"input_message": "hello", "more": 1},
        {"messages": CONVERSATION, "temperature": 9},
        CONVERSATION,
    ],
)
async def test_text_an_object_or_a_conversation_is_converted_by_nat(bench: Bench, value: Json):
    log = await bench.run(bench.workflow("main.yml"), value, asked=Asked(metadata=SINGLE))
    assert answer_of(log) == "echo: hello"


@pytest.mark.parametrize(
    ("value", "agent", "message"),
    [
        ({"nope": "sesame"}, "workflow", "input.input_message: Field required"),
        ({"input_message": 5}, "workflow", "input.input_message: Input should be a valid string"),
        ({"messages": "sesame"}, "chatty", "input.messages: Input should be a valid list"),
        ([{"role": "nobody"}], "chatty", "input.messages.0.content: Field required"),
        (5, "workflow", "takes a str, and NAT makes none of a int"),
        (5, "chatty", "takes a ChatRequest, and NAT makes none of a int"),
    ],
)
async def test_what_nat_cannot_convert_fails_the_run_with_the_place_and_without_the_value(
    bench: Bench, value: Json, agent: str, message: str
):
    ending = (await bench.run(bench.workflow("main.yml"), value, agent)).ending
    assert isinstance(ending, RunFailed)
    assert ending.error == "InvalidInput"
    assert message in ending.message
    assert "sesame" not in ending.message


async def test_an_object_for_an_agent_is_checked_by_the_agents_own_schema(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "chat_flow"}}
    value: Json = {"messages": [{"role": "user", "content": "hi"}], "anything": True}
    assert answer_of(await bench.run(bench.workflow(config), value)) == "tok0 tok1 "


async def test_a_function_with_one_body_is_called_by_it(bench: Bench):
    workflow = bench.workflow("main.yml")
    assert answer_of(await bench.run(workflow, "x", "singleonly")) == "single: x"
    assert answer_of(await bench.run(workflow, "x", "streamonly")) == "s0 s1 s2 "


async def test_asking_a_streaming_function_for_one_answer_fails_as_it_does_in_nat(bench: Bench):
    ending = (await bench.run(bench.workflow("main.yml"), "x", "streamonly", Asked(SINGLE))).ending
    assert isinstance(ending, RunFailed)
    assert ending.message == "Cannot get a single output value for streaming workflows"


@pytest.mark.parametrize(("metadata", "answer"), [({}, "tok0 tok1 "), (SINGLE, "chat: hi")])
async def test_a_chat_answer_is_its_text_and_its_usage_is_counted(
    bench: Bench, metadata: dict[str, Json], answer: str
):
    log = await bench.run(bench.workflow("main.yml"), "hi", "chatty", Asked(metadata))
    assert answer_of(log) == answer
    assert told(log)[-2:] == [
        ModelStarted("nat-1", "probe-model"),
        ModelFinished("nat-1", Usage(1, 2)),
    ]


async def test_a_workflow_that_fails_has_said_what_it_said_and_fails_with_its_own_error(
    bench: Bench,
):
    log = await bench.run(bench.workflow("fail.yml"), "bang")
    assert answer_of(log) == "tok0 tok1 "
    assert log.ending == RunFailed("agent_error", "boom: bang", error="ValueError")


async def test_an_answer_that_is_no_text_is_a_value(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "shapes"}}
    workflow = bench.workflow(config)
    assert values_of(await bench.run(workflow, "model")) == [{"name": "x", "at": "2026-01-01"}]
    assert values_of(await bench.run(workflow, "number")) == [5]
    assert answer_of(await bench.run(workflow, "odd")) == "an odd thing"
    assert values_of(await bench.run(workflow, "nothing")) == []


async def test_a_nested_function_is_shown_as_a_tool_once(bench: Bench):
    config: dict[str, Json] = {
        "functions": {"adder": {"_type": "single_tool"}},
        "workflow": {"_type": "calls_adder"},
    }
    log = await bench.run(bench.workflow(config), "2 3")
    assert told(log)[:-1] == [
        ToolStarted("nat-1", "adder", "2 3"),
        ToolFinished("nat-1", "5"),
        ToolStarted("nat-2", "adder", "told by its framework"),
        ToolFinished("nat-2", "5"),
    ]


async def test_what_is_told_in_a_thread_is_heard_and_what_is_no_unicode_is_made_so(bench: Bench):
    config: dict[str, Json] = {"workflow": {"_type": "blocks"}}
    log = await bench.run(bench.workflow(config), "x")
    assert told(log) == [
        ToolStarted("nat-1", "tool", "x"),
        ToolFinished("nat-1", "?"),
        OutputChunk("x"),
    ]


async def test_a_workflow_knows_where_its_run_comes_from(bench: Bench):
    request: Json = {
        "method": "POST",
        "url_path": "/headers",
        "headers": {"X-Probe": "p"},
        "query_params": {"q": "1"},
        "cookies": {"c": "d"},
        "payload": {"input_message": "x"},
    }
    origin: Json = {
        "user_id": "u1",
        "user_message_id": "m1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "request": request,
    }
    asked = Asked({"nat": origin}, session="conversation")
    log = await bench.run(bench.workflow("main.yml"), "x", "headers", asked)
    found = json.loads(answer_of(log).replace("'", '"'))
    assert found == {
        "conversation_id": "conversation",
        "user_message_id": "m1",
        "user_id": "u1",
        "run_id": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "method": "POST",
        "path": "/headers",
        "query": {"q": "1"},
        "cookies": {"c": "d"},
        "payload": {"input_message": "x"},
        "x-probe": "p",
    }


async def test_one_run_knows_nothing_of_another(bench: Bench):
    workflow = bench.workflow("main.yml")
    asked = Asked({"nat": {"user_id": "u1", "request": {"url_path": "/"}}}, session="one")
    await bench.run(workflow, "x", "headers", asked)
    answer = answer_of(await bench.run(workflow, "x", "headers"))
    assert "u1" not in answer
    assert "'path': None" in answer
    assert "'conversation_id': None" in answer


@pytest.mark.parametrize(
    "origin", [{"trace_id": "zz"}, {"output": "both"}, {"request": {"headers": 1}}, "stream"]
)
async def test_metadata_that_cannot_be_read_fails_the_run(bench: Bench, origin: Json):
    log = await bench.run(bench.workflow("main.yml"), "x", asked=Asked({"nat": origin}))
    assert isinstance(log.ending, RunFailed)
    assert log.ending.message.startswith("metadata.nat")


# --- users --------------------------------------------------------------------------------------


async def test_each_user_has_what_is_built_for_him(bench: Bench):
    workflow = bench.workflow("peruser.yml")

    async def ask(asked: Asked) -> str:
        return answer_of(await bench.run(workflow, "x", asked=asked))

    u1, u2 = (Asked({"nat": {"user_id": name}}) for name in ("u1", "u2"))
    assert await ask(u1) == "user=u1 call=1 x"
    assert await ask(u2) == "user=u2 call=1 x"
    assert await ask(u1) == "user=u1 call=2 x"
    ada = Asked({"nat": {"user_id": "u1"}}, caller=Caller("ada"))
    assert (await ask(ada)).endswith("call=1 x")


async def test_a_workflow_of_users_refuses_who_has_no_name(bench: Bench):
    ending = (await bench.run(bench.workflow("peruser.yml"), "x")).ending
    assert isinstance(ending, RunFailed)
    assert "the caller of this run has no name" in ending.message
