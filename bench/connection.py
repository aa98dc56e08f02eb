"""A connection of the load client: raw sockets, and an answer that is checked in every respect.

Its status, the number of its frames, and how it ends: a wrong answer raises, it gives no figure.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

LONGEST_SECONDS = 120.0
"""After which any job is given up."""

_HOST = "127.0.0.1"
_TAIL_BYTES = 600
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class WrongAnswer(AssertionError):
    """The server did not answer as it has to."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and what makes its answer right."""

    request: bytes
    status: int
    frames: int | None
    """How many frames a stream must have; None if the answer is no stream."""
    ends_with: tuple[bytes, ...]
    """What must stand in the last few hundred bytes."""


def ask(
    method: str,
    path: str,
    body: object = None,
    *,
    status: int = 200,
    frames: int | None = None,
    ends_with: tuple[bytes, ...] = (),
) -> Ask:
    """A request whose answer will be checked."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {_HOST}\r\n"
    if payload:
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
    return Ask(f"{head}\r\n".encode() + payload, status, frames, ends_with)


class Connection(asyncio.Protocol):
    """One request at a time on a connection that is kept alive."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.on_answer: Callable[[], None] = self.close
        self.on_stream: Callable[[bytes], None] | None = None
        self.frames = 0
        self.answer = b""
        self._asked: Ask | None = None
        self._received = b""
        self._length: int | None = None
        self._in_stream = False
        self._frames_before = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self._fail(f"the connection was lost: {exc}")

    def send(self, asked: Ask) -> None:
        """Ask. `on_answer` is called when the whole answer is here and right."""
        self._asked = asked
        self._received = b""
        self._length = None
        self._in_stream = False
        self._frames_before = self.frames
        self._transport.write(asked.request)

    def close(self) -> None:
        """Leave; whatever is still under way does not count."""
        if not self.finished.done():
            self.finished.set_result(None)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._in_stream:
            self._take_stream(data)
        elif self._length is not None:
            self._take_body(data)
        else:
            self._take_head(data)

    def _take_head(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found or self._asked is None:
            return
        if int(head[9:12]) != self._asked.status:
            self._fail(f"{head[:200]!r} {rest[:300]!r}")
            return
        self._received = b""
        length = _LENGTH.search(head)
        if not self.started.done():
            self.started.set_result(None)
        if length is not None:
            self._length = int(length[1])
            self._take_body(rest)
        else:
            self._in_stream = True
            self._take_stream(rest)

    def _take_body(self, data: bytes) -> None:
        self._received += data
        if self._length is not None and len(self._received) >= self._length:
            self.answer = self._received
            self._check()

    def _take_stream(self, data: bytes) -> None:
        # Frames are counted in the raw bytes: the framing of HTTP chunks holds no empty line of
        # bare newlines, and one that is cut in two is found with the last byte before.
        self.frames += (self._received[-1:] + data).count(b"\n\n")
        self._received = (self._received + data)[-_TAIL_BYTES:]
        if self.on_stream is not None:
            self.on_stream(data)
        if self._received.endswith(b"\r\n0\r\n\r\n"):
            self._check()

    def _check(self) -> None:
        asked = self._asked
        assert asked is not None
        frames = self.frames - self._frames_before
        tail = self._received[-_TAIL_BYTES:]
        if asked.frames is not None and frames != asked.frames:
            self._fail(f"{frames} frames instead of {asked.frames}; it ends {tail!r}")
        elif not all(part in tail for part in asked.ends_with):
            self._fail(f"{asked.ends_with!r} is not in {tail!r}")
        else:
            self.on_answer()

    def _fail(self, why: str) -> None:
        error = WrongAnswer(why)
        if not self.started.done():
            self.started.set_result(None)
        if not self.finished.done():
            self.finished.set_exception(error)
        self._transport.abort()


class Line:
    """A connection that is asked one thing after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, asked: Ask) -> bytes:
        """Ask, and wait for the answer. Raises WrongAnswer."""
        answered = asyncio.Event()
        self._connection.on_answer = answered.set
        self._connection.send(asked)
        waiting = asyncio.ensure_future(answered.wait())
        await asyncio.wait({waiting, self._connection.finished}, return_when="FIRST_COMPLETED")
        if not waiting.done():
            waiting.cancel()
            self._connection.finished.result()
        return self._connection.answer

    def close(self) -> None:
        """Leave."""
        self._connection.close()


async def connect(target: Target, count: int = 1) -> list[Connection]:
    """Open some connections."""
    loop = asyncio.get_running_loop()
    made: list[Connection] = []
    for _ in range(count):
        _, connection = await loop.create_connection(Connection, _HOST, target.port)
        made.append(connection)
    return made


async def all_finished(connections: list[Connection]) -> None:
    """Wait until nothing is under way on any of them. Raises WrongAnswer."""
    async with asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(*[connection.finished for connection in connections])


async def answer_of(target: Target, asked: Ask) -> bytes:
    """Ask once, on a connection of its own."""
    (connection,) = await connect(target)
    connection.send(asked)
    await all_finished([connection])
    return connection.answer
