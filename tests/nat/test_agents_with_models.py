"""NAT's own agents, from the probe's files, with a model that is a provider on the loopback."""

from collections.abc import AsyncIterator

import pytest_asyncio

from forebay.builtins.agents.nat import NatWorkflow
from forebay.core.events import RunFailed, ToolFinished, ToolStarted
from forebay.core.json import Json
from forebay.testing.provider import LoopbackProvider

from .conftest import Asked, Bench, answer_of, told

SINGLE: dict[str, Json] = {"nat": {"output": "single"}}
ADDED = [ToolStarted("nat-1", "adder", {"text": "2 + 3"}), ToolFinished("nat-1", "5")]
USE_THE_TOOL = 'Thought: use the tool\nAction: adder\nAction Input: {"text": "2 + 3"}\n'
KNOW = "Thought: I now know the final answer\nFinal Answer: it is done"


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[LoopbackProvider]:
    async with LoopbackProvider() as provider:
        yield provider


def workflow_with(bench: Bench, config: str, provider: LoopbackProvider) -> NatWorkflow:
    return bench.workflow(config, overrides=[("llms.fake.base_url", provider.url)])


async def test_a_react_agent_streams_its_answer_and_its_tool_is_shown(
    bench: Bench, provider: LoopbackProvider
):
    workflow = workflow_with(bench, "react.yml", provider)
    provider.say(USE_THE_TOOL)
    provider.say(KNOW)
    log = await bench.run(workflow, "add 2 and 3")
    assert answer_of(log).strip() == "it is done"
    assert told(log)[:2] == ADDED


async def test_a_tool_calling_agent_answers_a_conversation(
    bench: Bench, provider: LoopbackProvider
):
    workflow = workflow_with(bench, "tool_calling.yml", provider)
    provider.call_tool("adder", {"text": "2 + 3"})
    provider.say("The tool said: 5")
    conversation: Json = [{"role": "user", "content": "add 2 and 3"}]
    log = await bench.run(workflow, conversation, asked=Asked(SINGLE))
    assert answer_of(log) == "The tool said: 5"
    assert told(log)[:2] == ADDED
    assert provider.requests[-1].messages[0].get("content") == "add 2 and 3"


async def test_an_object_with_both_forms_of_input_is_refused_as_nat_refuses_it(
    bench: Bench, provider: LoopbackProvider
):
    workflow = workflow_with(bench, "react.yml", provider)
    value: Json = {"input_message": "a", "messages": [{"role": "user", "content": "b"}]}
    ending = (await bench.run(workflow, value)).ending
    assert isinstance(ending, RunFailed)
    assert "Either messages or input_message must be provided, not both" in ending.message


async def test_a_provider_that_refuses_the_key_fails_the_run_with_what_it_says(
    bench: Bench, provider: LoopbackProvider
):
    workflow = workflow_with(bench, "tool_calling.yml", provider)
    provider.key = "another key"
    ending = (await bench.run(workflow, "x")).ending
    assert isinstance(ending, RunFailed)
    assert "401" in ending.message
