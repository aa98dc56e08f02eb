"""What a model is told beyond messages, the tools and the form of its reply, and reading that."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import pydantic

from forebay.core.errors import MalformedReply
from forebay.core.json import Json
from forebay.core.messages import Reply, ToolSpec
from forebay.ports.tools import Tools

_FENCE = "```"


async def specs_of(tools: Tools, names: Sequence[str]) -> list[ToolSpec]:
    """What a model is told of these tools. Raises ToolNotFound, ToolUnavailable."""
    found = await tools.named(names)
    return [ToolSpec(tool.name, tool.description, tool.parameters) for tool in found]


def schema_of(kind: object) -> Json:
    """The JSON schema of a type that a reply is to have."""
    return cast(Json, _adapter(kind).json_schema())


def value_of(reply: Reply, kind: object) -> object:
    """Read a reply as a type. Raises MalformedReply."""
    try:
        return _adapter(kind).validate_json(_unfenced(reply.text))
    except pydantic.ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(
            ": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"])))
            for each in problems[:3]
        )
        raise MalformedReply(
            f"The reply of model {reply.model!r} is not of the type asked for: {told}."
        ) from error


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> pydantic.TypeAdapter[object]:  # Any: whatever an agent calls a type
    return pydantic.TypeAdapter(kind)


def _unfenced(text: str) -> str:
    # Some models put JSON into a block of code, whatever they are told.
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        return text[len(_FENCE) : -len(_FENCE)].partition("\n")[2]
    return text
