"""Server-sent events: whatever is ready goes out in one send; comments keep idle proxies awake.

A stream costs its handler's task and one that waits for the client to leave. Nothing here waits
for a fixed time before it sends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from forebay.core.clock import Clock

from .asgi import Headers, Send
from .request import Request

_Piece = TypeVar("_Piece")

_KEEP_ALIVE = b": keep-alive\n\n"
_KEEP_ALIVE_SECONDS = 15.0
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Streams:
    """Every stream that is open in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: set[EventStream[Any]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._sends: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to keep streams alive."""
        self._ticking = asyncio.create_task(self._tick(), name="keep-alive")

    async def aclose(self) -> None:
        """End every stream with its last words."""
        self.stop()
        if self._ticking:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, *self._sends, return_exceptions=True)

    def stop(self) -> None:
        """Ask every stream to end."""
        for stream in self._open:
            stream.stop()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, stream: "EventStream[Any]") -> None:
        self._open.add(stream)

    def discard(self, stream: "EventStream[Any]") -> None:
        self._open.discard(stream)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_KEEP_ALIVE_SECONDS)
            for stream in self._open:
                if stream.was_idle():
                    send = asyncio.create_task(stream.keep_alive())
                    self._sends.add(send)
                    send.add_done_callback(self._sends.discard)


class EventStream(Generic[_Piece]):
    """An answer that goes on for as long as its pieces do, each rendered to a block of bytes."""

    __slots__ = (
        "_client_is_gone", "_farewell", "_headers", "_is_idle", "_is_sending", "_is_stopping",
        "_left", "_pieces", "_render", "_request", "_send", "_streams", "_task", "status",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 -- the parts it is made of, once
        self,
        request: Request,
        streams: Streams,
        pieces: AsyncGenerator[_Piece],
        render: Callable[[_Piece], bytes],
        *,
        farewell: bytes = b"",
        headers: Headers | None = None,
        left: Callable[[], None] | None = None,
    ) -> None:
        self.status = 200
        self._request = request
        self._streams = streams
        self._pieces = pieces
        self._render = render
        self._farewell = farewell
        self._headers = headers or []
        self._left = left
        self._send: Send | None = None
        self._task: asyncio.Task[object] | None = None
        self._is_idle = False
        self._is_sending = False
        self._client_is_gone = False
        self._is_stopping = False

    async def send(self, send: Send, extra: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._task = asyncio.current_task()
        headers = [*_HEADERS, *self._headers, *extra]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self._request.method == "HEAD":
            await self._pieces.aclose()
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        unwatch = self._watch()
        self._streams.add(self)
        try:
            await self._put_all()
        except asyncio.CancelledError:
            if self._task is None or not (self._client_is_gone or self._is_stopping):
                raise
            self._task.uncancel()
        finally:
            self._streams.discard(self)
            self._send = None
            unwatch()
            if self._client_is_gone and self._left:
                self._left()
        last = self._farewell if self._is_stopping else b""
        await send({"type": "http.response.body", "body": last})

    async def _put_all(self) -> None:
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                block = self._render(piece)
                if block:
                    await self._put(block)
                del piece, block  # not to be held while nothing comes

    def stop(self) -> None:
        """End the stream, with its last words, before its blocks have ended."""
        if not self._is_stopping and self._task:
            self._is_stopping = True
            self._task.cancel()

    def was_idle(self) -> bool:
        """Whether nothing was sent since this was last asked, and nothing is being sent."""
        idle, self._is_idle = self._is_idle, True
        return idle and not self._is_sending

    async def keep_alive(self) -> None:
        """Send a comment."""
        if not self._is_sending:
            await self._write(_KEEP_ALIVE)

    async def _put(self, block: bytes) -> None:
        self._is_idle = False
        await self._write(block)

    async def _write(self, block: bytes) -> None:
        if self._send is None:
            return  # the stream has ended meanwhile
        self._is_sending = True
        await self._send({"type": "http.response.body", "body": block, "more_body": True})
        self._is_sending = False

    def _watch(self) -> Callable[[], None]:
        lost = self._request.when_lost
        if lost is not None:
            lost.add(self._lose)
            return lambda: lost.discard(self._lose)
        task = asyncio.create_task(self._wait_until_lost())

        def unwatch() -> None:
            task.cancel()

        return unwatch

    async def _wait_until_lost(self) -> None:
        await self._request.disconnected()
        self._lose()

    def _lose(self) -> None:
        self._client_is_gone = True
        if self._task:
            self._task.cancel()
