"""Building what a workflow file describes. Everything that is wrong is told at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, cast

import pydantic

from forebay.core.errors import ForebayError, WorkflowError
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from forebay.ports.models import Embedder, Model
from forebay.ports.tools import Tool, ToolGroup

from .fields import problems_of, without_effect
from .places import Keys, Problem, dotted, nearest, refusal, shown
from .reading import WorkflowFile
from .references import problems_of_references
from .registry import Built, Components, Kind
from .structure import Component, Structure, read_structure
from .tool_agent import ToolAgent

WORKFLOW = "workflow"
"""What the agent is called that a file is for."""

_EXTRAS = {("function_groups", "mcp_client"): "forebay[mcp]"}


@dataclass(frozen=True, slots=True)
class Workflow:
    """What a workflow file describes, ready to be used."""

    file: Path
    models: Mapping[str, Model]
    embedders: Mapping[str, Embedder]
    tools: Mapping[str, Tool]
    groups: Mapping[str, ToolGroup]
    agents: Mapping[str, Agent]
    """The functions that are agents, without the workflow."""
    workflow: Agent | None
    """What `workflow` describes; its name is `workflow`."""
    unused: Sequence[str]
    """Keys of the file that have no effect here, as dotted paths."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A component whose configuration is right."""

    component: Component
    kind: Kind
    config: pydantic.BaseModel


def build_workflow(
    file: WorkflowFile, registry: Components, parts: Parts, *, others: Collection[str] = ()
) -> Workflow:
    """Build everything; `others` are agents and tools from elsewhere that the file may name.

    Raises WorkflowError with all that is wrong.
    """
    structure = read_structure(file)
    problems = list(structure.problems)
    checked = _check(structure, registry, problems)
    problems += problems_of_references(
        file, structure, [(c.component, c.config) for c in checked], others
    )
    built = [(each, _build(file, each, parts, problems)) for each in checked]
    if problems:
        raise refusal(problems)
    return _sorted(structure, [(each, one) for each, one in built if one is not None])


def foreign_types(structure: Structure, registry: Components) -> list[Component]:
    """The components of a file that Forebay itself cannot build."""
    return [each for each in structure.components if not registry.knows(each.section, each.type)]


# --- checking -----------------------------------------------------------------------------------


def _check(structure: Structure, registry: Components, problems: list[Problem]) -> list[Checked]:
    file = structure.file
    found: list[Checked] = []
    for component in structure.components:
        if not registry.knows(component.section, component.type):
            message = _unknown(component, registry.types(component.section))
            problems.append(file.problem((*component.keys, "_type"), message))
            continue
        kind = registry.kind(component.section, component.type)
        try:
            config = kind.config.model_validate(component.data)
        except pydantic.ValidationError as error:
            problems += problems_of(file, component.keys, kind.config, error)
        else:
            found.append(Checked(component, kind, config))
    return found


def _unknown(component: Component, known: Sequence[str]) -> str:
    has = f"Forebay has: {', '.join(known)}." if known else "Forebay has none here."
    extra = _EXTRAS.get((component.section, component.type))
    if extra:
        return f"{shown(component.type)} needs more: pip install '{extra}'. {has}"
    near = nearest(component.type, known)
    return (
        f"{shown(component.type)} is not a known type.{near} {has} If it is a NAT plugin's: pip "
        "install 'forebay[nat]' and that plugin, and the whole file runs under NAT."
    )


# --- building -----------------------------------------------------------------------------------


def _build(
    file: WorkflowFile, checked: Checked, parts: Parts, problems: list[Problem]
) -> Built | None:
    component = checked.component
    try:
        return _built(checked, parts)
    except ForebayError as error:
        problems.append(file.problem(component.keys, error.message))
        return None


def _built(checked: Checked, parts: Parts) -> Built:
    component = checked.component
    try:
        return checked.kind.build(component.name, checked.config, parts)
    except ForebayError:
        raise
    except Exception as error:  # a plugin may raise anything; what it says may hold a secret
        message = f"{component.type} cannot be made of this: {type(error).__name__}."
        raise WorkflowError(message) from error


def _sorted(structure: Structure, built: Sequence[tuple[Checked, Built]]) -> Workflow:
    by_section: dict[str, dict[str, Built]] = {}
    unused: list[Keys] = []
    for each, one in built:
        component = each.component
        by_section.setdefault(component.section, {})[component.name] = one
        unused += without_effect(structure.file, component.keys, each.config)
    functions = by_section.get("functions", {})
    workflow = by_section.get("workflow", {}).get(WORKFLOW)
    tools = {name: one for name, one in functions.items() if _is_tool(one)}
    if workflow is not None and _is_tool(workflow):
        tools[WORKFLOW] = workflow
        workflow = ToolAgent(workflow)
    return Workflow(
        structure.file.path,
        models=cast("dict[str, Model]", by_section.get("llms", {})),
        embedders=cast("dict[str, Embedder]", by_section.get("embedders", {})),
        tools=tools,
        groups=cast("dict[str, ToolGroup]", by_section.get("function_groups", {})),
        agents=cast("dict[str, Agent]", {n: one for n, one in functions.items() if n not in tools}),
        workflow=cast("Agent | None", workflow),
        unused=[*structure.unused, *map(dotted, unused)],
    )


def _is_tool(built: Built) -> TypeGuard[Tool]:
    return hasattr(built, "parameters")
