"""A workflow file: who runs it, Forebay itself or NAT, and what it describes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from forebay.core.clock import Clock
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from forebay.ports.models import Embedder, Model
from forebay.ports.tools import Tool, ToolGroup
from forebay.settings import Settings, workflow_file

if TYPE_CHECKING:
    from forebay.builtins.agents.nat import NatWorkflow
    from forebay.control.workflow.registry import Components
    from forebay.control.workflow.structure import Structure

Runtime: TypeAlias = Literal["native", "nat"]


@dataclass(frozen=True, slots=True)
class Described:
    """What a workflow file describes."""

    path: Path
    runtime: Runtime
    files: Sequence[Path]
    """The file and whatever it takes in."""
    agents: Sequence[Agent]
    workflow: Agent | None
    """The one that the file is for."""
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])
    embedders: Mapping[str, Embedder] = field(default_factory=dict[str, Embedder])
    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    groups: Mapping[str, ToolGroup] = field(default_factory=dict[str, ToolGroup])
    unused: Sequence[str] = ()
    """Keys of the file that have no effect."""
    nat: "NatWorkflow | None" = None

    @property
    def default(self) -> str | None:
        """The agent that answers when none is named, if nobody has chosen another."""
        return self.workflow.name if self.workflow is not None else None

    @property
    def absence(self) -> str | None:
        """Why this process cannot execute what the file describes, if it cannot."""
        return self.nat.absence if self.nat is not None else None

    @property
    def elsewhere(self) -> Sequence[str]:
        """The agents that only other processes can execute."""
        return [agent.name for agent in self.agents] if self.absence is not None else []


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow file that was read, and who runs it."""

    runtime: Runtime
    structure: "Structure"
    registry: "Components"

    def carry_out(
        self, parts: Parts, others: Collection[str], prepare: Callable[[], None]
    ) -> Described:
        """Build what the file describes. Raises WorkflowError.

        `others` are agents and tools from elsewhere; `prepare` imports what registers types with
        NAT, where NAT is.
        """
        if self.runtime == "nat":
            return _under_nat(self.structure, parts.clock, prepare)
        from forebay.control.workflow.building import build_workflow

        file = self.structure.file
        built = build_workflow(file, self.registry, parts, others=others)
        agents = [*built.agents.values(), *([built.workflow] if built.workflow else [])]
        return Described(
            file.path, "native", file.files, agents, built.workflow, built.models,
            built.embedders, built.tools, built.groups, built.unused,
        )  # fmt: skip


def plan(settings: Settings, environment: Mapping[str, str]) -> Plan | None:
    """Read the workflow file that the settings name, if they do. Raises WorkflowError."""
    file = workflow_file(settings)
    if file is None:
        return None
    from forebay.builtins import components
    from forebay.control.workflow.building import foreign_types
    from forebay.control.workflow.registry import Components, add_plugins
    from forebay.control.workflow.structure import read_structure

    registry = Components()
    components.register(registry, environment)
    add_plugins(registry)
    structure = read_structure(file)
    wanted = settings.workflow_runtime
    if wanted == "nat" or (wanted == "auto" and foreign_types(structure, registry) and _has_nat()):
        structure.refuse_problems()
        return Plan("nat", structure, registry)
    return Plan("native", structure, registry)


def _has_nat() -> bool:
    from forebay.builtins.agents.nat.loading import is_installed

    return is_installed()


def _under_nat(structure: "Structure", clock: Clock, prepare: Callable[[], None]) -> Described:
    from forebay.builtins.agents.nat import NatWorkflow

    file = structure.file
    nat = NatWorkflow(file.data, str(file.path), clock, prepare=prepare)
    workflow = next((agent for agent in nat.agents if agent.name == "workflow"), None)
    return Described(
        file.path, "nat", file.files, nat.agents, workflow, unused=structure.unused, nat=nat
    )
