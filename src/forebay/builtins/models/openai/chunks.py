"""A reply in chunks, as OpenAI streams it and others do nearly alike.

A chunk is decoded into the few fields that matter. One that does not fit is looked at again with
patience: servers leave out indexes and ids, send contents in parts, or usage as floats.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from forebay.builtins.models.failures import (
    Refusal,
    Refused,
    Unreadable,
    complaint_in,
    declined,
    status_in,
)
from forebay.builtins.models.sealing import seal
from forebay.builtins.models.source import Source
from forebay.core.codec import decode_json
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import Finish, Reply, ToolCall
from forebay.ports.models import Thought

from .patience import tidied

_FINISHES: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_DONE = b"[DONE]"


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: Json = None
    """Sealed thoughts, at Google's."""


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Json = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _Building:
    """A tool call of which more may come."""

    __slots__ = ("arguments", "extra", "id", "index", "name")

    def __init__(self, delta: _Call) -> None:
        self.index = delta.index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra: Json = None

    def add(self, delta: _Call) -> None:
        self.id = self.id or delta.id or ""
        self.extra = delta.extra_content or self.extra
        if function := delta.function:
            self.name = function.name or self.name
            if function.arguments:
                self.arguments.append(function.arguments)

    def built(self) -> ToolCall:
        arguments = "".join(self.arguments)
        made = self.id or f"call_{secrets.token_hex(8)}"
        return ToolCall(made, self.name, arguments if arguments.strip() else "{}")


class _Calls:
    """The tool calls of a reply. A delta belongs to the call of its index, else of its id, else to
    the last one; one that brings another id, or a name without either, begins a call."""

    def __init__(self) -> None:
        self._calls: list[_Building] = []

    def add(self, deltas: Sequence[_Call]) -> None:
        for delta in deltas:
            call = self._call_of(delta)
            if call is None:
                call = _Building(delta)
                self._calls.append(call)
            call.add(delta)

    def built(self) -> tuple[tuple[ToolCall, ...], dict[str, Json]]:
        """The calls, and what is sealed in them by their ids."""
        named = [(call, call.built()) for call in self._calls if call.name]
        sealed: dict[str, Json] = {made.id: call.extra for call, made in named if call.extra}
        return tuple(made for _, made in named), sealed

    def _call_of(self, delta: _Call) -> _Building | None:
        for call in reversed(self._calls):
            if delta.index is not None and call.index != delta.index:
                continue
            if delta.id and call.id and call.id != delta.id:
                continue
            begins = delta.index is None and not delta.id and _name_in(delta)
            return None if begins else call
        return None


class Chunks:
    """Hears one reply. Implements Hearing."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls = _Calls()
        self._refusals: list[str] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self.is_over = False

    @property
    def has_spoken(self) -> bool:
        return bool(self._texts or self._thoughts)

    @property
    def is_complete(self) -> bool:
        return self.is_over or self._finish is not None

    def hear(self, payloads: Iterable[bytes]) -> Iterator[str | Thought]:
        """The pieces in some chunks. Raises Refused, Unreadable."""
        for payload in payloads:
            chunk = _read(payload)
            if chunk is None:
                self.is_over = True
                return
            delta = self._note(chunk, payload)
            if delta is None:
                continue
            if thought := delta.reasoning_content or delta.reasoning:
                self._thoughts.append(thought)
                yield Thought(thought)
            if text := delta.content:
                self._texts.append(text)
                yield text

    def reply(self) -> Reply:
        """All that was said. Raises ContentFiltered."""
        calls, sealed = self._calls.built()
        finish = _FINISHES.get(self._finish or "", "stop")
        text = "".join(self._texts)
        if not text and not calls:
            if self._refusals:
                raise declined(self._source, "".join(self._refusals))
            if finish == "content_filter":
                raise declined(self._source, "the reply was filtered")
        return Reply(
            text=text,
            tool_calls=calls,
            finish="tool_calls" if calls and finish == "stop" else finish,
            usage=self._usage,
            thinking="".join(self._thoughts) or None,
            sealed=seal(self._source, sealed),
        )

    def _note(self, chunk: _Chunk, payload: bytes) -> _Delta | None:
        """Note everything but the pieces, which are in the delta."""
        if chunk.usage is not None:
            usage = chunk.usage
            self._usage = Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)
        if chunk.error or not (chunk.choices or chunk.usage):
            _look_for_error(payload)
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason:
            self._finish = choice.finish_reason
        if choice.message:
            self.is_over = True
        delta = choice.delta or choice.message
        if delta is not None and delta.tool_calls:
            self._calls.add(delta.tool_calls)
        if delta is not None and delta.refusal:
            self._refusals.append(delta.refusal)
        return delta


def _read(payload: bytes) -> _Chunk | None:
    """A chunk; None: the end. Raises Unreadable."""
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None if payload.strip() == _DONE else _read_patiently(payload)


def _read_patiently(payload: bytes) -> _Chunk:
    try:
        value = decode_json(payload)
        if isinstance(value, dict):
            return msgspec.convert(tidied(value), _Chunk, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise Unreadable("a part of it is not what a chat completion consists of")


def _look_for_error(payload: bytes) -> None:
    """Raises Refused if these bytes tell of an error."""
    try:
        value = decode_json(payload)
    except UnicodeDecodeError:  # in what nobody has asked for
        return
    if not isinstance(value, dict):
        return
    if value.get("error") or value.get("detail") or value.get("object") == "error":
        complaint = complaint_in(value)
        raise Refused(Refusal(status_in(complaint), complaint))


def _name_in(delta: _Call) -> bool:
    return bool(delta.function and delta.function.name)
