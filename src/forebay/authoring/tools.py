"""Making a tool of a function, or of an agent: the decorator, and how arguments are read.

Arguments come from a model. What is wrong with them is said so that it can write better ones.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, overload

import pydantic
from pydantic.fields import FieldInfo

from forebay.core.errors import AgentLoadError, FieldProblem, InvalidArguments
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context

from .agents import as_json
from .docstrings import docstring_of
from .schema import hints_of, model_of, parameters_of, problems_of, values_of

_T = TypeVar("_T", bound=Callable[..., object])
_MARK = "__forebay_tool__"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every provider of models accepts


@overload
def tool(name: _T, /) -> _T: ...


@overload
def tool(
    name: str | None = None,
    *,
    description: str = "",
    timeout_seconds: float | None = None,
    needs_approval: bool = False,
) -> Callable[[_T], _T]: ...


def tool(
    name: _T | str | None = None,
    *,
    description: str = "",
    timeout_seconds: float | None = None,
    needs_approval: bool = False,
) -> _T | Callable[[_T], _T]:
    """Make a tool of the decorated function, under this name (or its own).

    Its parameters are the arguments, read by their annotations; a model is told what
    `Annotated[…, Field(description=…)]` and the docstring say. A first parameter `ctx` gets the
    context. The function stays as it was. Raises AgentLoadError if it cannot be called as a tool.
    """

    def decorate(function: _T) -> _T:
        called = name if isinstance(name, str) else getattr(function, "__name__", "tool")
        if _NAME.fullmatch(called) is None:
            raise AgentLoadError(
                f"Tool {called!r}: a name has up to 64 letters (a-z), digits, `_` and `-`."
            )
        made = make_tool(
            function, called, description,
            timeout_seconds=timeout_seconds, needs_approval=needs_approval,
        )  # fmt: skip
        setattr(function, _MARK, made)
        return function

    return decorate(name) if name is not None and not isinstance(name, str) else decorate


def tool_in(thing: object) -> "FunctionTool | None":
    """The tool that was made of this thing, if one was."""
    made = thing if isinstance(thing, FunctionTool) else getattr(thing, "__dict__", {}).get(_MARK)
    return made if isinstance(made, FunctionTool) else None


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool whose body is a function of this process."""

    name: str
    description: str
    parameters: Json
    timeout_seconds: float | None
    needs_approval: bool
    blocks: bool
    body: Callable[[Context | BlockingContext, Mapping[str, Json]], object]

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        return self.body(ctx, arguments)


def make_tool(
    function: Callable[..., object],
    name: str,
    description: str = "",
    *,
    timeout_seconds: float | None = None,
    needs_approval: bool = False,
) -> FunctionTool:
    """Make a tool of a function or a bound method. One that is not async is called in a thread.

    Raises AgentLoadError.
    """
    what = f"Tool {name!r}"
    code = _code_of(what, function)
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise AgentLoadError(f"{what}: a time limit of {timeout_seconds} seconds is none.")
    try:
        signature = inspect.signature(function)
    except ValueError as error:  # some of Python's own functions tell nothing
        raise AgentLoadError(f"{what}: {error}") from error
    hints, said = hints_of(what, code), docstring_of(_documented(function))
    context, parameters = parameters_of(function, hints)
    model = _model_of(what, parameters, hints, said.parameters)
    body = _Body(name, function, signature, context, model, inspect.iscoroutinefunction(code))
    return FunctionTool(
        name,
        description or said.text,
        _schema_of(what, model),
        timeout_seconds,
        needs_approval,
        not body.is_async,
        body.call,
    )


def invalid_arguments(
    tool: str, problems: Sequence[FieldProblem], known: Sequence[str]
) -> InvalidArguments:
    """The error that tells a model which arguments are wrong, and how."""
    wrong = "; ".join(_sentence(problem) for problem in problems[:5])
    takes = f"Its arguments are: {', '.join(known)}." if known else "It takes none."
    return InvalidArguments(
        f"{tool} does not take these arguments. {wrong}. {takes}", problems=problems
    )


