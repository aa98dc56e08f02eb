"""The network between clients and servers: it passes everything on until it is cut."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from .wire import HOST

_PIECE = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


class Network:
    """Connections to one port, which can be reset."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self._to = to
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Network"]:
        """Accept connections."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = list(self._open)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self, share: float) -> int:
        """Reset this share of the connections, the oldest first; tells how many."""
        count = round(len(self._open) * share)
        for ends in list(self._open.values())[:count]:
            for end in ends:
                _reset(end)
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ends = self._open[task] = [writer]
        try:
            there, back = await asyncio.open_connection(HOST, self._to)
            ends.append(back)
            both = [
                asyncio.create_task(_pass_on(reader, back)),
                asyncio.create_task(_pass_on(there, writer)),
            ]
            try:
                # Who asks stays connected until he is answered, so either end is the end.
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in both:
                    each.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except OSError:
            _reset(writer)
        except asyncio.CancelledError:
            pass
        finally:
            del self._open[task]
            for end in ends:
                end.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        _reset(writer)  # what broke here breaks there


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
