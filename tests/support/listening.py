"""A whole server in this process that other programs can reach."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn

from forebay.app.application import Application
from forebay.settings import Settings

from .asgi import PATIENCE_SECONDS
from .server import source_of


@asynccontextmanager
async def listening(*agents: object) -> AsyncGenerator[str]:
    """A server with these agents on a free port of this machine; gives its URL."""
    with source_of(*agents) as source:
        app = Application(Settings(db_url="memory:", agents=(source,) if agents else ()))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app.edge, log_level="warning", lifespan="on"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            await serving
        listener.close()
