"""What agents that act are tested with: a scripted model that is listened to, tools, and parts."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from forebay.authoring import FunctionAgent, agent_tool, tool_in
from forebay.builtins.agents import chat_completion, react, router, sequential, tool_calling
from forebay.builtins.models.scripted import ScriptedConfig, ScriptedModel, Turn
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.control.workflow.registry import Components
from forebay.core.clock import Clock
from forebay.core.errors import AgentNotFound
from forebay.core.events import OutputChunk, RunFailed, ToolStarted
from forebay.core.json import Json
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from forebay.ports.http import HttpClient
from forebay.ports.models import Thought
from forebay.ports.tools import Tool, ToolGroup
from forebay.testing.clock import ManualClock

from .attempts import InMemory, Log


class HeardModel(ScriptedModel):
    """A scripted model that remembers what it was asked."""

    def __init__(
        self, *script: Turn | Mapping[str, object] | str, config: ScriptedConfig | None = None
    ) -> None:
        super().__init__("small", script, config=config)
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        self.requests.append(request)
        async for piece in super().chat(request):
            yield piece

    def told(self, request: int = -1) -> list[tuple[str, str]]:
        """Roles and texts of the messages of a request."""
        return [(each.role, each.text) for each in self.requests[request].messages]


def with_model(model: ScriptedModel, *tools: object, groups: Sequence[ToolGroup] = ()) -> InMemory:
    """Where an agent can be executed that has this model and these tools."""
    made: list[Tool] = [tool_in(each) or cast(Tool, each) for each in tools]
    return InMemory(
        models=ModelCatalogue({model.name: model}),
        tools=ToolCatalogue(
            {each.name: each for each in made}, {each.name: each for each in groups}
        ),
    )


@dataclass(slots=True)
class ItsParts:
    """The parts of a file with these agents."""

    clock: Clock = field(default_factory=ManualClock)
    agents: Mapping[str, Agent] = field(default_factory=dict[str, Agent])
    models: ModelCatalogue = field(default_factory=ModelCatalogue)
    tools: ToolCatalogue = field(default_factory=ToolCatalogue)

    @property
    def http(self) -> HttpClient:
        raise AssertionError("no agent calls anybody by itself")

    def agent(self, name: str) -> Agent:
        if name not in self.agents:
            raise AgentNotFound(f"No agent is called {name!r}.")
        return self.agents[name]


def built(type: str, parts: Parts | None = None, /, **config: object) -> FunctionAgent:
    """A function of a file, built from what the file says of it."""
    components = Components()
    for module in (chat_completion, react, router, sequential, tool_calling):
        module.register(components)
    kind = components.kind("functions", type)
    made = kind.build(type, kind.config.model_validate(config), parts or ItsParts())
    assert isinstance(made, FunctionAgent)
    return made


def as_tools(agents: Mapping[str, Agent]) -> list[Tool]:
    """Agents, as a model may call them."""
    return [agent_tool(agent, name) for name, agent in agents.items()]


async def answer(memory: InMemory, agent: FunctionAgent, value: Json) -> Log:
    """What becomes of a run of this agent with this input."""
    return await memory.attempt(agent, value=agent.read_input(value))


def said(log: Log) -> str:
    """The text of the answer."""
    return "".join(each.text for each in log.unvoided() if isinstance(each, OutputChunk))


def calls_in(log: Log) -> list[tuple[str, Json]]:
    """The tools that were called, in order."""
    return [(event.tool, event.input) for event in log.events if isinstance(event, ToolStarted)]


def failure_of(log: Log) -> RunFailed:
    """How a run has failed."""
    assert isinstance(log.ending, RunFailed), log.ending
    return log.ending
