"""How a provider's answers look on the wire: as OpenAI writes them, and as Anthropic does."""

import base64
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from forebay.core.codec import decode_json, encode_json
from forebay.core.events import Usage
from forebay.core.json import Json
from forebay.core.messages import Finish, ToolCall

Fields = dict[str, Json]

_CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider says once."""

    pieces: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants answered."""

    id: str
    model: str
    usage: Usage | None
    """What the answer is to say it has cost."""
    includes_usage: bool = True
    """Whether a stream is to say it too."""


def fields(value: Json) -> Fields:
    """The members of a JSON object; of anything else none."""
    return value if isinstance(value, dict) else {}


def members(value: Json) -> list[Json]:
    """The members of a JSON array; of anything else none."""
    return value if isinstance(value, list) else []


def text_of(content: Json) -> str:
    """The text of a message, whether it has parts or not."""
    if isinstance(content, str):
        return content
    return "".join(str(fields(part).get("text", "")) for part in members(content))


def tokens_in(text: str) -> int:
    """How many tokens this provider counts: words."""
    return len(text.split())


def frame(value: Json, event: str | None = None) -> bytes:
    """One event of a stream."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + encode_json(value) + b"\n\n"


# --- as OpenAI writes it ------------------------------------------------------------------------


def openai_body(answer: Answer, asked: Asked) -> Fields:
    """A chat completion that comes whole."""
    message: Fields = {"role": "assistant", "content": answer.text or None}
    if answer.thoughts:
        message["reasoning_content"] = "".join(answer.thoughts)
    if answer.calls:
        message["tool_calls"] = [_openai_call(call) for call in answer.calls]
    body: Fields = {
        "id": asked.id,
        "object": "chat.completion",
        "created": _CREATED,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
    }
    if asked.usage:
        body["usage"] = _openai_usage(asked.usage)
    return body


def openai_frames(answer: Answer, asked: Asked) -> Iterator[bytes]:
    """A chat completion that is streamed."""

    def chunk(delta: Fields, finish: str | None = None) -> bytes:
        choice: Fields = {"index": 0, "delta": delta, "finish_reason": finish}
        return frame({**head, "choices": [choice]})

    head: Fields = {
        "id": asked.id,
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": asked.model,
    }
    yield chunk({"role": "assistant", "content": ""})
    for thought in answer.thoughts:
        yield chunk({"reasoning_content": thought})
    for piece in answer.pieces:
        yield chunk({"content": piece})
    for delta in _openai_call_deltas(answer.calls):
        yield chunk({"tool_calls": [delta]})
    yield chunk({}, answer.finish)
    if asked.usage and asked.includes_usage:
        yield frame({**head, "choices": [], "usage": _openai_usage(asked.usage)})
    yield b"data: [DONE]\n\n"


def openai_error(status: int, message: str, code: str | None) -> Fields:
    """An error of a status."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@lru_cache(maxsize=8)
def many_frames(chunks: int, size: int) -> bytes:
    """The middle of a stream that says `x` over and over, made in one go."""
    head: Fields = {"id": "chatcmpl-many", "object": "chat.completion.chunk", "created": _CREATED}
    choice: Fields = {"index": 0, "delta": {"content": "x" * size}, "finish_reason": None}
    return frame({**head, "model": "many", "choices": [choice]}) * chunks


def embeddings(texts: Sequence[str], model: str, dimensions: int, *, packed: bool) -> Fields:
    """Vectors of texts: the same text always has the same, of length 1."""

    def item(index: int, text: str) -> Fields:
        vector = _vector(text, dimensions)
        raw = struct.pack(f"<{dimensions}f", *vector)
        shown = base64.b64encode(raw).decode() if packed else cast(Json, vector)
        return {"object": "embedding", "index": index, "embedding": shown}

    tokens = sum(map(tokens_in, texts))
    return {
        "object": "list",
        "data": [item(index, text) for index, text in enumerate(texts)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(text: str, dimensions: int) -> list[float]:
    seed = hashlib.shake_256(text.encode()).digest(dimensions)
    numbers = [byte / 127.5 - 1 for byte in seed]
    length = sum(number * number for number in numbers) ** 0.5 or 1.0
    return [number / length for number in numbers]


def _openai_usage(usage: Usage) -> Fields:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _openai_call(call: ToolCall) -> Fields:
    function: Fields = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _openai_call_deltas(calls: Sequence[ToolCall]) -> Iterator[Fields]:
    for index, call in enumerate(calls):
        begun = _openai_call(ToolCall(call.id, call.name, ""))
        yield {"index": index, **begun}
        middle = len(call.arguments) // 2
        for part in (call.arguments[:middle], call.arguments[middle:]):
            if part:
                yield {"index": index, "function": {"arguments": part}}


# --- as Anthropic writes it ---------------------------------------------------------------------


def anthropic_body(answer: Answer, asked: Asked) -> Fields:
    """A message that comes whole."""
    blocks: list[Json] = []
    if answer.thoughts:
        thinking = "".join(answer.thoughts)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": "c2lnbmVk"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    blocks += [_tool_use(call, decode_json(call.arguments)) for call in answer.calls]
    return {
        **_anthropic_head(asked),
        "content": blocks,
        "stop_reason": _STOP_REASONS[answer.finish],
        "usage": _anthropic_usage(asked.usage or Usage()),
    }


def anthropic_frames(answer: Answer, asked: Asked) -> Iterator[bytes]:
    """A message that is streamed."""

    def event(kind: str, **more: Json) -> bytes:
        return frame({"type": kind, **more}, event=kind)

    usage = asked.usage or Usage()
    begun = {**_anthropic_head(asked), "content": [], "stop_reason": None}
    begun["usage"] = _anthropic_usage(Usage(usage.input_tokens, 1))
    yield event("message_start", message=begun)
    yield event("ping")
    for index, (block, deltas) in enumerate(_anthropic_blocks(answer)):
        yield event("content_block_start", index=index, content_block=block)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ended: Fields = {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": usage.output_tokens})
    yield event("message_stop")


def anthropic_error(status: int, message: str, code: str | None) -> Fields:
    """An error of a status."""
    kinds = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    fitting = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": code or fitting, "message": message}}


def _anthropic_head(asked: Asked) -> Fields:
    return {
        "id": asked.id,
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "stop_sequence": None,
    }


def _anthropic_usage(usage: Usage) -> Fields:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


def _anthropic_blocks(answer: Answer) -> Iterator[tuple[Fields, list[Json]]]:
    if answer.thoughts:
        deltas: list[Json] = [
            {"type": "thinking_delta", "thinking": thought} for thought in answer.thoughts
        ]
        deltas.append({"type": "signature_delta", "signature": "c2lnbmVk"})
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if answer.pieces:
        pieces: list[Json] = [{"type": "text_delta", "text": piece} for piece in answer.pieces]
        yield {"type": "text", "text": ""}, pieces
    for call in answer.calls:
        middle = len(call.arguments) // 2
        halves = (call.arguments[:middle], call.arguments[middle:])
        parts: list[Json] = [{"type": "input_json_delta", "partial_json": part} for part in halves]
        yield _tool_use(call, {}), parts  # which may be no JSON


def _tool_use(call: ToolCall, given: Json) -> Fields:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}
