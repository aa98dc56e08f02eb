"""scripted: a model that plays a script. For tests and demonstrations: it says the same every time.

It keeps nothing in mind: which turn it plays follows from how often the conversation shows that it
has spoken before. So it is the same in every process, in another try, and in a resumed run.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import pydantic
from pydantic import ConfigDict, Field

from forebay.core import errors
from forebay.core.clock import Clock, SystemClock
from forebay.core.codec import encode_json
from forebay.core.errors import ModelError
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ChatRequest, Finish, Reply, ToolCall
from forebay.ports.components import Parts, Registry
from forebay.ports.models import Finding, Price, Thought

_WORD = re.compile(r"\s*\S+|\s+$")

Failure = Literal[
    "model_unreachable", "model_cut_off", "key_refused", "model_unknown", "rate_limited",
    "context_too_long", "content_filtered", "model_refused", "malformed_reply",
]  # fmt: skip

_FAILURES: Mapping[str, type[ModelError]] = {
    kind.code: kind
    for kind in (
        errors.ModelUnreachable, errors.ModelCutOff, errors.KeyRefused, errors.ModelUnknown,
        errors.RateLimited, errors.ContextTooLong, errors.ContentFiltered, errors.ModelRefused,
        errors.MalformedReply,
    )
}  # fmt: skip


class _Closed(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Consumed(_Closed):
    """What a turn is said to have consumed."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


class Turn(_Closed):
    """What the model does when it is its turn.

    In its texts `{user}` stands for the last message of the user, `{tool}` for the last result of
    a tool. Arguments of a call that are a text stand for themselves, JSON or not.
    """

    say: str | None = None
    chunks: list[str] | None = None
    """What it says, in these pieces."""
    chunk_size: int | None = Field(default=None, ge=1)
    """In pieces of so many characters, instead of words."""
    delay_ms: float | None = Field(default=None, ge=0)
    """How long each piece takes."""
    think: str | None = None
    call: dict[str, Json] | list[dict[str, Json]] = {}
    """The tools it asks for, with their arguments."""
    fail: Failure | None = None
    """How it fails, after all that."""
    message: str | None = None
    usage: Consumed | None = None
    finish: Finish | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: object) -> object:
        return {"say": given} if isinstance(given, str) else given

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Turn":
        if self.say is not None and self.chunks is not None:
            raise ValueError("Give `say` or `chunks`, not both.")
        if self.say is None and self.chunks is None and not self.call and self.fail is None:
            raise ValueError("A turn needs one of `say`, `chunks`, `call` and `fail`.")
        return self

    @property
    def calls(self) -> list[tuple[str, Json]]:
        """The tools it asks for, in order."""
        several = self.call if isinstance(self.call, list) else [self.call]
        return [pair for each in several for pair in each.items()]


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"This is no regular expression: {error}.") from error
    return pattern


class Rule(_Closed):
    """A script for when the last message of the user matches. Its turns count from that message."""

    when: Annotated[str, pydantic.AfterValidator(_is_pattern)]
    script: list[Turn] = Field(min_length=1)


