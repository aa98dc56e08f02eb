"""One connection to another server, straight on the event loop's transport.

Half the work per chunk of the HTTP library's own. It also tells apart a connection that ended
before a byte of the answer came: such a request may be sent again.
"""

import asyncio
import select
import ssl
from collections import deque
from typing import cast

import httpcore2

_MOST_HELD = 256 * 1024  # bytes that wait to be read, after which the other side has to wait


class Unconnected(httpcore2.ConnectError):
    """No connection could be made."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason
        """Kept here: the library cuts off the cause of what it raises."""


class Unanswered(httpcore2.ReadError):
    """The connection ended before a byte of the answer came."""

    def __init__(self, *, was_reused: bool) -> None:
        super().__init__("closed without an answer")
        self.was_reused = was_reused
        """Whether an earlier request was answered on it: then it was perhaps just being closed."""


class UnansweredInTime(httpcore2.ReadTimeout):
    """Not a byte of the answer came in time."""


class Connection(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """A connection, and what has come on it and is not read yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._is_over = False
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._reading: asyncio.Future[bool] | None = None
        self._writing: asyncio.Future[bool] | None = None
        self._is_writable = True
        self._was_heard = False  # since the last request
        self._was_reused = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        if self._held > _MOST_HELD and self._transport is not None:
            self._transport.pause_reading()
        _wake(self._reading)

    def eof_received(self) -> bool:
        self._is_over = True
        _wake(self._reading)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        if not self._lost.done():
            self._lost.set_result(None)
        _wake(self._reading)
        _wake(self._writing)

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        _wake(self._writing)

    # What the HTTP library calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- the library's
        """The next bytes, none at the end; more than max_bytes if they came at once."""
        if not self._pieces and not self._is_over:
            self._reading = self._loop.create_future()
            if not await _woken(self._reading, timeout):
                raise httpcore2.ReadTimeout if self._was_heard else UnansweredInTime
        if self._pieces:
            return self._next()
        if not self._was_heard:
            raise Unanswered(was_reused=self._was_reused)
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send, and wait while the other side takes no more."""
        if self._transport is None or self._transport.is_closing():
            raise httpcore2.WriteError("closed")
        if self._was_heard:
            self._was_heard, self._was_reused = False, True
        self._transport.write(buffer)
        while not self._is_writable and not self._lost.done():
            self._writing = self._loop.create_future()
            if not await _woken(self._writing, timeout):
                raise httpcore2.WriteTimeout
        if self._lost.done():
            raise httpcore2.WriteError("closed")

    async def aclose(self) -> None:
        """Hang up: whatever is under way has lost its meaning."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.shield(self._lost)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Go on in TLS."""
        plain = self._transport
        if plain is None or plain.is_closing():
            raise Unconnected(OSError("closed"))
        try:
            async with asyncio.timeout(timeout):
                self._transport = await self._loop.start_tls(
                    plain, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except OSError as error:
            raise Unconnected(error) from error
        finally:
            if self._transport is plain:
                plain.abort()  # which tells the handshake, and not us
                self.connection_lost(None)
        return self

    def get_extra_info(self, info: str) -> object:
        """What the library asks for."""
        if info == "is_readable":
            return self._is_over or bool(self._pieces) or self._has_input()
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport and self._transport.get_extra_info(names.get(info, info))

    # Inside.

    def _next(self) -> bytes:
        piece = self._pieces.popleft()
        was_full = self._held > _MOST_HELD
        self._held -= len(piece)
        if was_full and self._held <= _MOST_HELD and self._transport and not self._is_over:
            self._transport.resume_reading()
        self._was_heard = True
        return piece

    def _has_input(self) -> bool:
        """Whether something came that the event loop has not seen yet, the end perhaps."""
        sock = self._transport and self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _wake(waiter: "asyncio.Future[bool] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(True)


def _give_up(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(False)


async def _woken(waiter: "asyncio.Future[bool]", seconds: float | None) -> bool:
    """Whether somebody woke it in time. Costs a third of asyncio.timeout."""
    if seconds is None:
        return await waiter
    timer = waiter.get_loop().call_later(seconds, _give_up, waiter)
    try:
        return await waiter
    finally:
        timer.cancel()
