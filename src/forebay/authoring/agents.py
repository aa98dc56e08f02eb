"""Making an agent of a function, a generator or a class: the decorator, and how it is called."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
import pydantic

from forebay.core.errors import AgentLoadError, InvalidInput
from forebay.core.json import Json
from forebay.ports.agent import Agent, BlockingContext, Context, Style

from .schema import first_line, hints_of, model_of, parameters_of, problems_of, values_of

_T = TypeVar("_T", bound=Callable[..., object])
_MARK = "__forebay_agent__"


class Message(pydantic.BaseModel):
    """One message of a conversation."""

    role: str
    content: str


def agent(name: str | None = None, *, description: str = "") -> Callable[[_T], _T]:
    """Make an agent of what is decorated, under this name (or its own).

    Raises AgentLoadError if it cannot be called as an agent.
    """

    def decorate(body: _T) -> _T:
        made = make_agent(body, name or getattr(body, "__name__", "agent"), description)
        setattr(body, _MARK, made)
        return body

    return decorate


def agent_in(thing: object) -> Agent | None:
    """The agent that was made of this thing, if one was."""
    made = getattr(thing, "__dict__", {}).get(_MARK)
    return made if isinstance(made, FunctionAgent) else None


@dataclass(frozen=True, slots=True)
class FunctionAgent:
    """An agent whose body is code of this process."""

    name: str
    description: str
    style: Style
    input_schema: Json
    body: Callable[[Context | BlockingContext, object], object]
    reader: Callable[[Json], object]

    def read_input(self, value: Json) -> object:
        return self.reader(value)

    def call(self, ctx: Context | BlockingContext, value: object) -> object:
        return self.body(ctx, value)


def make_agent(body: Callable[..., object], name: str, description: str = "") -> FunctionAgent:
    """Make an agent of a function, a generator, or a class with `run`. Raises AgentLoadError."""
    function = _function_of(body, name)
    hints = hints_of(f"Agent {name!r}", function)
    context, parameters = parameters_of(function, hints, is_method=inspect.isclass(body))
    reader, schema, spread = _input_of(name, hints, parameters)

    def call(ctx: Context | BlockingContext, value: object) -> object:
        target = cast(Callable[..., object], body().run) if inspect.isclass(body) else body  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        before = () if context is None else (ctx,)
        if not parameters:
            return target(*before)
        if spread:
            return target(*before, **cast(dict[str, object], value))
        if parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
            return target(*before, **{parameters[0].name: value})
        return target(*before, value)

    return FunctionAgent(
        name,
        description or first_line(body),
        _style_of(function),
        schema,
        call,
        reader,
    )


def as_json(value: object) -> Json:
    """Plain JSON for what an agent yields or returns. Raises TypeError."""
    return cast(Json, msgspec.to_builtins(value, enc_hook=_dump_model, str_keys=True))


def _dump_model(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"An agent cannot answer with a {type(value).__name__}: it is not JSON.")


# --- what is called -----------------------------------------------------------------------------


def _function_of(body: Callable[..., object], name: str) -> Callable[..., object]:
    if not inspect.isclass(body):
        return body
    run = getattr(body, "run", None)
    if not callable(run):
        raise AgentLoadError(f"Agent {name!r}: a class needs a `run` method.")
    return run


def _style_of(function: Callable[..., object]) -> Style:
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.iscoroutinefunction(function):
        return "async function"
    return "generator" if inspect.isgeneratorfunction(function) else "function"


# --- what it takes ------------------------------------------------------------------------------


def _input_of(
    name: str, hints: dict[str, Any], parameters: list[inspect.Parameter]
) -> tuple[Callable[[Json], object], Json, bool]:
    """How to read the input, its schema, and whether it is spread over several parameters."""
    if not parameters:
        return (lambda value: value), {}, False
    if len(parameters) > 1:
        model = model_of(f"{name} input", parameters, hints)
        typed = _Typed(name, pydantic.TypeAdapter(model))
        return typed.spread, cast(Json, model.model_json_schema()), True
    (parameter,) = parameters
    hint = hints.get(parameter.name)
    if hint is str:
        return _Text(name, parameter.name).read, {"type": "string"}, False
    if hint is None:
        return (lambda value: value), {}, False
    adapter: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(hint)
    read = _messages_or(_Typed(name, adapter).read) if hint == list[Message] else None
    return read or _Typed(name, adapter).read, cast(Json, adapter.json_schema()), False


@dataclass(frozen=True, slots=True)
class _Text:
    """Input of an agent that takes text: text, a conversation, or an object with that one field."""

    agent: str
    parameter: str

    def read(self, value: Json) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return self._last_of(value)
        if isinstance(value, dict) and isinstance(text := value.get(self.parameter), str):
            return text
        raise InvalidInput(f"Agent {self.agent!r} takes text, or a list of messages.")

    def _last_of(self, messages: list[Json]) -> str:
        for message in reversed(messages):
            if isinstance(message, dict) and message.get("role") == "user":
                content = message.get("content")
                if isinstance(content, str):
                    return content
        raise InvalidInput(f"Agent {self.agent!r} takes text: no user message with text was found.")


@dataclass(frozen=True, slots=True)
class _Typed:
    """Input that has to match annotations."""

    agent: str
    adapter: pydantic.TypeAdapter[object] | pydantic.TypeAdapter[pydantic.BaseModel]

    def read(self, value: Json) -> object:
        try:
            return self.adapter.validate_python(value)
        except pydantic.ValidationError as error:
            problems, told = problems_of(error, "input")
            raise InvalidInput(
                f"Agent {self.agent!r} does not take this input: {told}", problems=problems
            ) from error

    def spread(self, value: Json) -> dict[str, object]:
        return values_of(cast(pydantic.BaseModel, self.read(value)))


def _messages_or(read: Callable[[Json], object]) -> Callable[[Json], object]:
    def read_messages(value: Json) -> object:
        if isinstance(value, str):
            return [Message(role="user", content=value)]
        return read(value)

    return read_messages
