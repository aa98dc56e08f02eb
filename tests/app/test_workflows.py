"""Workflow files from the first key to the answer, with every kind of model and agent."""

import json
from pathlib import Path

import pytest

from forebay import Context, act, agent, tool
from forebay.testing.provider import LoopbackProvider
from tests.support.server import serving

_KINDS = {
    "openai": "base_url: URL/v1, model_name: m, api_key: k",
    "openai_compatible": "base_url: URL/v1, model_name: m",
    "nim": "base_url: URL/v1, model_name: m, api_key: k",
    "azure_openai": "azure_endpoint: URL, azure_deployment: m, api_key: k",
    "litellm": "base_url: URL/v1, model_name: hosted_vllm/m, api_key: k",
    "anthropic": "base_url: URL, model_name: m, api_key: k",
}

_FILE = """
llms:
  main: {_type: TYPE, MODEL}
functions:
  sums: {_type: calculator, description: Computes.}
  clock: {_type: current_datetime}
  chat: {_type: chat_completion, llm_name: main, description: Talks.}
  careful: {_type: react_agent, llm_name: main, tool_names: [sums, clock], description: Thinks.}
  choosing: {_type: router_agent, llm_name: main, branches: [chat, careful]}
  in_a_row: {_type: sequential_executor, tool_list: [chat, sums]}
  nested: {_type: tool_calling_agent, llm_name: main, tool_names: [chat, sums]}
workflow: {_type: tool_calling_agent, llm_name: main, tool_names: [sums, clock]}
"""


def file_of(folder: Path, provider: LoopbackProvider, kind: str = "openai") -> str:
    text = _FILE.replace("TYPE", kind).replace("MODEL", _KINDS[kind])
    path = folder / "w.yml"
    path.write_text(text.replace("URL", provider.address))
    return str(path)


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_model_of_every_kind_calls_tools_and_answers(folder: Path, kind: str) -> None:
    async with (
        LoopbackProvider() as provider,
        serving(config_file=file_of(folder, provider, kind)) as server,
    ):
        provider.call_tools(
            ("sums", {"expression": "6 * 7"}), ("sums", "not JSON"), text="Let me see."
        )
        provider.call_tool("sums", {"expression": "1 / 0"})
        provider.say("It is forty-two.")
        run = (await server.run("what is six times seven?")).json()
        assert run["status"] == "success", run["error"]
        assert run["output"] == "Let me see.\n\nIt is forty-two."
        assert run["usage"]["output_tokens"] > 3
        last = json.dumps(provider.requests[-1].body)
        assert "42" in last
        assert "cannot be read" in last
        assert "That divides by zero." in last


_ASKED = {
    "chat": (["Hello."], "Hello."),
    "careful": (
        [
            "Thought: I compute.\nAction: sums\nAction Input: 6 * 7\n",
            "Thought: I know.\nFinal Answer: 42 it is.",
        ],
        "42 it is.",
    ),
    "choosing": (["chat", "Hello."], "Hello."),
    "in_a_row": (["6 * 7"], 42),
}


@pytest.mark.parametrize("name", _ASKED)
async def test_agents_of_every_kind_answer_by_name(folder: Path, name: str) -> None:
    replies, output = _ASKED[name]
    async with (
        LoopbackProvider() as provider,
        serving(config_file=file_of(folder, provider)) as server,
    ):
        for reply in replies:
            provider.say(reply)
        run = (await server.run("what?", agent=name)).json()
        assert (run["status"], run["output"]) == ("success", output), run["error"]


async def test_an_agent_is_a_tool_for_another_one(folder: Path) -> None:
    async with (
        LoopbackProvider() as provider,
        serving(config_file=file_of(folder, provider)) as server,
    ):
        provider.call_tool("chat", {"input": "Who are you?"})
        provider.say("I am the inner one.")
        provider.say("It says who it is.")
        run = (await server.run("who is there?", agent="nested")).json()
        assert (run["status"], run["output"]) == ("success", "It says who it is."), run["error"]
        chats = [each for each in provider.requests if each.messages]
        assert "I am the inner one." in json.dumps(chats[-1].body)


@tool()
async def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


@agent("mine")
async def mine(ctx: Context, text: str):
    await act(ctx, text, model="main", tools=[weather, "sums"])


async def test_agents_of_python_use_what_a_file_describes(folder: Path) -> None:
    async with (
        LoopbackProvider() as provider,
        serving(mine, weather, config_file=file_of(folder, provider)) as server,
    ):
        provider.call_tools(("weather", {"city": "Oslo"}), ("sums", {"expression": "2 + 2"}))
        provider.say("It rains, and it is four.")
        run = (await server.run("what?", agent="mine")).json()
        assert (run["status"], run["output"]) == ("success", "It rains, and it is four.")
        named = (await server.client.get("/api/agents")).json()["agents"]
        assert {"mine", "workflow", "careful"} <= {each["name"] for each in named}
        assert [each["name"] for each in named if each["default"]] == ["workflow"]
