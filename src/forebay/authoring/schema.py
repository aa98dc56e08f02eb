"""What a function takes: its parameters, a model of them, and what is wrong with an input."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast, get_type_hints

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from forebay.core.errors import AgentLoadError, FieldProblem
from forebay.ports.agent import BlockingContext, Context

_CONTEXT_NAMES = ("ctx", "context")


def hints_of(what: str, function: Callable[..., object]) -> dict[str, Any]:
    """The annotations of a function. Raises AgentLoadError."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AgentLoadError(f"{what}: an annotation cannot be read: {error}") from error


def parameters_of(
    function: Callable[..., object], hints: Mapping[str, Any], *, is_method: bool = False
) -> tuple[inspect.Parameter | None, list[inspect.Parameter]]:
    """The parameter that takes the context, if there is one, and the others."""
    parameters = list(inspect.signature(function).parameters.values())[is_method:]
    if parameters and (
        parameters[0].name in _CONTEXT_NAMES
        or hints.get(parameters[0].name) in (Context, BlockingContext)
    ):
        return parameters[0], parameters[1:]
    return None, parameters


def model_of(
    name: str,
    parameters: list[inspect.Parameter],
    hints: Mapping[str, Any],
    *,
    descriptions: Mapping[str, str] | None = None,
    config: pydantic.ConfigDict | None = None,
) -> type[pydantic.BaseModel]:
    """A model with a field for each parameter, under the parameter's name as its alias."""
    # Aliases, because a parameter may be called what a model has of its own (`schema`, `copy`…).
    fields: dict[str, object] = {
        f"parameter_{at}": (
            hints.get(parameter.name, object),
            _field_of(parameter, (descriptions or {}).get(parameter.name)),
        )
        for at, parameter in enumerate(parameters)
    }
    return cast(
        type[pydantic.BaseModel],
        pydantic.create_model(name, __config__=config, **fields),  # pyright: ignore[reportCallIssue, reportArgumentType]
    )


def _field_of(parameter: inspect.Parameter, description: str | None) -> FieldInfo:
    told: dict[str, Any] = {"alias": parameter.name}
    if description:
        told["description"] = description
    if parameter.default is inspect.Parameter.empty:
        return cast(FieldInfo, pydantic.Field(**told))
    default = parameter.default
    if not _is_json(default):  # a schema cannot show it
        return cast(FieldInfo, pydantic.Field(default_factory=lambda: default, **told))
    return cast(FieldInfo, pydantic.Field(default, **told))


def _is_json(value: object) -> bool:
    try:
        to_jsonable_python(value)
    except PydanticSerializationError:
        return False
    return True


def values_of(model: pydantic.BaseModel) -> dict[str, object]:
    """The values of such a model, by the names of the parameters."""
    fields = type(model).model_fields
    return {field.alias or name: getattr(model, name) for name, field in fields.items()}


def problems_of(
    error: pydantic.ValidationError, *within: str | int
) -> tuple[list[FieldProblem], str]:
    """What is wrong with an input, and the first of it in words. The input itself is never told."""
    problems = [
        FieldProblem((*within, *problem["loc"]), problem["msg"], problem["type"])
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return problems, "; ".join(_sentence(problem) for problem in problems[:3])


def _sentence(problem: FieldProblem) -> str:
    return f"{'.'.join(str(part) for part in problem.location)}: {problem.message}"


def first_line(body: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(body) or "").partition("\n")[0]
