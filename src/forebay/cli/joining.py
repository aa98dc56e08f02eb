"""One write to the socket for everything that is sent in one turn of the event loop.

An answer is sent as head and body, and a stream as many small blocks; each would be a system call
of its own, which costs more than making them.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from forebay.http.asgi import WHEN_LOST

_AT_ONCE_BYTES = 64 * 1024


class JoiningTransport:
    """A transport that joins small writes. Everything else goes to the one it stands before."""

    __slots__ = ("_loop", "_parts", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send this, at the end of this turn at the latest."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _AT_ONCE_BYTES:
            self._flush()

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._size = [], 0
            if not self._transport.is_closing():
                self._transport.write(data)


class _WhenLost(set[Callable[[], None]]):
    """Whom to tell that the client has left: those who ask too late are told at once."""

    is_lost = False

    def add(self, tell: Callable[[], None], /) -> None:
        if self.is_lost:
            asyncio.get_running_loop().call_soon(tell)
        else:
            super().add(tell)


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a transport that joins writes, and which tells of a lost client.

    Without the latter each open stream needs a task that waits for its client to leave.
    """

    when_lost: _WhenLost

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.when_lost = _WhenLost()
        joining = JoiningTransport(transport, asyncio.get_running_loop())
        super().connection_made(cast(asyncio.Transport, joining))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.when_lost.is_lost = True
        for tell in tuple(self.when_lost):
            tell()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {WHEN_LOST: cast(dict[object, object], self.when_lost)}
