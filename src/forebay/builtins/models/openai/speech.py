"""How OpenAI's chat completions are asked for, there and at everybody who speaks them.

It asks for a stream, for its usage and for a schema's JSON. A server that refuses one of these is
asked without it, now and from then on.
"""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from forebay.builtins.models import schemas
from forebay.builtins.models.failures import Refusal
from forebay.builtins.models.sealing import thoughts_in
from forebay.builtins.models.source import Source
from forebay.core.codec import encode_json
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall

from .chunks import Chunks

Fields: TypeAlias = dict[str, Json]

_THINKERS = re.compile(r"(?:o\d|gpt-[5-9])")
_NO_STREAM = re.compile(r"stream(?:ing)?\b.{0,60}\bnot? (?:support|allow|available)|to stream this")
_SCHEMA_WORDS = ("response_format", "json_schema", "json_object", "structured output")


class Habits(msgspec.Struct, frozen=True):
    """How a server likes to be asked."""

    streams: bool = True
    includes_usage: bool = True
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    schema: Literal["json_schema", "json_object", "words"] = "json_schema"


class ChatCompletions:
    """Speaks to one model. Implements Speech."""

    path = "/chat/completions"

    def __init__(
        self, source: Source, defaults: Mapping[str, Json], preamble: str | None = None
    ) -> None:
        self._source = source
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self._preamble = preamble
        thinks = source.kind in {"openai", "azure"} and _THINKERS.match(source.model)
        self._habits = Habits(limit="max_completion_tokens" if thinks else "max_tokens")

    def listen(self, request: ChatRequest) -> Chunks:
        """Whoever hears the reply."""
        return Chunks(self._source)

    def body(self, request: ChatRequest) -> bytes:
        """What is sent."""
        habits = self._habits
        body: Fields = dict(self._defaults)
        if "max_tokens" in body:
            body[habits.limit] = body.pop("max_tokens")
        body |= {"model": self._source.model, "messages": self._messages(request)}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body[habits.limit] = request.max_tokens
        if request.stop:
            body["stop"] = list(request.stop)
        body |= _tools(request)
        if not request.tools:
            body.pop("parallel_tool_calls", None)
        if request.schema is not None and habits.schema != "words":
            body["response_format"] = _format(request.schema, habits)
        body["stream"] = habits.streams
        if habits.streams and habits.includes_usage:
            body["stream_options"] = {"include_usage": True}
        return encode_json(body)

    def concede(self, request: ChatRequest, refusal: Refusal) -> bool:
        """Do without what the server does not take; tells whether there was such a thing."""
        complaint = refusal.complaint
        if not 400 <= refusal.status < 600 or refusal.status in {401, 403, 429}:
            return False
        conceded = _conceded(self._habits, f"{complaint.param} {complaint.words}".lower(), request)
        self._habits = conceded or self._habits
        return conceded is not None

    def _messages(self, request: ChatRequest) -> list[Json]:
        said = [_message(message, self._source) for message in request.messages]
        if self._preamble:
            said = _with_system(said, self._preamble)
        if request.schema is not None and self._habits.schema != "json_schema":
            said = _with_system(said, schemas.in_words(request.schema))
        return [*said]


def _conceded(habits: Habits, words: str, request: ChatRequest) -> Habits | None:
    replace = msgspec.structs.replace
    if habits.includes_usage and habits.streams and "stream_options" in words:
        return replace(habits, includes_usage=False)
    if habits.limit == "max_tokens" and "max_completion_tokens" in words:
        return replace(habits, limit="max_completion_tokens")
    if request.schema is not None and any(word in words for word in _SCHEMA_WORDS):
        if habits.schema == "json_schema":
            return replace(habits, schema="json_object")
        if habits.schema == "json_object":
            return replace(habits, schema="words")
    if habits.streams and _NO_STREAM.search(words):
        return replace(habits, streams=False)
    return None


def _message(message: ChatMessage, source: Source) -> Fields:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.answers, "content": message.text}
    content: Json
    if isinstance(message.content, str):
        content = message.content
    else:
        content = [_part(part) for part in message.content]
    if message.tool_calls:
        thoughts = thoughts_in(message, source)
        calls: list[Json] = [_call(call, thoughts) for call in message.tool_calls]
        return {"role": message.role, "content": content or None, "tool_calls": calls}
    return {"role": message.role, "content": content}


def _part(part: TextPart | ImagePart) -> Json:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    image: Fields = {"url": part.url}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _call(call: ToolCall, thoughts: Json) -> Json:
    function: Fields = {"name": call.name, "arguments": call.arguments}
    made: Fields = {"id": call.id, "type": "function", "function": function}
    if isinstance(thoughts, dict) and (extra := thoughts.get(call.id)):
        made["extra_content"] = extra
    return made


def _tools(request: ChatRequest) -> Fields:
    if not request.tools:
        return {}
    tools: list[Json] = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in request.tools
    ]
    chosen = request.tool_choice
    if chosen is None:
        return {"tools": tools}
    if chosen in {"auto", "none", "required"}:
        return {"tools": tools, "tool_choice": chosen}
    return {"tools": tools, "tool_choice": {"type": "function", "function": {"name": chosen}}}


def _format(schema: Json, habits: Habits) -> Fields:
    if habits.schema == "json_object":
        return {"type": "json_object"}
    closed, is_strict = schemas.closed(schema)
    named: Fields = {"name": "reply", "schema": closed, "strict": is_strict}
    return {"type": "json_schema", "json_schema": named}


def _with_system(said: list[Fields], words: str) -> list[Fields]:
    """Servers want at most one system message, and that first."""
    if said and said[0].get("role") == "system" and isinstance(said[0]["content"], str):
        return [{"role": "system", "content": f"{said[0]['content']}\n\n{words}"}, *said[1:]]
    return [{"role": "system", "content": words}, *said]
