"""sequential_executor: functions one after the other, each with what the one before returned."""

import logging
from collections.abc import Sequence
from typing import cast

import pydantic
from pydantic import ConfigDict, Field

from forebay.authoring import FunctionAgent
from forebay.authoring.acting import specs_of
from forebay.core.errors import ForebayError, InvalidInput, StepFailed, ToolError, ToolNotGranted
from forebay.core.json import Json
from forebay.core.messages import ToolSpec
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.components import Parts, Registry

from .branches import answer_with, use_function
from .conversation import FunctionConfig, read_conversation

log = logging.getLogger("forebay.agents")


class ToolExecution(pydantic.BaseModel):
    """How one function of the list is called: what the last one says is streamed in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use_streaming: bool = Field(default=False, json_schema_extra={"has_effect": False})


class SequentialConfig(FunctionConfig):
    """What a workflow file says of it."""

    description: str = "Calls functions one after the other"
    tool_list: list[str] = Field(min_length=1, json_schema_extra={"refers_to": "functions"})
    tool_execution_config: dict[str, ToolExecution] = Field(default={})
    # Values are checked against the schema of the next function in every call.
    raise_type_incompatibility: bool = Field(default=False, json_schema_extra={"has_effect": False})
    return_error_on_exception: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> "SequentialConfig":
        unknown = sorted(set(self.tool_execution_config) - set(self.tool_list))
        if unknown:
            raise ValueError(f"tool_execution_config names what is not in tool_list: {unknown[0]}.")
        return self


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_function("sequential_executor", SequentialConfig, _build)


def _build(name: str, config: SequentialConfig, parts: Parts) -> FunctionAgent:
    async def answer(ctx: Context, value: Json) -> Json:
        specs = await specs_of(ctx, config.tool_list)
        _check_that_none_is_left_out(specs, config.tool_list)
        for number, spec in enumerate(specs, 1):
            try:
                if number == len(specs):
                    return await answer_with(ctx, parts, spec, value)
                value = await use_function(ctx, spec, value)
            except (StepFailed, ToolError, InvalidInput) as error:
                if not config.return_error_on_exception:
                    raise _failure(specs, number, error) from error
                log.warning("%s: %s has failed: %s", name, spec.name, error.message)
                kind = getattr(error, "error", "") or type(error).__name__
                return f"Error in {spec.name}: {kind}: {error.message}"
        return value

    def call(ctx: Context | BlockingContext, value: object) -> object:
        return answer(cast(Context, ctx), cast(Json, value))

    return FunctionAgent(name, config.description, "async function", {}, call, read_value)


def read_value(value: Json) -> Json:
    """What the first function gets: of a conversation the last message of the user."""
    is_list = isinstance(value, list) and all(
        isinstance(each, dict) and "role" in each for each in value
    )
    is_object = isinstance(value, dict) and ("messages" in value or set(value) == {"input_message"})
    return read_conversation(value).question if (value and is_list) or is_object else value


def _check_that_none_is_left_out(specs: Sequence[ToolSpec], names: Sequence[str]) -> None:
    # An agent is told only of the functions that its run may use, and a sequence needs all.
    told = [spec.name for spec in specs]
    for name in names:
        plain = name.replace(".", "__")
        if not any(each in (name, plain) or each.startswith(f"{plain}__") for each in told):
            raise ToolNotGranted(f"This run may not use the tool {name!r}.")


def _failure(specs: Sequence[ToolSpec], number: int, error: ForebayError) -> ToolError:
    name = specs[number - 1].name
    return ToolError(f"{name}, number {number} of {len(specs)}, has failed: {error.message}")
