"""Asking people what an MCP server wants to know in the middle of a call.

One question with one answer: a text, a number, yes or no, or a choice. Everything else is declined.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, cast

from mcp import types

from forebay.core.errors import InvalidPrompt, QuestionTimedOut, RunFinished
from forebay.core.events import Option, Prompt
from forebay.core.json import Json
from forebay.ports.agent import Context

_LONGEST_MESSAGE = 4_000
_MOST_OPTIONS = 100
_YES, _NO = "yes", "no"

_Value: TypeAlias = str | int | float | bool | list[str]
_Content: TypeAlias = Mapping[str, str | int | float | bool | list[str] | None]

_DECLINED = types.ElicitResult(action="decline")
_CANCELLED = types.ElicitResult(action="cancel")


class _Question(NamedTuple):
    prompt: Prompt
    content: Callable[[Json], _Content | None]
    """What the server is told of an answer. None: that it was declined."""


async def ask(ctx: Context, asker: str, params: types.ElicitRequestParams) -> types.ElicitResult:
    """Ask whoever watches the run; what the server is told."""
    if not isinstance(params, types.ElicitRequestFormParams):
        return _DECLINED
    question = _question(f"{asker} asks: {params.message[:_LONGEST_MESSAGE]}", params)
    if question is None:
        return _DECLINED
    try:
        answer = await ctx.ask(question.prompt)
        content = question.content(answer)
    except (QuestionTimedOut, RunFinished):
        return _CANCELLED
    except (InvalidPrompt, ValueError):
        return _DECLINED
    return (
        _DECLINED if content is None else types.ElicitResult(action="accept", content=dict(content))
    )


def _question(text: str, params: types.ElicitRequestFormParams) -> _Question | None:
    schema = params.requested_schema
    fields = cast("Mapping[str, Mapping[str, Json]]", schema.get("properties") or {})
    if not fields:
        return _Question(_choice(text, _yes_or_no()), _nothing)
    if len(fields) > 1:
        return None
    [(name, field)] = fields.items()
    is_required = name in cast("Sequence[str]", schema.get("required") or ())
    found = _field(text, field, is_required=is_required)
    if found is None:
        return None
    prompt, read = found

    def content(answer: Json) -> _Content:
        return {} if answer in ("", None) and not is_required else {name: read(answer)}

    return _Question(prompt, content)


def _field(
    text: str, field: Mapping[str, Json], *, is_required: bool
) -> tuple[Prompt, Callable[[Json], _Value]] | None:
    hint = field.get("description") or field.get("title")
    typed = Prompt(text, placeholder=hint if isinstance(hint, str) else None, required=is_required)
    found: tuple[Prompt, Callable[[Json], _Value]] | None = None
    match field:
        case {"type": "boolean"}:
            found = _choice(text, _yes_or_no()), lambda answer: answer == _YES
        case {"type": "array", "items": dict(items)} if options := _options(items):
            several = Prompt(text, "checkbox", options, required=is_required)
            found = several, lambda answer: cast("list[str]", answer)
        case {"type": "string"} if options := _options(field):
            found = _choice(text, options, required=is_required), str
        case {"type": "string"}:
            found = typed, str
        case {"type": "integer"}:
            found = typed, _integer
        case {"type": "number"}:
            found = typed, _number
        case _:
            pass
    return found


def _options(field: Mapping[str, Json]) -> tuple[Option, ...]:
    match field:
        case {"enum": list(values)}:
            names = field.get("enumNames")
            titles = names if isinstance(names, list) and len(names) == len(values) else values
            pairs = list(zip(values, titles, strict=True))
        case {"oneOf": list(choices)} | {"anyOf": list(choices)}:
            dicts = [choice for choice in choices if isinstance(choice, dict)]
            pairs = [(each.get("const"), each.get("title", each.get("const"))) for each in dicts]
        case _:
            return ()
    return tuple(
        Option(str(value), str(title), str(value)) for value, title in pairs[:_MOST_OPTIONS]
    )


def _choice(text: str, options: tuple[Option, ...], *, required: bool = True) -> Prompt:
    kind = "binary_choice" if len(options) == 2 else "radio"
    return Prompt(text, kind, options, required=required)


def _yes_or_no() -> tuple[Option, ...]:
    return Option(_YES, "Yes", _YES), Option(_NO, "No", _NO)


def _nothing(answer: Json) -> _Content | None:
    return {} if answer == _YES else None


def _integer(answer: Json) -> int:
    return int(str(answer))


def _number(answer: Json) -> float:
    return float(str(answer))