# --- the call -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Body:
    """A function, and how the arguments of a call become its own."""

    tool: str
    function: Callable[..., object]
    signature: inspect.Signature
    context: inspect.Parameter | None
    model: type[pydantic.BaseModel]
    is_async: bool

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        bound = self.signature.bind_partial()
        bound.arguments.update(self._read(arguments))
        if self.context is not None:
            bound.arguments[self.context.name] = ctx
        return self._answer(bound) if self.is_async else self._json(self._result(bound))

    def _read(self, arguments: Mapping[str, Json]) -> dict[str, object]:
        try:
            return values_of(self.model.model_validate(dict(arguments)))
        except pydantic.ValidationError as error:
            problems, _ = problems_of(error)
            known = [str(field.alias) for field in self.model.model_fields.values()]
            raise invalid_arguments(self.tool, problems, known) from error

    def _result(self, bound: inspect.BoundArguments) -> object:
        return self.function(*bound.args, **bound.kwargs)

    async def _answer(self, bound: inspect.BoundArguments) -> Json:
        return self._json(await cast(Awaitable[object], self._result(bound)))

    def _json(self, result: object) -> Json:
        try:
            return as_json(result)
        except TypeError as error:
            kind = type(result).__name__
            raise TypeError(f"Tool {self.tool!r} returned a {kind}: it is not JSON.") from error


def _sentence(problem: FieldProblem) -> str:
    where = ".".join(str(part) for part in problem.location)
    match problem.kind:
        case "missing":
            return f"{where}: is missing"
        case "extra_forbidden":
            return f"{where}: there is no such argument"
        case _:
            return f"{where}: {problem.message}"


# --- what is called -----------------------------------------------------------------------------


def _code_of(what: str, function: Callable[..., object]) -> Callable[..., object]:
    """The function that has the annotations. Raises AgentLoadError for what is no tool."""
    while isinstance(function, functools.partial):
        function = cast(Callable[..., object], function.func)
    if inspect.isclass(function) or not callable(function):
        raise AgentLoadError(f"{what}: a tool is made of a function.")
    if not inspect.isroutine(function):
        function = type(function).__call__  # an object that can be called
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise AgentLoadError(f"{what}: a tool returns its result, it cannot yield.")
    return function


def _documented(function: Callable[..., object]) -> object:
    while isinstance(function, functools.partial):
        function = cast(Callable[..., object], function.func)
    return function


def _model_of(
    what: str,
    parameters: list[inspect.Parameter],
    hints: Mapping[str, Any],
    said: Mapping[str, str],
) -> type[pydantic.BaseModel]:
    for parameter in parameters:
        _check(what, parameter)
    descriptions = {**said}
    for parameter in parameters:
        if (own := _description_in(hints.get(parameter.name))) is not None:
            descriptions[parameter.name] = own
    try:
        return model_of(
            "arguments", parameters, hints,
            descriptions=descriptions, config=pydantic.ConfigDict(extra="forbid"),
        )  # fmt: skip
    except pydantic.errors.PydanticUserError as error:
        raise AgentLoadError(f"{what}: an annotation cannot be read: {error.message}") from error


def _check(what: str, parameter: inspect.Parameter) -> None:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise AgentLoadError(f"{what}: {parameter} cannot be described to a model: name each one.")
    if parameter.name == "self":
        raise AgentLoadError(f"{what}: it is a method. Make the tool of a bound one: `make_tool`.")
    if isinstance(parameter.default, FieldInfo):
        raise AgentLoadError(
            f"{what}: write {parameter.name}: Annotated[…, Field(…)], with the default itself."
        )


def _description_in(hint: object) -> str | None:
    """What an annotation says in words: `Annotated[…, Field(description=…)]`, or just a text."""
    if get_origin(hint) is not Annotated:
        return None
    for said in get_args(hint)[1:]:
        text = said.description if isinstance(said, FieldInfo) else said
        if isinstance(text, str):
            return text
    return None


def _schema_of(what: str, model: type[pydantic.BaseModel]) -> Json:
    try:
        return _without_titles(cast(Json, model.model_json_schema()))
    except pydantic.errors.PydanticUserError as error:
        raise AgentLoadError(f"{what}: {error.message}") from error


def _without_titles(schema: Json) -> Json:
    """The schema without what pydantic adds for forms: a model pays for each word."""
    if isinstance(schema, list):
        return [_without_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _of_key(key, value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _of_key(key: str, value: Json) -> Json:
    if key in ("default", "const", "enum", "examples"):
        return value
    if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
        return {name: _without_titles(schema) for name, schema in value.items()}
    return _without_titles(value)
