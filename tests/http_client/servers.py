"""A small HTTP server on this machine that answers as a test says, faults included."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.asgi import PATIENCE_SECONDS

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Which one it came on: 1, 2, 3."""


class Wire:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_closed = False

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(
        self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        told = {"content-length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        await self.send(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body)

    async def begin(self) -> None:
        """The head of an answer whose body comes in chunks."""
        await self.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    def close(self) -> None:
        self.is_closed = True
        self._writer.close()

    def reset(self) -> None:
        """End as a network that breaks does."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.is_closed = True
        self._writer.transport.abort()

    async def left(self) -> None:
        """Wait until the other side hangs up."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(OSError):  # a reset is a way of leaving too
                while await self._reader.read(1024):
                    pass
        self.is_closed = True

    async def head(self) -> str:
        """Read the head of a request, and no more."""
        return (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def request(self, connection: int) -> Heard:
        """Read a whole request."""
        head = await self.head()
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (each.partition(":") for each in lines)
        }
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Heard(method, target, headers, body, connection)


Behaviour: TypeAlias = Callable[[Heard, Wire], Awaitable[None]]


@dataclass
class Server:
    """What a server is, and what it has heard."""

    behave: Behaviour | None = None
    meet: Callable[[Wire], Awaitable[None]] | None = None
    port: int = 0
    scheme: str = "http"
    heard: list[Heard] = field(default_factory=list[Heard])
    connections: int = 0
    _serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        wire = Wire(reader, writer)
        task = asyncio.create_task(self._serve(wire, writer, self.connections))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._serving)

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, wire: Wire, writer: asyncio.StreamWriter, connection: int) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if self.meet:
                    await self.meet(wire)
                while self.behave and not wire.is_closed:
                    heard = await wire.request(connection)
                    self.heard.append(heard)
                    await self.behave(heard, wire)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(
    behave: Behaviour | None = None,
    *,
    meet: Callable[[Wire], Awaitable[None]] | None = None,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Server]:
    """A server on a free port of this machine: behaves so for each request, or meets so each
    connection."""
    server = Server(behave, meet, scheme="https" if tls else "http")
    listening = await asyncio.start_server(server.accept, "127.0.0.1", port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.stop()


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


class Names:
    """A resolver that knows some names, and takes addresses for what they are.

    Each lookup of a name takes its next answer; the last one stays.
    """

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(told) for name, told in answers.items()}
        self.lookups: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.lookups.append(host)
        if host[0].isdigit() or ":" in host:
            return [host]
        answers = self._answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]
