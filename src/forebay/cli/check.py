"""`forebay check`: the settings, where each comes from, and whether all that they name is right."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from forebay.app.catalogue import Catalogue, load_catalogue
from forebay.core.clock import SystemClock
from forebay.core.json import Json
from forebay.ports.models import Embedder, Finding, Model
from forebay.settings import Settings, Sourced, load, workflow_file

from .outcome import DONE, FAILED
from .output import table, tell
from .parser import given
from .workflow import name_of, told


class Component(NamedTuple):
    """A part of the workflow file."""

    section: str
    name: str
    type: str


class Asked(NamedTuple):
    """What a model has answered."""

    name: str
    findings: Sequence[Finding]


def check(arguments: argparse.Namespace) -> int:
    """Print everything. Raises SettingError, AgentLoadError, WorkflowError."""
    # All that is wrong with a workflow file is told together, when it is built.
    settings, found = load(given(arguments), is_strict=False)
    return asyncio.run(_check(settings, found, arguments))


async def _check(
    settings: Settings, found: Sequence[Sourced], arguments: argparse.Namespace
) -> int:
    catalogue = load_catalogue(settings, SystemClock())
    try:
        await catalogue.ready()
        components = _components(settings)
        nat = catalogue.described.nat if catalogue.described else None
        if nat is not None and nat.is_here:
            await nat.ready()
        asked = await _ask(catalogue, settings) if arguments.online else []
        degraded = catalogue.degraded
    finally:
        await catalogue.aclose()
    names = [agent.name for agent in catalogue.agents.all()]
    said: Json = {
        "settings": [
            {"name": each.name, "value": _value(each), "source": each.source} for each in found
        ],
        "agents": list[Json](names),
        "workflow": told(catalogue.described),
        "degraded": list[Json](degraded),
        "components": [dict[str, Json](each._asdict()) for each in components],
        "models": [
            {"name": each.name, "about": one.about, "is_ok": one.is_ok, "message": one.message}
            for each in asked
            for one in each.findings
        ],
    }
    text = "\n\n".join(
        [
            _settings_text(found),
            f"agents: {', '.join(names)}",
            *_workflow_text(catalogue, components),
            *degraded,
            *_models_text(asked),
        ]
    )
    tell(text, said, as_json=arguments.json)
    return DONE if all(one.is_ok for each in asked for one in each.findings) else FAILED


def _components(settings: Settings) -> list[Component]:
    """What the workflow file describes, whoever runs it. Raises WorkflowError."""
    file = workflow_file(settings)
    if file is None:
        return []
    from forebay.control.workflow.structure import read_structure

    structure = read_structure(file)
    structure.refuse_problems()
    return [Component(each.section, each.name, each.type) for each in structure.components]


async def _ask(catalogue: Catalogue, settings: Settings) -> list[Asked]:
    """Ask each model that is configured, and the default one, whether it works."""
    known = catalogue.bench.models
    models: list[Model | Embedder] = [*known.models.values(), *known.embedders.values()]
    if settings.default_model is not None and settings.default_model not in known.models:
        models.append(known.model(settings.default_model))
    async with asyncio.TaskGroup() as tasks:
        asking = [(model.name, tasks.create_task(_validate(model))) for model in models]
    return [Asked(name, task.result()) for name, task in asking]


async def _validate(model: Model | Embedder) -> Sequence[Finding]:
    return await model.validate()


# --- for people ---------------------------------------------------------------------------------


def _settings_text(found: Sequence[Sourced]) -> str:
    rows = [(each.name, each.shown or "-", each.source) for each in found]
    return table([("SETTING", "VALUE", "SOURCE"), *rows])


def _workflow_text(catalogue: Catalogue, components: Sequence[Component]) -> list[str]:
    described = catalogue.described
    if described is None:
        return []
    lines = [f"workflow: {name_of(described)}"]
    if components:
        lines.append(table([("SECTION", "NAME", "TYPE"), *components]))
    if described.unused:
        lines.append(f"without effect here: {', '.join(described.unused)}")
    return lines


def _models_text(asked: Sequence[Asked]) -> list[str]:
    rows = [
        (each.name, one.about, "ok" if one.is_ok else "wrong", one.message)
        for each in asked
        for one in each.findings
    ]
    return [table([("MODEL", "ABOUT", "", "FOUND"), *rows])] if rows else []


def _value(setting: Sourced) -> Json:
    if setting.secret:
        return None if setting.value is None else setting.shown
    return list[Json](setting.value) if isinstance(setting.value, tuple) else setting.value
