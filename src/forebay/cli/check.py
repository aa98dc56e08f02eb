"""`forebay check`: the settings, where each comes from, and whether the agents can be loaded."""

import argparse
from collections.abc import Sequence

from forebay.core.json import Json
from forebay.settings import Sourced, load

from .outcome import DONE
from .output import table, tell
from .parser import given


def check(arguments: argparse.Namespace) -> int:
    """Print everything. Raises SettingError, AgentLoadError."""
    settings, found = load(given(arguments))
    from forebay.app.catalogue import load_catalogue
    from forebay.core.clock import SystemClock

    names = [agent.name for agent in load_catalogue(settings, SystemClock()).agents.all()]
    told: Json = {
        "settings": [
            {"name": each.name, "value": _value(each), "source": each.source} for each in found
        ],
        "agents": list[Json](names),
    }
    tell(_text(found, names), told, as_json=arguments.json)
    return DONE


def _text(found: Sequence[Sourced], names: Sequence[str]) -> str:
    rows = [(each.name, each.shown or "-", each.source) for each in found]
    return f"{table([('SETTING', 'VALUE', 'SOURCE'), *rows])}\n\nagents: {', '.join(names)}"


def _value(setting: Sourced) -> Json:
    if setting.secret:
        return None if setting.value is None else setting.shown
    return list[Json](setting.value) if isinstance(setting.value, tuple) else setting.value
