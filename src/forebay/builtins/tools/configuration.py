"""What a workflow file may say of any of these tools."""

from collections.abc import Callable

import pydantic
from pydantic import ConfigDict, Field, PositiveFloat
from pydantic.config import JsonDict

from forebay.authoring import FunctionTool, make_tool

_NO_EFFECT: JsonDict = {"has_effect": False}


class ToolConfig(pydantic.BaseModel):
    """A tool under `functions`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str | None = None
    """What a model is told of it, instead of our own words."""
    timeout_seconds: PositiveFloat | None = None
    """How long a call may take."""
    needs_approval: bool = False
    """Whether a person is asked before each call."""
    name: str | None = Field(default=None, json_schema_extra=_NO_EFFECT)
    middleware: list[str] = Field(default=[], json_schema_extra=_NO_EFFECT)


def configured(function: Callable[..., object], name: str, config: ToolConfig) -> FunctionTool:
    """The tool that this function is, under its name in the file."""
    return make_tool(
        function,
        name,
        config.description or "",
        timeout_seconds=config.timeout_seconds,
        needs_approval=config.needs_approval,
    )
