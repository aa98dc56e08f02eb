"""HTTP and server-sent events by hand, one connection for each request.

Nothing of the product's client is used here: what it would forgive has to be seen.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias, cast

from forebay.core.json import Json

Object: TypeAlias = Mapping[str, Json]

HOST = "127.0.0.1"
_HEAD_BYTES = 64 * 1024
_PIECE = 64 * 1024


class Lost(Exception):
    """The connection failed, or the answer broke off."""


class Wrong(Exception):
    """An answer that no server may give, whatever has happened to it."""


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Object | None = None
    headers: Mapping[str, str] = {}


class Frame(NamedTuple):
    """One server-sent event."""

    event: str
    id: str | None
    data: str


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Object:
        """The object that it is. Raises Wrong."""
        return read_object(self.body)

    @property
    def told(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Answer:
    """An answer whose body is still to come."""

    def __init__(
        self, status: int, headers: Mapping[str, str], reader: asyncio.StreamReader
    ) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it comes. Raises Lost if it breaks off."""
        length = self.headers.get("content-length")
        if length is not None:
            yield await self._reader.readexactly(int(length))
        elif self.headers.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                yield (await self._reader.readexactly(size + 2))[:-2]
        elif self.status not in (204, 304):
            raise Wrong("an answer whose end cannot be known")

    async def read(self) -> Reply:
        """All of it."""
        return Reply(self.status, self.headers, b"".join([each async for each in self.pieces()]))


@asynccontextmanager
async def answered(port: int, asked: Asked, *, seconds: float) -> AsyncGenerator[Answer]:
    """Ask, and take the head of the answer. Raises Lost, also if it does not come in time."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(HOST, port, limit=_PIECE * 16)
            writer.write(_request(asked))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
        yield _read_head(head, reader)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
        raise Lost(f"{type(error).__name__}: {error}") from error
    finally:
        if writer is not None:
            writer.transport.abort()


async def ask(port: int, asked: Asked, *, seconds: float = 10.0) -> Reply:
    """Ask, and read the answer to its end. Raises Lost."""
    async with answered(port, asked, seconds=seconds) as answer:
        try:
            async with asyncio.timeout(seconds):
                return await answer.read()
        except TimeoutError as error:
            raise Lost("the answer did not end") from error


class Frames:
    """Reads a stream of events from the bytes it comes in."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that this completes."""
        *blocks, self._rest = (self._rest + piece).split(b"\n\n")
        frames = [_read_frame(block.decode()) for block in blocks]
        return [frame for frame in frames if frame is not None]


def read_object(data: bytes | str) -> Object:
    """A JSON object. Raises Wrong."""
    try:
        value: object = json.loads(data)
    except ValueError as error:
        raise Wrong(f"no JSON: {data[:200]!r}") from error
    if not isinstance(value, dict):
        raise Wrong(f"no object: {data[:200]!r}")
    return cast(Object, value)


def _request(asked: Asked) -> bytes:
    body = b"" if asked.body is None else json.dumps(asked.body).encode()
    headers = {"host": HOST, "connection": "close", **asked.headers}
    if asked.body is not None:
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
    lines = [f"{asked.method} {asked.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read_head(head: bytes, reader: asyncio.StreamReader) -> Answer:
    first, *lines = head[:_HEAD_BYTES].decode("latin-1").rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.1") or not rest[:3].isdigit():
        raise Wrong(f"no answer of HTTP: {first[:100]!r}")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(int(rest[:3]), headers, reader)


def _read_frame(block: str) -> Frame | None:
    event, number, data = "message", None, list[str]()
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        match name:
            case "event":
                event = value.removeprefix(" ")
            case "id":
                number = value.removeprefix(" ")
            case "data":
                data.append(value.removeprefix(" "))
            case _:
                pass  # a comment, or a wish about reconnecting
    return Frame(event, number, "\n".join(data)) if data else None
