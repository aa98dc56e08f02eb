"""LoopbackProvider: a provider of models on 127.0.0.1 that says what a test tells it to say.

It speaks OpenAI's chat completions, embeddings and models, and Anthropic's messages, and fails in
every way a test asks for. Nothing in it is random: what was told nothing repeats the last message.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import msgspec

from forebay.core.clock import Clock, SystemClock
from forebay.core.codec import decode_json, encode_json
from forebay.core.events import Usage
from forebay.core.json import Json

from . import provider_wire as wire_of
from .provider_http import HttpCall, LoopbackServer, Wire
from .provider_script import Break, Flood, Refusal, Script, words_of
from .provider_wire import Answer, Asked, Fields, fields, members, text_of

_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_ANTHROPIC_PATH = "/messages"


class Received(msgspec.Struct, frozen=True):
    """A request that the provider got."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Fields

    @property
    def messages(self) -> list[Fields]:
        """The conversation in it."""
        return [fields(message) for message in members(self.body.get("messages"))]


class LoopbackProvider(Script):
    """A provider to call in tests: `async with LoopbackProvider() as provider:`.

    Replies that were queued (`say`, `call_tool`, …) are given in their order, faults (`refuse`,
    `cut`, …) too: one each call. Attributes are switches that stay.
    """

    def __init__(self, *, models: Sequence[str] = (), clock: Clock | None = None) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._server = LoopbackServer(self._answer, self._clock)
        self._arrived = asyncio.Condition()
        self._left = asyncio.Event()
        self.requests: list[Received] = []
        """Every request so far, the oldest first."""
        self.models = list(models)
        """The models it has; if none are named, it has any."""
        self.key: str | None = None
        """The key it wants to see."""
        self.tells_usage = True
        self.streams = True
        """Whether it streams when it is asked to; else it answers whole."""
        self.takes_stream_options = True
        self.takes_schemas = True
        """Whether it takes `response_format: json_schema`."""
        self.takes_forced_tools = True
        """Whether a conversation as Anthropic has it may force a tool to be called."""
        self.needs_input_type = False
        """Whether its embeddings want `input_type`, as NVIDIA's do."""
        self.context_words: int | None = None
        """How many words a conversation may have."""
        self.dimensions = 8
        self.delay = 0.0
        """How many seconds pass before the head of an answer."""
        self.header_pause = 0.0
        """How many seconds pass before each header."""
        self.piece_pause = 0.0
        """How many seconds pass before each event of a stream."""
        self.newline = b"\n"
        """How the lines of its streams end."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self, port: int = 0) -> None:
        """Begin to listen, on a free port or this one."""
        await self._server.start(port)

    async def aclose(self) -> None:
        """Stop, and lose every connection."""
        await self._server.aclose()

    @property
    def address(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`. Anthropic's clients add `/v1` themselves."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.address}/v1"

    @property
    def connections(self) -> int:
        """How many were made to it so far."""
        return self._server.connections

    # --- what happened --------------------------------------------------------------------------

    async def received(self, count: int = 1) -> Sequence[Received]:
        """Wait until so many requests came in; all of them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def left(self) -> None:
        """Wait until a caller has gone away while his stream was held."""
        await self._left.wait()

    # --- answering ------------------------------------------------------------------------------

    async def _answer(self, call: HttpCall, wire: Wire) -> None:
        received = await self._note(call)
        wire.head_pause = self.header_pause
        if self.delay:
            await self._clock.sleep(self.delay)
        if refusal := self._refusal_of(received):
            await self._refuse(received, refusal, wire)
        elif received.path.endswith("/models") or "/models/" in received.path:
            await _whole(wire, self._listing(received))
        elif received.path.endswith("/embeddings"):
            await _whole(wire, self._embeddings(received.body))
        else:
            await self._chat(received, wire)

    async def _note(self, call: HttpCall) -> Received:
        body = _read(call.body)
        received = Received(call.method, call.path, call.query, call.headers, body)
        async with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        return received

    def _refusal_of(self, received: Received) -> Refusal | None:
        if fault := self.next_refusal():
            return fault
        known = ("/chat/completions", "/embeddings", "/models", _ANTHROPIC_PATH)
        if not received.path.endswith(known) and "/models/" not in received.path:
            return Refusal(404, f"There is nothing at {received.path}.")
        if self.key is not None and self.key != _key_in(received.headers):
            return Refusal(401, "Incorrect API key provided.", "invalid_api_key")
        if model := self._unknown_model(received):
            return Refusal(404, f"The model `{model}` does not exist.", "model_not_found")
        return self._unfit(received.body)

    def _unknown_model(self, received: Received) -> str | None:
        model = _model_in(received)
        return model if self.models and model and model not in self.models else None

    def _unfit(self, body: Fields) -> Refusal | None:
        if "stream_options" in body and not self.takes_stream_options:
            return Refusal(400, "Unrecognized request argument supplied: stream_options")
        wanted = fields(body.get("response_format")).get("type")
        if wanted == "json_schema" and not self.takes_schemas:
            return Refusal(400, "'response_format.type' must be 'json_object' or 'text'")
        forced = fields(body.get("tool_choice")).get("type") in {"tool", "any"}
        if forced and not self.takes_forced_tools:
            return Refusal(400, "tool_choice: this model may not be forced to call a tool.")
        if self.needs_input_type and "input" in body and "input_type" not in body:
            return Refusal(400, "'input_type' parameter is required for asymmetric models")
        if self.context_words is not None and _words_in(body) > self.context_words:
            message = f"This model's maximum context length is {self.context_words} tokens."
            return Refusal(400, message, "context_length_exceeded")
        return None

    async def _refuse(self, received: Received, refusal: Refusal, wire: Wire) -> None:
        anthropic = received.path.endswith(_ANTHROPIC_PATH)
        make = wire_of.anthropic_error if anthropic else wire_of.openai_error
        body = refusal.raw
        if body is None:
            body = encode_json(make(refusal.status, refusal.message, refusal.code))
        await wire.answer(refusal.status, body, {**_JSON, **refusal.headers})

    def _listing(self, received: Received) -> Fields:
        if "/models/" in received.path:
            return {"id": received.path.rpartition("/models/")[2], "object": "model"}
        models: list[Json] = [{"id": model, "object": "model"} for model in self.models]
        return {"object": "list", "data": models, "has_more": False}

    def _embeddings(self, body: Fields) -> Fields:
        given = body.get("input")
        texts = [str(text) for text in members(given)] or [str(given)]
        dimensions = body.get("dimensions", self.dimensions)
        return wire_of.embeddings(
            texts,
            str(body.get("model", "")),
            dimensions if isinstance(dimensions, int) else self.dimensions,
            packed=body.get("encoding_format") == "base64",
        )

    async def _chat(self, received: Received, wire: Wire) -> None:
        reply = self.next_reply() or _echo(received)
        broken = self.next_break()
        asked = self._asked(received, reply)
        anthropic = received.path.endswith(_ANTHROPIC_PATH)
        if isinstance(reply, Flood):
            await self._flood(reply, asked, wire)
        elif not (received.body.get("stream") and self.streams):
            make = wire_of.anthropic_body if anthropic else wire_of.openai_body
            await _whole(wire, make(reply, asked))
        else:
            frames = wire_of.anthropic_frames if anthropic else wire_of.openai_frames
            if broken and broken.error:
                make = wire_of.anthropic_error if anthropic else wire_of.openai_error
                error = make(500, *broken.error)
                broken = Break(broken.after, (wire_of.frame(error),))
            await self._stream(frames(reply, asked), broken, wire)

    def _asked(self, received: Received, reply: Answer | Flood) -> Asked:
        said = reply.chunks if isinstance(reply, Flood) else _tokens_of(reply)
        usage = Usage(_words_in(received.body), said) if self.tells_usage else None
        options = fields(received.body.get("stream_options"))
        return Asked(
            f"chatcmpl-{len(self.requests)}",
            _model_in(received),
            usage,
            options.get("include_usage") is True,
        )

    async def _stream(self, frames: Iterable[bytes], broken: Break | None, wire: Wire) -> None:
        await wire.begin(200, _SSE)
        for number, frame in enumerate(frames):
            if broken and number == broken.after and not await self._break(broken, wire):
                return
            if self.piece_pause:
                await self._clock.sleep(self.piece_pause)
            await wire.send(frame.replace(b"\n", self.newline))
        await wire.end()

    async def _break(self, broken: Break, wire: Wire) -> bool:
        """Tells whether the stream goes on."""
        if broken.gate:
            if await wire.wait(broken.gate):
                return True
            self._left.set()
        elif broken.raw:
            for raw in broken.raw:
                await wire.send(raw)
            await wire.end()
            return False
        wire.cut()
        return False

    async def _flood(self, flood: Flood, asked: Asked, wire: Wire) -> None:
        first, *last = wire_of.openai_frames(Answer(), asked)
        batch = 64
        await wire.begin(200, _SSE)
        await wire.send(first)
        for _ in range(flood.chunks // batch):
            await wire.send(wire_of.many_frames(batch, flood.size))
        if rest := flood.chunks % batch:
            await wire.send(wire_of.many_frames(rest, flood.size))
        await wire.send(b"".join(last))
        await wire.end()


def _read(body: bytes) -> Fields:
    try:
        return fields(decode_json(body))
    except msgspec.DecodeError:
        return {}


async def _whole(wire: Wire, body: Fields) -> None:
    await wire.answer(200, encode_json(body), _JSON)


def _echo(received: Received) -> Answer:
    asked = [each for each in received.messages if each.get("role") == "user"]
    return Answer(tuple(words_of(text_of(asked[-1].get("content")) if asked else "")))


def _model_in(received: Received) -> str:
    named = received.body.get("model")
    if isinstance(named, str):
        return named
    _, _, rest = received.path.partition("/deployments/")
    return rest.partition("/")[0]


def _key_in(headers: Mapping[str, str]) -> str | None:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return bearer or headers.get("api-key") or headers.get("x-api-key")


def _words_in(body: Fields) -> int:
    said = [fields(message).get("content") for message in members(body.get("messages"))]
    return sum(wire_of.tokens_in(text_of(content)) for content in [*said, body.get("system")])


def _tokens_of(answer: Answer) -> int:
    said = [answer.text, "".join(answer.thoughts), *(call.arguments for call in answer.calls)]
    return sum(map(wire_of.tokens_in, said))
