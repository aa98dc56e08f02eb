"""Clients on real connections that leave, sooner or later, by closing them."""

import asyncio
import io
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from forebay.app.application import Application
from forebay.cli.joining import JoiningProtocol
from forebay.core.clock import SystemClock
from forebay.core.codec import encode_json
from forebay.settings import Settings
from forebay.storage.memory import MemoryStorage
from tests.support.agents import Gated
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.server import source_of
from tests.support.storage import FaultyStorage
from tests.support.waiting import until


class Place:
    """A server on a port, its parts, and plain connections to it."""

    def __init__(
        self, app: Application, storage: FaultyStorage, server: uvicorn.Server, port: int
    ) -> None:
        self.app = app
        self.storage = storage
        self._server = server
        self._port = port

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    async def send(self, body: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Start a run over a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        raw = encode_json(body)
        writer.write(
            b"POST /api/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(raw), raw)
        )
        await writer.drain()
        return reader, writer


@asynccontextmanager
async def place(gated: Gated) -> AsyncGenerator[Place]:
    clock = SystemClock()
    storage = FaultyStorage(MemoryStorage(clock))
    with source_of(gated.agent) as source:
        app = Application(
            Settings(db_url="memory:", agents=(source,)), storage=storage, log_to=io.StringIO()
        )
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app.edge, log_level="warning", lifespan="on", http=JoiningProtocol)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started and app.gate.closed_by is None)
    try:
        yield Place(app, storage, server, listener.getsockname()[1])
    finally:
        gated.gate.open()
        storage.paused.set()
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            await serving
        listener.close()


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "light"])
async def test_a_stream_whose_client_leaves_is_closed(durable: bool):
    gated = Gated()
    async with place(gated) as here:
        reader, writer = await here.send({"input": "x", "mode": "stream", "durable": durable})
        assert b"200 OK" in await reader.readuntil(b"run.started")
        await gated.gate.reached()
        assert len(here.app.streams) == 1
        writer.close()
        await until(lambda: len(here.app.streams) == 0)
        if durable:
            assert here.app.runs.under_way == 1
            assert not gated.was_cancelled
        else:
            await until(lambda: gated.was_cancelled)


async def test_a_stream_whose_client_leaves_before_it_has_begun_is_closed():
    gated = Gated()
    async with place(gated) as here:
        here.storage.paused.clear()
        _, writer = await here.send({"input": "x", "mode": "stream"})
        await until(lambda: here.storage.writes_begun == 1)
        writer.transport.abort()
        await until(lambda: here.connections == 0)
        here.storage.paused.set()
        await gated.gate.reached()
        await until(lambda: len(here.app.streams) == 0)
        assert not gated.was_cancelled


async def test_a_light_run_whose_waiting_client_leaves_is_ended():
    gated = Gated()
    async with place(gated) as here:
        _, writer = await here.send({"input": "x"})
        await gated.gate.reached()
        writer.close()
        await until(lambda: gated.was_cancelled)


async def test_one_connection_serves_many_requests_one_after_another():
    gated = Gated()
    gated.gate.open()
    async with place(gated) as here:
        reader, writer = await here.send({"input": "x"})
        raw = encode_json({"input": "y"})
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b"before after" in await reader.readexactly(length)
            writer.write(
                b"POST /api/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b"
                % (len(raw), raw)
            )
        writer.close()
