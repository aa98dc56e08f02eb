"""RemoteModel: a model at a provider. Asks, hears the reply, and tells what went wrong."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Protocol

import msgspec

from forebay.core.errors import HttpError, TookTooLong, Unreachable
from forebay.core.events import Usage
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.components import Parts
from forebay.ports.http import HttpStream
from forebay.ports.models import Thought

from . import failures, schemas
from .failures import Refusal, Refused, Unreadable
from .hearing import Ear, Hearing
from .provided import Provided
from .source import Source
from .tokens import is_possible
from .trying import Trying
from .validating import ping

_LAST_BYTES_SECONDS = 1.0


class Speech(Protocol):
    """How a provider is spoken to."""

    @property
    def path(self) -> str: ...

    def body(self, request: ChatRequest) -> bytes:
        """What is sent."""
        ...

    def listen(self, request: ChatRequest) -> Hearing:
        """Whoever hears the reply."""
        ...

    def concede(self, request: ChatRequest, refusal: Refusal) -> bool:
        """Do without what the provider does not take; tells whether there was such a thing."""
        ...


class RemoteModel(Provided):
    """Implements ports.models.Model."""

    def __init__(self, source: Source, speech: Speech, parts: Parts) -> None:
        super().__init__(source, parts)
        self._speech = speech

    @property
    def fallbacks(self) -> Sequence[str]:
        return self._source.fallbacks

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        """Ask it. Raises ModelError."""
        self._check_length(request)
        trying = Trying(self._source, self._parts.clock)
        while True:
            hearing = self._speech.listen(request)
            failure: HttpError | Refused | Unreadable | None = None
            try:
                body = self._speech.body(request)
                async with (
                    self._line.stream(self._speech.path, body) as stream,
                    aclosing(_events_in(stream, hearing)) as events,
                ):
                    async for payloads in events:
                        for piece in hearing.hear(payloads):
                            yield piece
            except (HttpError, Refused, Unreadable) as error:
                failure = error
            if hearing.is_complete:
                break
            if not self._conceded(request, failure, hearing):
                await trying.go_on(failure, has_spoken=hearing.has_spoken)
        yield await self._finished(request, hearing.reply())

    async def _ping(self) -> None:
        async with aclosing(self.chat(ping())) as pieces:
            async for _ in pieces:
                pass

    def _check_length(self, request: ChatRequest) -> None:
        """Some servers forget the beginning of what is too long for them, and say nothing."""
        most = self._source.context_tokens
        if most is not None and (about := self._counter.about(request)) > most:
            raise failures.too_long(self._source, about, most)

    def _conceded(
        self,
        request: ChatRequest,
        failure: HttpError | Refused | Unreadable | None,
        hearing: Hearing,
    ) -> bool:
        if not isinstance(failure, Refused) or hearing.has_spoken:
            return False
        return self._speech.concede(request, failure.refusal)

    async def _finished(self, request: ChatRequest, reply: Reply) -> Reply:
        usage = reply.usage
        if usage is None or usage == Usage() or not is_possible(usage):
            usage = await self._counter.usage_of(request, reply)
        else:
            self._counter.learn(request, usage.input_tokens)
        text = schemas.bare(reply.text) if request.schema is not None else reply.text
        return msgspec.structs.replace(reply, text=text, usage=usage, model=self.name)


async def _events_in(stream: HttpStream, hearing: Hearing) -> AsyncGenerator[list[bytes]]:
    """What can be read of a stream, as it comes. One that is cut is over."""
    ear = Ear(stream.headers)
    source = aiter(stream)
    try:
        async for data in source:
            if payloads := ear.feed(data):
                yield payloads
                if hearing.is_over:
                    await _read_out(source)
                    return
    except TookTooLong:
        raise
    except Unreachable:
        return
    yield ear.end()


async def _read_out(source: AsyncIterator[bytes]) -> None:
    """Let the connection come to its end, so that it can be used again. Not for long."""
    with suppress(HttpError, TimeoutError):
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            async for _ in source:
                pass
