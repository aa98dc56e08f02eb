"""An MCP server for tests, made with the official package: `mcp_program.py stdio|http|sse [PORT]`.

With `--old` it speaks the protocol as it was before 2026, with sessions. Over HTTP it writes its
port when it listens.
"""

import argparse
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
import uvicorn
from mcp import types
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAGE = 5


@dataclass
class World:
    """What the tools have seen."""

    is_old: bool
    meeting: int = 0
    all_met: anyio.Event = field(default_factory=anyio.Event)
    hanging: int = 0
    cancelled: int = 0
    farewells: int = 0


class Colour(BaseModel):
    colour: str


class Amount(BaseModel):
    amount: int


class Sure(BaseModel):
    sure: bool


def _ask_amount() -> Elicit[Amount]:
    return Elicit("How many?", Amount)


def _ask_sure() -> Elicit[Sure]:
    return Elicit("Are you sure?", Sure)


def make_server(world: World) -> MCPServer:
    """The server and its tools."""
    server = MCPServer("tests", log_level="ERROR", middleware=[_in_pages])
    _add_plain(server)
    _add_waiting(server, world)
    _add_odd(server, world)
    _add_asking(server)
    return server


def _add_plain(server: MCPServer) -> None:
    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool(structured_output=False)
    def greet(name: str) -> str:
        """Greet."""
        return f"Hello, {name}!"

    @server.tool()
    def colour(name: str) -> Colour:
        """What a colour is."""
        return Colour(colour=name)

    @server.tool(name="files.read", structured_output=False)
    def read(path: str) -> str:
        """Read a file."""
        return f"text of {path}"

    @server.tool(description="x" * 10_000, structured_output=False)
    def wordy() -> str:
        return "ok"

    @server.tool(structured_output=False)
    def fail(text: str) -> str:
        """Fail."""
        raise ValueError(text)

    @server.tool(structured_output=False)
    def mixed() -> list[types.ContentBlock]:
        """Return blocks of all kinds."""
        return [
            types.TextContent(text="see"),
            types.ImageContent(data="aGk=", mime_type="image/png"),
            types.AudioContent(data="aGk=", mime_type="audio/wav"),
            types.ResourceLink(uri="file:///a.txt", name="a", mime_type="text/plain"),
            types.EmbeddedResource(
                resource=types.TextResourceContents(uri="file:///b.txt", text="b")
            ),
            types.EmbeddedResource(
                resource=types.BlobResourceContents(uri="file:///c", blob="aGk=")
            ),
        ]

    @server.tool(structured_output=False)
    def picture(size: int) -> types.ImageContent:
        """Return a picture."""
        return types.ImageContent(data="a" * size, mime_type="image/png")


def _add_waiting(server: MCPServer, world: World) -> None:
    @server.tool()
    async def meet(party: int) -> int:
        """Return when so many are there."""
        world.meeting += 1
        if world.meeting == party:
            world.all_met.set()
        await world.all_met.wait()
        return world.meeting

    @server.tool(structured_output=False)
    async def hang() -> str:
        """Never return."""
        world.hanging += 1
        try:
            await anyio.sleep_forever()
        finally:
            world.cancelled += 1
        raise AssertionError

    @server.tool()
    def waiting() -> dict[str, int]:
        """How many were there, and how many were cancelled."""
        names = ("meeting", "hanging", "cancelled", "farewells")
        return {name: getattr(world, name) for name in names}


def _add_odd(server: MCPServer, world: World) -> None:
    @server.tool()
    def pid() -> int:
        """Which process this is."""
        return os.getpid()

    @server.tool(structured_output=False)
    def die() -> str:
        """End this process at once."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    @server.tool(structured_output=False)
    def environment(name: str) -> str:
        """What a variable is."""
        return os.environ.get(name, "")

    @server.tool(structured_output=False)
    def complain(text: str) -> str:
        """Write to standard error."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        return "done"

    @server.tool(structured_output=False)
    def header(name: str, ctx: Context) -> str:
        """What a header of the request is."""
        request: Any = ctx.request_context.request
        return request.headers.get(name, "")

    @server.tool(structured_output=False)
    def key(ctx: Context) -> str:
        """The idempotency key of this call."""
        meta: Any = ctx.request_context.meta or {}
        return meta.get("forebay/idempotency-key", "")

    @server.tool(structured_output=False)
    async def learn(name: str, ctx: Context) -> str:
        """Offer one more tool."""
        server.add_tool(lambda: f"I am {name}", name=name, structured_output=False)
        if world.is_old:
            await ctx.request_context.session.send_tool_list_changed()
        else:
            await ctx.notify_tools_changed()
        return "learnt"


def _add_asking(server: MCPServer) -> None:
    @server.tool(structured_output=False)
    def order(what: str, amount: Annotated[Amount, Resolve(_ask_amount)]) -> str:
        """Order something."""
        return f"{amount.amount} of {what}"

    @server.tool(structured_output=False)
    def erase(sure: Annotated[Sure, Resolve(_ask_sure)]) -> str:
        """Erase everything."""
        return "erased" if sure.sure else "kept"


async def _in_pages(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    result = await call_next(ctx)
    if ctx.method != "tools/list":
        return result
    assert isinstance(result, dict)
    begin = int((ctx.params or {}).get("cursor") or 0)
    rest = len(result["tools"]) - begin - _PAGE
    result["tools"] = result["tools"][begin : begin + _PAGE]
    return result | ({"nextCursor": str(begin + _PAGE)} if rest > 0 else {})


async def _serve_stdio(server: MCPServer, world: World) -> None:
    low: Server[Any] = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] -- to relay
    async with stdio_server() as (reading, writing), anyio.create_task_group() as tasks:
        to_server, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def relay() -> None:
            async with to_server:
                async for item in reading:
                    if world.is_old and isinstance(item, SessionMessage) and _is_new(item.message):
                        assert isinstance(item.message, types.JSONRPCRequest)
                        refusal = types.JSONRPCError(
                            jsonrpc="2.0", id=item.message.id, error=_UNKNOWN_METHOD
                        )
                        await writing.send(SessionMessage(refusal))
                    else:
                        await to_server.send(item)

        tasks.start_soon(relay)
        await low.run(heard, writing, low.create_initialization_options())


_UNKNOWN_METHOD = types.ErrorData(code=types.METHOD_NOT_FOUND, message="Method not found")


def _is_new(message: object) -> bool:
    return isinstance(message, types.JSONRPCRequest) and message.method == "server/discover"


class _OldHttp:
    """Nobody knew `server/discover`."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._world.farewells += scope["method"] == "DELETE"
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        body: bytes | None = await Request(scope, receive).body()
        if b'"server/discover"' in body:
            error = {"code": types.METHOD_NOT_FOUND, "message": "Method not found"}
            answer = {"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": error}
            return await JSONResponse(answer, 404)(scope, receive, send)

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message: Message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        return await self._app(scope, again, send)


async def _serve_http(app: ASGIApp, port: int) -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        listening.listen()
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(config).serve([listening])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "http", "sse"])
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--old", action="store_true")
    given = parser.parse_args()
    world = World(given.old)
    server = make_server(world)
    if given.transport == "stdio":
        anyio.run(_serve_stdio, server, world)
    else:
        app = server.sse_app() if given.transport == "sse" else server.streamable_http_app()
        anyio.run(_serve_http, _OldHttp(app, world) if given.old else app, given.port)


if __name__ == "__main__":
    main()
