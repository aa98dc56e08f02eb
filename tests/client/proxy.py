"""A TCP proxy that breaks connections, as networks do: after so many bytes, or at once."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

_PIECE = 4096
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Stands before a server."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self.limits: list[int] = []
        """The next connections are cut after this many bytes of answers, one limit each."""
        self.limit: int | None = None
        """All others are cut after this many."""
        self.connections = 0
        self.cut = asyncio.Event()
        """Set when a connection was cut."""
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Proxy"]:
        """Accept connections."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._pass_on(reader, writer))
        self._serving.add(serving)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        self._serving.discard(serving)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        limit = self.limits.pop(0) if self.limits else self.limit
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            await _reset(writer)
            return
        asking = asyncio.create_task(_pump(reader, up_writer, None))
        was_cut = True
        try:
            was_cut = await _pump(up_reader, writer, limit)
        finally:
            asking.cancel()
            if was_cut:
                await _reset(writer)
                self.cut.set()
            for each in (up_writer, writer):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None
) -> bool:
    """Pass bytes on to their end; tells whether it stopped because the limit was reached."""
    passed = 0
    with contextlib.suppress(OSError):
        while limit is None or passed < limit:
            piece = await reader.read(_PIECE if limit is None else min(_PIECE, limit - passed))
            if not piece:
                return False
            passed += len(piece)
            writer.write(piece)
            await writer.drain()
        return True
    return False


async def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a network that breaks does: what is under way is lost."""
    with contextlib.suppress(OSError):
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextmanager
def in_a_thread(proxy: Proxy) -> Generator[Proxy]:
    """Run a proxy beside code that blocks."""
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stopping = asyncio.Event()
        async with proxy.running():
            running.append((asyncio.get_running_loop(), stopping))
            started.set()
            await stopping.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        loop, stopping = running[0]
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
