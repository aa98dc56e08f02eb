"""The schemas of events and agents, for the OpenAPI document."""

from collections.abc import Sequence
from typing import cast

import msgspec

from forebay.core.codec import encode_json
from forebay.core.events import TYPES
from forebay.core.json import Json
from forebay.ports.agent import Agent

from .models import EventModel

_SCHEMA = "#/components/schemas/{name}"


def event_schemas() -> dict[str, Json]:
    """A schema for each event, and one for what an entry may be."""
    kinds = list(TYPES)
    refs, components = msgspec.json.schema_components(kinds, ref_template=_SCHEMA)
    by_type = {TYPES[kind]: ref["$ref"] for kind, ref in zip(kinds, refs, strict=True)}
    entry = {
        "description": "An entry of a run's log: its own fields, and those of its event.",
        "type": "object",
        "required": ["number", "attempt", "time"],
        "properties": {
            "number": {"type": "integer", "description": "Its place in the log, from 1."},
            "attempt": {"type": "integer", "description": "Who wrote it; 0 is not an attempt."},
            "time": {"type": "string", "format": "date-time"},
        },
        "oneOf": [{"$ref": ref} for ref in by_type.values()],
        "discriminator": {"propertyName": "type", "mapping": by_type},
    }
    return cast(dict[str, Json], {**components, EventModel.__name__: entry})


def agents_told(agents: Sequence[Agent]) -> str:
    """The agents of this server with what they take, as Markdown."""
    return "\n".join(["## Agents", *(_told(agent) for agent in agents)])


def _told(agent: Agent) -> str:
    schema = encode_json(agent.input_schema).decode() if agent.input_schema else "any JSON"
    return f"- **{agent.name}**: {agent.description or 'no description'}\n\n  Input: `{schema}`\n"
