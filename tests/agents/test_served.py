"""Agents of a workflow file, and the built-in ones, in a whole server."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from textwrap import dedent
from typing import Any

from forebay import Context, act, agent, tool
from forebay.core.json import Json
from forebay.testing.provider import LoopbackProvider
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import pass_time_until

FILE = """
llms:
  chooser:
    _type: scripted
    rules:
      - when: Observation
        script: ["Thought: I know.\\nFinal Answer: It is 5 indeed."]
      - when: "(?i)think"
        script: ["Thought: hm.\\nAction: calculator\\nAction Input: 2 + 3"]
      - when: The request
        script: ["calls"]
    script:
      - {call: {calculator: {expression: 2 + 3}}}
      - "The tool said {tool}."
functions:
  calculator: {_type: calculator}
  calls:
    _type: tool_calling_agent
    llm_name: chooser
    tool_names: [calculator]
  thinks:
    _type: react_agent
    llm_name: chooser
    tool_names: [calculator]
  chats:
    _type: chat_completion
    llm_name: chooser
  one_by_one:
    _type: sequential_executor
    tool_list: [calls, loud]
workflow:
  _type: router_agent
  llm_name: chooser
  branches: [calls, thinks]
"""


BUYER = """
llms:
  buyer:
    _type: scripted
    script:
      - {call: [{look: {place: here}}, {pay: {amount: 5}}]}
      - "Bought."
workflow: {_type: chat_completion, llm_name: buyer}
"""


@tool
async def loud(text: str) -> str:
    """Makes it loud."""
    return text.upper()


@agent("mine")
async def mine(ctx: Context, text: str) -> None:
    await act(ctx, text, model="chooser", tools=["calculator", loud])


def write(folder: Path) -> str:
    path = folder / "workflow.yml"
    path.write_text(dedent(FILE))
    return str(path)


async def output(server: Server, agent: str | None, input: object) -> Any:
    run = (await server.run(input, **({"agent": agent} if agent else {}))).json()
    assert run["status"] == "success", run
    return run["output"]


async def in_time(server: Server, work: Coroutine[object, object, Exchange]) -> Exchange:
    """What becomes of this while time passes."""
    working = asyncio.create_task(work)
    await pass_time_until(server.clock, working.done)
    return await working


async def test_a_file_serves_every_kind_of_agent(tmp_path: Path):
    async with serving(mine, loud, config_file=write(tmp_path)) as server:
        assert await output(server, "calls", "add!") == "The tool said 5."
        assert await output(server, "thinks", "think!") == "It is 5 indeed."
        assert await output(server, "mine", "add!") == "The tool said 5."
        assert await output(server, "one_by_one", "add!") == "THE TOOL SAID 5."
        assert await output(server, None, {"input_message": "add!"}) == "The tool said 5."
        messages = [{"role": "user", "content": "add!"}]
        assert await output(server, "calls", {"messages": messages}) == "The tool said 5."


async def test_every_call_is_an_event_with_its_usage(tmp_path: Path):
    async with serving(mine, loud, config_file=write(tmp_path)) as server:
        run = (await server.run("add!", agent="calls")).json()
        entries = await server.entries(run["id"])
        told = [each["type"] for each in entries if not each["type"].startswith(("run.", "step."))]
        assert told == [
            "model.started", "model.finished", "tool.started", "tool.finished",
            "model.started", *["output.chunk"] * 4, "model.finished",
        ]  # fmt: skip
        assert run["usage"]["input_tokens"] > 0


async def test_a_call_that_needs_approval_waits_and_the_others_are_made_once(tmp_path: Path):
    made: list[str] = []

    @tool(needs_approval=True)
    async def pay(amount: int) -> str:
        """Pays."""
        made.append(f"pay {amount}")
        return "paid"

    @tool
    async def look(place: str) -> str:
        """Looks."""
        made.append(f"look {place}")
        return "seen"

    @agent("buys")
    async def buys(ctx: Context, text: str) -> None:
        await act(ctx, text, model="buyer", tools=[pay, look])

    path = tmp_path / "buyer.yml"
    path.write_text(BUYER)
    async with serving(buys, pay, look, config_file=str(path)) as server:
        started = await in_time(server, server.run("Buy it!", agent="buys", durable=True))
        run = started.json()
        assert (started.status, run["status"]) == (202, "waiting")
        (question,) = run["questions"]
        assert question["text"] == 'May the tool pay be called with {"amount":5}?'
        got = await server.client.post(
            f"/api/runs/{run['id']}/answers/{question['id']}", {"answer": "approve"}
        )
        assert got.status < 300, got.body
        ended = await server.ended(run["id"])
    assert ended["output"] == "Bought."
    assert sorted(made) == ["look here", "pay 5"]


async def test_input_that_is_no_conversation_is_refused(tmp_path: Path):
    refused: list[Json] = [5, [], {"messages": []}, {"input_message": "x", "messages": []}]
    async with serving(loud, config_file=write(tmp_path)) as server:
        for wrong in refused:
            assert (await server.run(wrong, agent="calls")).status == 422


async def test_extractive_is_there_without_anything():
    async with serving() as server:
        given = {"question": "What colour is the bridge?", "texts": ["The bridge is red."]}
        assert "> The bridge is red. [1]" in await output(server, "extractive", given)
        assert "not a language model" in await output(server, "extractive", "hi")


async def test_a_url_is_served_as_an_agent():
    async with LoopbackProvider() as provider:
        source = f"{provider.url}#any/model"
        provider.say("Hello you.")
        async with serving(sources=[source]) as server:
            messages = [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
            ]
            assert await output(server, None, messages) == "Hello you."
        (request,) = [each for each in provider.requests if each.path.endswith("completions")]
        assert (request.body["model"], request.messages) == ("any/model", messages)


async def test_a_url_that_does_not_answer_fails_the_run_and_is_named():
    async with serving(sources=["http://127.0.0.1:9/v1#any"]) as server:
        error = (await in_time(server, server.run("hi"))).json()["error"]
    assert error["error"] == "ModelUnreachable"
    assert "127.0.0.1:9" in error["message"]
