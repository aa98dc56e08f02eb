"""The agents that the settings name, loaded the same way in every process."""

from forebay.builtins.agents.echo import make_echo
from forebay.control.agents import Agents
from forebay.control.sources import code_of, load_source
from forebay.core.clock import Clock
from forebay.ports.agent import Agent
from forebay.settings import Settings


def load_agents(settings: Settings, clock: Clock) -> Agents:
    """The agents that the settings name, and the built-in ones. Raises AgentLoadError."""
    own: list[Agent] = [agent for source in settings.agents for agent in load_source(source)]
    code = code_of(settings.agents)
    return Agents(own, [make_echo(clock)], settings.default_agent, code=code)