class Cost(_Closed):
    """What a million tokens are said to cost, in US dollars."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class ScriptedConfig(_Closed):
    """What a workflow file says of a scripted model. Without a script it repeats what it hears."""

    script: list[Turn] = []
    rules: list[Rule] = []
    repeat: bool = False
    """Whether a script begins again when it is over."""
    delay_ms: float = Field(default=0, ge=0)
    price: Cost | None = None
    fallbacks: list[str] = Field(default=[], json_schema_extra={"refers_to": "llms"})


class _Playing(NamedTuple):
    turn: Turn
    number: int


class ScriptedModel:
    """A model that plays a script."""

    def __init__(
        self,
        name: str,
        script: Sequence[Turn | Mapping[str, object] | str] = (),
        *,
        config: ScriptedConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Raises pydantic.ValidationError for a turn that is none."""
        self.name = name
        self.provider = "scripted in this server"
        turns = [each if isinstance(each, Turn) else Turn.model_validate(each) for each in script]
        self._config = config or ScriptedConfig(script=turns)
        self._clock = clock or SystemClock()
        self.fallbacks: Sequence[str] = tuple(self._config.fallbacks)
        cost = self._config.price
        self.price = None if cost is None else Price(cost.input, cost.output)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        turn, number = self._playing(request.messages)
        if turn.think is not None:
            yield Thought(turn.think)
        pieces = _until(request.stop, _pieces(turn, request.messages))
        delay = self._config.delay_ms if turn.delay_ms is None else turn.delay_ms
        for piece in pieces or [""]:
            if delay:
                await self._clock.sleep(delay / 1000)
            if piece:
                yield piece
        if turn.fail is not None:
            raise _FAILURES[turn.fail](turn.message or f"The script of {self.name} says so.")
        yield _reply(turn, number, "".join(pieces), request)

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        del dry_call
        return [Finding("answers", True, "It plays a script.")]

    def _playing(self, messages: Sequence[ChatMessage]) -> _Playing:
        asked, at = _last_of("user", messages)
        for rule in self._config.rules:
            if re.search(rule.when, asked):
                return self._at(rule.script, _turns_of_model(messages[at:]))
        if self._config.script:
            return self._at(self._config.script, _turns_of_model(messages))
        return _Playing(Turn(say=asked), _turns_of_model(messages))

    def _at(self, script: Sequence[Turn], number: int) -> _Playing:
        if number >= len(script) and not self._config.repeat:
            raise ModelError(
                f"The script of {self.name} has {len(script)} turns, and they are over: "
                "add one, or set `repeat`."
            )
        return _Playing(script[number % len(script)], number)


def register(registry: Registry) -> None:
    """Make the type known."""
    registry.add_model("scripted", ScriptedConfig, _build)


def _build(name: str, config: ScriptedConfig, parts: Parts) -> ScriptedModel:
    return ScriptedModel(name, config=config, clock=parts.clock)


# --- what it says -------------------------------------------------------------------------------


def _pieces(turn: Turn, messages: Sequence[ChatMessage]) -> list[str]:
    if turn.chunks is not None:
        return [_filled(chunk, messages) for chunk in turn.chunks]
    text = _filled(turn.say or "", messages)
    if turn.chunk_size is None:
        return _WORD.findall(text)
    return [text[at : at + turn.chunk_size] for at in range(0, len(text), turn.chunk_size)]


def _filled(text: str, messages: Sequence[ChatMessage]) -> str:
    if "{user}" not in text and "{tool}" not in text:
        return text
    told = {"{user}": _last_of("user", messages)[0], "{tool}": _last_of("tool", messages)[0]}
    return re.sub(r"\{user\}|\{tool\}", lambda found: told[found[0]], text)


def _put_in(value: Json, messages: Sequence[ChatMessage]) -> Json:
    if isinstance(value, str):
        return _filled(value, messages)
    if isinstance(value, list):
        return [_put_in(each, messages) for each in value]
    if isinstance(value, dict):
        return {name: _put_in(each, messages) for name, each in value.items()}
    return value


def _until(stop: Sequence[str], pieces: list[str]) -> list[str]:
    text = "".join(pieces)
    left = min((at for word in stop if (at := text.find(word)) >= 0), default=len(text))
    return list(_first(left, pieces))


def _first(left: int, pieces: Sequence[str]) -> Iterator[str]:
    for piece in pieces:
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)


def _reply(turn: Turn, number: int, text: str, request: ChatRequest) -> Reply:
    calls = tuple(
        ToolCall(f"call_{number + 1}_{at}", name, _written(_put_in(arguments, request.messages)))
        for at, (name, arguments) in enumerate(turn.calls, 1)
    )
    if turn.usage is None:
        heard = sum(len(message.text.split()) for message in request.messages)
        usage = Usage(heard, len(text.split()), estimated=True)
    else:
        usage = Usage(turn.usage.input_tokens, turn.usage.output_tokens)
    finish = turn.finish or ("tool_calls" if calls else "stop")
    return Reply(text, calls, finish, usage, turn.think)


def _written(arguments: Json) -> str:
    return arguments if isinstance(arguments, str) else encode_json(arguments).decode()


def _last_of(role: str, messages: Sequence[ChatMessage]) -> tuple[str, int]:
    """The text of the last message of this role, and where it stands."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == role:
            return messages[at].text, at
    return "", 0


def _turns_of_model(messages: Sequence[ChatMessage]) -> int:
    return sum(message.role == "assistant" for message in messages)
