"""How Anthropic's messages are asked for.

A schema is kept to by a tool that has to be called; where that may not be, by the output's format,
and where that is unknown, by words.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec

from forebay.builtins.models import schemas
from forebay.builtins.models.failures import Refusal
from forebay.builtins.models.sealing import thoughts_in
from forebay.builtins.models.source import Source
from forebay.core.codec import decode_json, encode_json
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall, ToolSpec

from .events import Answering, Events

Fields: TypeAlias = dict[str, Json]
Binding: TypeAlias = Literal["tool", "format", "words"]

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 8192
_ANSWER = "reply"


class Messages:
    """Speaks to one model. Implements Speech."""

    path = "/v1/messages"

    def __init__(self, source: Source, defaults: Mapping[str, Json]) -> None:
        self._source = source
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self._binding: Binding = "tool"

    def listen(self, request: ChatRequest) -> Events:
        """Whoever hears the reply."""
        answering = None
        if request.schema is not None and self._binding == "tool":
            answering = Answering(_ANSWER, is_wrapped=not _is_object(request.schema))
        return Events(self._source, answering)

    def body(self, request: ChatRequest) -> bytes:
        """What is sent."""
        body: Fields = {"max_tokens": DEFAULT_MAX_TOKENS, **self._defaults}
        body["model"] = self._source.model
        body["messages"] = self._said(request.messages)
        body["stream"] = True
        system = [message.text for message in request.messages if message.role == "system"]
        if request.schema is not None and self._binding == "words":
            system.append(schemas.in_words(request.schema))
        if system:
            body["system"] = "\n\n".join(system)
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body["max_tokens"] = request.max_tokens
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        return encode_json(body | self._tools(request))

    def concede(self, request: ChatRequest, refusal: Refusal) -> bool:
        """Do without what the model does not take; tells whether there was such a thing."""
        if request.schema is None or refusal.status != 400:
            return False
        words = refusal.complaint.message.lower()
        if self._binding == "tool" and ("tool_choice" in words or "forc" in words):
            self._binding = "format"
            return True
        if self._binding == "format" and ("output_config" in words or "schema" in words):
            self._binding = "words"
            return True
        return False

    def _said(self, messages: Sequence[ChatMessage]) -> list[Json]:
        """The conversation, in which user and assistant take turns."""
        said: list[Json] = []
        others = (message for message in messages if message.role != "system")
        for role, group in groupby(others, key=_role_of):
            blocks = [block for message in group for block in self._blocks(message)]
            if blocks:
                said.append({"role": role, "content": blocks})
        return said

    def _blocks(self, message: ChatMessage) -> Iterator[Json]:
        if message.role == "tool":
            yield {
                "type": "tool_result",
                "tool_use_id": message.answers,
                "content": message.text,
            }
            return
        calls = message.tool_calls
        if calls and isinstance(thoughts := thoughts_in(message, self._source), list):
            yield from thoughts
        parts = message.content
        for part in (TextPart(parts),) if isinstance(parts, str) else parts:
            if isinstance(part, ImagePart):
                yield {"type": "image", "source": _image(part.url)}
            elif part.text:
                yield {"type": "text", "text": part.text}
        yield from map(_tool_use, calls)

    def _tools(self, request: ChatRequest) -> Fields:
        tools = [_tool(tool) for tool in request.tools]
        choice: Json = _choice(request.tool_choice)
        made: Fields = {}
        if request.schema is not None and self._binding == "tool":
            choice = {"type": "any"} if tools else {"type": "tool", "name": _ANSWER}
            tools.append(_answering_tool(request.schema))
        elif request.schema is not None and self._binding == "format":
            closed, _ = schemas.closed(request.schema)
            made["output_config"] = {"format": {"type": "json_schema", "schema": closed}}
        if not tools:
            return made
        made["tools"] = [*tools]
        if choice:
            made["tool_choice"] = choice
        return made


def _role_of(message: ChatMessage) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _image(url: str) -> Json:
    head, comma, data = url.partition(",")
    if not url.startswith("data:") or not comma:
        return {"type": "url", "url": url}
    kind = head.removeprefix("data:").partition(";")[0]
    return {"type": "base64", "media_type": kind or "image/png", "data": data}


def _tool_use(call: ToolCall) -> Json:
    try:
        arguments = decode_json(call.arguments)
    except msgspec.DecodeError:
        arguments = None
    given = arguments if isinstance(arguments, dict) else {}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _tool(tool: ToolSpec) -> Json:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.parameters or {"type": "object"},
    }


def _choice(wanted: str | None) -> Fields | None:
    match wanted:
        case None:
            return None
        case "auto" | "none":
            return {"type": wanted}
        case "required":
            return {"type": "any"}
        case name:
            return {"type": "tool", "name": name}


def _is_object(schema: Json) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "object"


def _answering_tool(schema: Json) -> Json:
    if not _is_object(schema):
        inner = dict(schema) if isinstance(schema, dict) else {}
        wrapped: Fields = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
        if "$defs" in inner:
            wrapped["$defs"] = inner.pop("$defs")
        schema = wrapped
    return {"name": _ANSWER, "description": "Give the answer.", "input_schema": schema}
