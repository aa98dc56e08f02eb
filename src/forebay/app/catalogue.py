"""What the settings name: agents, models and tools, made the same way in every process."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from forebay.authoring import agent_tool
from forebay.builtins.agents.echo import make_echo
from forebay.builtins.agents.extractive import make_extractive
from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import ProfileName, RuntimeProfile
from forebay.control.agents import Agents
from forebay.control.models import ModelCatalogue
from forebay.control.sources import code_of, import_modules, load
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import Clock
from forebay.core.errors import (
    AgentLoadError,
    AgentNotFound,
    ModelNotFound,
    SettingError,
    WorkflowError,
)
from forebay.ports.agent import Agent
from forebay.ports.models import Model
from forebay.ports.tools import Tool
from forebay.settings import Settings, database, provider_environment

from .workflow import Described, plan

_URLS = ("http://", "https://")

log = logging.getLogger("forebay.agents")


@dataclass(slots=True)
class Workbench:
    """What components may use: the Parts of a workflow file, filled while it is read."""

    http: OutboundHttp
    clock: Clock
    models: ModelCatalogue
    tools: ToolCatalogue
    named: dict[str, Agent] = field(default_factory=dict[str, Agent])

    def agent(self, name: str) -> Agent:
        """Another agent, for one that names it. Raises AgentNotFound."""
        found = self.named.get(name)
        if found is None:
            raise AgentNotFound(f"No agent is called {name[:100]!r}.")
        return found


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that runs can be started of, and that they may use."""

    agents: Agents
    bench: Workbench
    described: Described | None

    @property
    def degraded(self) -> Sequence[str]:
        """What does not work now, for people."""
        nat = self.described.nat if self.described else None
        told = (nat.absence, nat.problem) if nat is not None else ()
        return [each for each in told if each is not None]

    def start(self) -> None:
        """Begin to load what takes long."""
        nat = self.described.nat if self.described else None
        if nat is None:
            return
        if nat.absence is None:
            nat.start()
        else:
            log.warning("%s", nat.absence)

    async def ready(self) -> None:
        """Wait until what takes long can be used. Raises StartError if it never will be."""
        nat = self.described.nat if self.described else None
        if nat is not None and nat.is_here:
            await nat.ready()

    async def aclose(self) -> None:
        """Let go of whatever is outside this process."""
        if self.described is not None and self.described.nat is not None:
            await self.described.nat.aclose()
        await self.bench.tools.aclose()
        await self.bench.http.aclose()


def load_catalogue(settings: Settings, clock: Clock) -> Catalogue:
    """Load what the settings name, and what is built in. Raises StartError."""
    environment = provider_environment()
    bench = _workbench(settings, clock, environment)
    prepare = partial(import_modules, settings.imports)
    planned = plan(settings, environment)
    if planned is None or planned.runtime == "native":
        prepare()
    own = _load_sources(settings.agents, bench, environment)
    described = None
    if planned is not None:
        names = [*bench.tools.tools, *(agent.name for agent in own)]
        described = planned.carry_out(bench, names, prepare)
        _put_on(bench, described)
        if described.elsewhere and database(settings.db_url).engine == "memory":
            raise WorkflowError(f"{described.absence} It needs a database that is shared.")
    _check_default(settings, bench)
    agents = [*own, *(described.agents if described else ())]
    bench.named.update((agent.name, agent) for agent in agents)
    for agent in agents:  # others may call it; a tool of the same name comes first
        if described is None or described.nat is None or agent not in described.agents:
            bench.tools.tools.setdefault(agent.name, agent_tool(agent))
    catalogue = Agents(
        agents,
        [make_echo(clock), make_extractive()],
        settings.default_agent or (described.default if described else None),
        code=code_of(_python(settings.agents), described.files if described else ()),
        elsewhere=described.elsewhere if described else (),
    )
    return Catalogue(catalogue, bench, described)


def _workbench(settings: Settings, clock: Clock, environment: Mapping[str, str]) -> Workbench:
    file = settings.runtime_profile_file
    profile = RuntimeProfile(
        cast(ProfileName, settings.runtime_profile), file=Path(file) if file else None
    )
    http = OutboundHttp(clock, profile=profile, allowed_hosts=settings.outbound_allowed_hosts)

    def make(name: str) -> Model | None:
        from forebay.builtins.models.openai import named_model

        return named_model(name, bench, environment)

    models = ModelCatalogue(default=settings.default_model, make=make)
    bench = Workbench(http, clock, models, ToolCatalogue())
    return bench


def _check_default(settings: Settings, bench: Workbench) -> None:
    if settings.default_model is not None:
        try:
            bench.models.model(None)
        except ModelNotFound as error:
            raise SettingError(f"default_model: {error.message}") from error


def _load_sources(
    sources: Sequence[str], bench: Workbench, environment: Mapping[str, str]
) -> Sequence[Agent]:
    loaded = [load(source) for source in _python(sources)]
    _add_tools(bench, [(tool.name, tool) for each in loaded for tool in each.tools])
    agents = [agent for each in loaded for agent in each.agents]
    urls = [source for source in sources if source.startswith(_URLS)]
    return [*agents, *(_url_agent(url, bench, environment) for url in urls)]


def _python(sources: Sequence[str]) -> Sequence[str]:
    return [source for source in sources if not source.startswith(_URLS)]


def _url_agent(url: str, bench: Workbench, environment: Mapping[str, str]) -> Agent:
    from forebay.builtins.agents.openai_url import make_url_agent, make_url_model

    bench.models.models[url] = make_url_model(url, bench, environment)
    return make_url_agent(url)


def _put_on(bench: Workbench, described: Described) -> None:
    bench.models.models.update(described.models)
    bench.models.embedders.update(described.embedders)
    _add_tools(bench, described.tools.items())
    bench.tools.groups.update(described.groups)


def _add_tools(bench: Workbench, tools: Iterable[tuple[str, Tool]]) -> None:
    for name, tool in tools:
        if name in bench.tools.tools:
            raise AgentLoadError(f"Two tools are called {name!r}.")
        bench.tools.tools[name] = tool
