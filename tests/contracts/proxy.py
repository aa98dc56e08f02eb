"""Something between a client and PostgreSQL that can be cut: at once, or just before an answer."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Passes bytes on, in a folder of its own."""

    def __init__(self, folder: Path, server_folder: str) -> None:
        self.loses_answers = False
        """Let the server do what it was asked for, and cut the connection before it says so."""
        self.answers_lost = 0
        self._folder = folder
        self._server_folder = server_folder
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def url(self, url: str) -> str:
        """The same database, through here."""
        return urlunsplit(urlsplit(url)._replace(query=f"host={self._folder}"))

    async def start(self) -> None:
        """Let clients in."""
        self._server = await asyncio.start_unix_server(self._serve, self._folder / _SOCKET)

    async def aclose(self) -> None:
        """Cut everything, let nobody in any more."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut what is connected now."""
        writers, self._open = self._open, set()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(each.wait_closed() for each in writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_server = await asyncio.open_unix_connection(f"{self._server_folder}/{_SOCKET}")
        self._open |= {writer, to_server}
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(reader, to_server, is_answer=False))
            both.create_task(self._pass_on(there, writer, is_answer=True))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if is_answer and self.loses_answers:
                    self.answers_lost += 1
                    await self.cut()
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # it was cut
        finally:
            writer.close()
