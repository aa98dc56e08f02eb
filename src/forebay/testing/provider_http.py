"""A small HTTP/1.1 server for stand-ins of other servers: loopback only, whole requests in memory.

It writes what it is told to, wrong things too: a head in bits, half a body, a lost connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec

from forebay.core.clock import Clock

_HEAD_LIMIT = 64 * 1024


class HttpCall(msgspec.Struct, frozen=True):
    """A request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Wire:
    """The way back to the one who called."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self.head_pause = 0.0
        """How many seconds to wait before each header."""

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer."""
        await self._send_head(status, {**headers, "content-length": str(len(body))})
        self._writer.write(body)
        await self._writer.drain()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer that comes bit by bit."""
        await self._send_head(status, {**headers, "transfer-encoding": "chunked"})

    async def send(self, data: bytes) -> None:
        """Send a bit of it."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        """Send the end of it."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def cut(self) -> None:
        """Lose the connection. What was sent before still arrives."""
        self._writer.close()

    async def wait(self, gate: asyncio.Event) -> bool:
        """Wait for the gate; tells whether the caller is still there."""
        opened = asyncio.ensure_future(gate.wait())
        left = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({opened, left}, return_when=asyncio.FIRST_COMPLETED)
            return opened.done()
        finally:
            opened.cancel()
            left.cancel()
            await asyncio.gather(opened, left, return_exceptions=True)

    async def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {_phrase_of(status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        for line in lines:
            if self.head_pause:
                await self._writer.drain()
                await self._clock.sleep(self.head_pause)
            self._writer.write(f"{line}\r\n".encode())
        self._writer.write(b"\r\n")
        await self._writer.drain()


Answerer = Callable[[HttpCall, Wire], Awaitable[None]]


class LoopbackServer:
    """Listens on a free port of 127.0.0.1 and hands each request to `answer`."""

    def __init__(self, answer: Answerer, clock: Clock) -> None:
        self._answer = answer
        self._clock = clock
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connections = 0

    async def start(self, port: int = 0) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", port, limit=_HEAD_LIMIT
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, and lose every connection."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer), name="loopback connection")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                call = await _read(reader)
                await self._answer(call, Wire(reader, writer, self._clock))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller has left
        finally:
            writer.close()


def _phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"  # 529, as Anthropic says when it is overloaded


async def _read(reader: asyncio.StreamReader) -> HttpCall:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return HttpCall(method, path, query, headers, body)
