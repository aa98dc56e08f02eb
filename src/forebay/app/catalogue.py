"""What the settings name: agents, models and tools, made the same way in every process."""

from dataclasses import dataclass

from forebay.builtins.agents.echo import make_echo
from forebay.control.agents import Agents
from forebay.control.models import ModelCatalogue
from forebay.control.sources import code_of, load_source
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import Clock
from forebay.ports.agent import Agent
from forebay.settings import Settings


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that runs can be started of, and that they may use."""

    agents: Agents
    models: ModelCatalogue
    tools: ToolCatalogue

    async def aclose(self) -> None:
        """Let go of whatever is outside this process."""
        await self.tools.aclose()


def load_catalogue(settings: Settings, clock: Clock) -> Catalogue:
    """Load what the settings name, and what is built in. Raises StartError."""
    own: list[Agent] = [agent for source in settings.agents for agent in load_source(source)]
    code = code_of(settings.agents)
    agents = Agents(own, [make_echo(clock)], settings.default_agent, code=code)
    return Catalogue(agents, ModelCatalogue(), ToolCatalogue())
