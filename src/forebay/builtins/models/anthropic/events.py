"""A reply in events, as Anthropic streams it."""

from collections.abc import Iterable, Iterator

import msgspec

from forebay.builtins.models.failures import Complaint, Refusal, Refused, Unreadable, declined
from forebay.builtins.models.sealing import seal
from forebay.builtins.models.source import Source
from forebay.core.codec import decode_json, encode_json
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import Finish, Reply, ToolCall
from forebay.ports.models import Thought

_FINISHES: dict[str, Finish] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    input: Json = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Error(msgspec.Struct, gc=False):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: _Error | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None


_decode = msgspec.json.Decoder(_Event).decode


class Answering(msgspec.Struct, frozen=True):
    """The tool by which a model answers that is bound to a schema."""

    name: str
    is_wrapped: bool
    """Whether its only argument is the answer."""


class Events:
    """Hears one reply. Implements Hearing."""

    def __init__(self, source: Source, answering: Answering | None = None) -> None:
        self._source = source
        self._answering = answering
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._block = _Block()
        self._arguments: list[str] = []
        self._input: int | None = None
        self._output: int | None = None
        self._finish: str | None = None
        self._sealed: list[Json] = []
        self.is_over = False

    @property
    def has_spoken(self) -> bool:
        return bool(self._texts or self._thoughts)

    @property
    def is_complete(self) -> bool:
        return self.is_over or self._finish is not None

    def hear(self, payloads: Iterable[bytes]) -> Iterator[str | Thought]:
        """The pieces in some events. Raises Refused, Unreadable."""
        for payload in payloads:
            try:
                event = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Unreadable("a part of it is not what a message consists of") from None
            if event.type == "content_block_delta" and event.delta:
                piece = self._continue(event.delta)
            else:
                piece = self._note(event)
            if piece:
                yield piece

    def reply(self) -> Reply:
        """All that was said. Raises ContentFiltered."""
        text = "".join(self._texts)
        finish = _FINISHES.get(self._finish or "", "stop")
        if finish == "content_filter" and not text and not self._calls:
            raise declined(self._source, "it gives no reason")
        if finish == "tool_calls" and not self._calls:
            finish = "stop"
        usage = None
        if self._input is not None or self._output is not None:
            usage = Usage(self._input or 0, self._output or 0)
        return Reply(
            text=text,
            tool_calls=tuple(self._calls),
            finish=finish,
            usage=usage,
            thinking="".join(self._thoughts) or None,
            sealed=seal(self._source, self._sealed) if self._calls else None,
        )

    def _continue(self, delta: _Delta) -> str | Thought | None:
        match delta.type:
            case "text_delta":
                return self._said(delta.text)
            case "input_json_delta":
                return self._argued(delta.partial_json)
            case "thinking_delta":
                self._block.thinking += delta.thinking
                return self._thought(delta.thinking)
            case "signature_delta":
                self._block.signature += delta.signature
            case _:  # of kinds that came later, and citations
                pass
        return None

    def _note(self, event: _Event) -> str | Thought | None:
        match event.type:
            case "content_block_start" if event.content_block:
                return self._begin(event.content_block)
            case "content_block_stop":
                return self._end()
            case "message_start" if event.message and event.message.usage:
                self._count(event.message.usage)
            case "message_delta":
                if event.usage:
                    self._count(event.usage)
                if event.delta and event.delta.stop_reason:
                    self._finish = event.delta.stop_reason
            case "message_stop":
                self.is_over = True
            case "message":
                return self._take(event)
            case "error":
                raise _refused(event.error or _Error())
            case _:  # `ping`, and whatever came later
                pass
        return None

    def _take(self, event: _Event) -> str | None:
        """A message that came whole."""
        said: list[str] = []
        for block in event.content or []:
            begun = self._begin(block)
            ended = self._end()
            said += [piece for piece in (begun, ended) if isinstance(piece, str)]
        if event.usage:
            self._count(event.usage)
        self._finish = event.stop_reason
        self.is_over = True
        return "".join(said)

    def _begin(self, block: _Block) -> str | Thought | None:
        self._block = block
        self._arguments = []
        if block.type == "tool_use":
            return self._argued(encode_json(block.input).decode()) if block.input else None
        if block.type == "thinking":
            return self._thought(block.thinking)
        return self._said(block.text) if block.type == "text" else None

    def _end(self) -> str | None:
        block = self._block
        self._block = _Block()
        match block.type:
            case "tool_use":
                return self._called(block, "".join(self._arguments) or "{}")
            case "thinking":
                self._sealed.append(
                    {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
                )
            case "redacted_thinking":
                self._sealed.append({"type": "redacted_thinking", "data": block.data})
            case _:
                pass
        return None

    def _called(self, block: _Block, arguments: str) -> str | None:
        answering = self._answering
        if answering is None or block.name != answering.name:
            self._calls.append(ToolCall(block.id, block.name, arguments))
            return None
        if not answering.is_wrapped:
            return None if self._arguments else self._said(arguments)
        try:
            value = decode_json(arguments)
        except msgspec.DecodeError:
            return self._said(arguments)
        wrapped = value.get("value") if isinstance(value, dict) else value
        return self._said(encode_json(wrapped).decode())

    def _argued(self, part: str) -> str | None:
        """A part of a call's arguments, which are the text if the call is the answer."""
        self._arguments.append(part)
        answering = self._answering
        if answering and not answering.is_wrapped and self._block.name == answering.name:
            return self._said(part)
        return None

    def _said(self, text: str) -> str | None:
        if text:
            self._texts.append(text)
        return text or None

    def _thought(self, text: str) -> Thought | None:
        if text:
            self._thoughts.append(text)
        return Thought(text) if text else None

    def _count(self, usage: _Usage) -> None:
        if usage.input_tokens is not None:
            cached = (usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
            self._input = usage.input_tokens + sum(filter(None, cached))
        if usage.output_tokens is not None:
            self._output = usage.output_tokens


def _refused(error: _Error) -> Refused:
    status = _STATUSES.get(error.type, 500)
    return Refused(Refusal(status, Complaint(error.message, kind=error.type)))
