"""What a server says once, when it can be used: where it is, and three lines to try it with."""

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from forebay.core.json import Json
from forebay.ports.agent import Agent
from forebay.settings import Settings, database_name, is_loopback

from .example import example_of
from .listen import Listening
from .workflow import lines_of, told

if TYPE_CHECKING:
    from forebay.app.workflow import Described

_HELLO = "Hello from Forebay"
_HEADER = "-H 'content-type: application/json'"


class Banner(NamedTuple):
    """Everything that it says."""

    url: str
    database: str
    commands: dict[str, str]
    warnings: Sequence[str]
    described: "Described | None" = None

    def text(self) -> str:
        """For people."""
        lines = [
            f"Forebay is at {self.url}",
            f"  docs      {self.url}/docs",
            f"  database  {self.database}",
            *lines_of(self.described),
            "",
        ]
        for purpose, command in self.commands.items():
            lines += [f"  # {purpose}", f"  {command}"]
        return "\n".join([*lines, "", *(f"WARNING: {each}" for each in self.warnings)]).rstrip()

    def json(self) -> Json:
        """For programs."""
        return {
            "url": self.url,
            "docs": f"{self.url}/docs",
            "database": self.database,
            "workflow": told(self.described),
            "commands": {**self.commands},
            "warnings": list(self.warnings),
        }


def banner_of(
    settings: Settings,
    listening: Listening,
    agent: Agent,
    *,
    named: bool,
    described: "Described | None" = None,
) -> Banner:
    """What a server says; `named`: whether a request has to name the agent."""
    return Banner(
        listening.url,
        database_name(settings),
        _commands(f"{listening.url}/api/runs", agent, named=named),
        warnings_of(settings),
        described,
    )


def warnings_of(settings: Settings) -> list[str]:
    """What an operator should know."""
    if settings.require_auth or is_loopback(settings.host):
        return []
    reach = f"{settings.host} can be reached from other machines and authentication is off"
    return [f"{reach}: everybody who reaches it may use it."]


def _commands(url: str, agent: Agent, *, named: bool) -> dict[str, str]:
    value = example_of(agent.input_schema, text=_HELLO)
    body: dict[str, Json] = {"agent": agent.name} if named else {}
    body["input"] = value

    def post(**more: str) -> str:
        data = shlex.quote(json.dumps(body | more, ensure_ascii=False))
        return f"{url} {_HEADER} -d {data}"

    background = post(mode="background")
    return {
        "wait for the answer": f"curl -s {post()}",
        "stream it": f"curl -sN {post(mode='stream')}",
        "start it in the background, and follow it": (
            f"curl -sN {url}/$(curl -s {background} | cut -d'\"' -f4)/events"
        ),
    }
