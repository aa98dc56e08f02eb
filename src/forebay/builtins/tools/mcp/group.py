"""The group: one connection to a server for all runs of this process, made when it is needed."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from forebay.core.errors import ToolUnavailable
from forebay.core.json import Json
from forebay.ports.agent import Context
from forebay.ports.components import Parts

from .config import McpClient
from .loss import NotConnected, NotSent
from .masking import Mask
from .offer import Found, McpTool, offer

if TYPE_CHECKING:
    from .connection import Connection, Terms

_T = TypeVar("_T")


class McpGroup:
    """The tools of one server. Implements ports.tools.ToolGroup."""

    def __init__(self, name: str, config: McpClient, parts: Parts) -> None:
        self._name = name
        self._config = config
        self._parts = parts
        self._mask = Mask(config.server.secrets())
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._was_connected = False
        self._is_closed = False
        self._found: Sequence[Found] = ()
        self._tools: Sequence[McpTool] = ()

    @property
    def name(self) -> str:
        return self._name

    async def tools(self) -> Sequence[McpTool]:
        """Those that are offered now, after filters. Raises ToolUnavailable."""
        found = await self._do(lambda connection: connection.discovered())
        if found is not self._found:
            self._found = found
            self._tools = offer(self._config, found, self._call)
        return self._tools

    async def aclose(self) -> None:
        """End the connection, and the server if it is a program."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        if self._connection is not None:
            await self._connection.aclose()

    async def _call(self, found: Found, ctx: Context, arguments: Mapping[str, Json]) -> Json:
        return await self._do(lambda connection: connection.call(found, ctx, arguments))

    async def _do(self, act: Callable[["Connection"], Awaitable[_T]]) -> _T:
        """Do something over the connection; again if the server has not heard of it."""
        pauses = self._config.pauses()
        while True:
            connection = await self._connected()
            try:
                return await act(connection)
            except NotSent as error:
                pause = next(pauses, None)
                if pause is None:
                    raise self._unavailable(str(error)) from error
            if await connection.is_alive():
                await self._parts.clock.sleep(pause)

    # --- connecting -----------------------------------------------------------------------------

    async def _connected(self) -> "Connection":
        if self._connection is not None and await self._connection.is_alive():
            return self._connection
        if self._is_closed:
            raise self._unavailable("It is closed.")
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(
                self._connect(), name=f"connect-{self._name}", context=contextvars.Context()
            )
            self._connecting.add_done_callback(self._tried)
        connecting = self._connecting
        await asyncio.wait({connecting})  # whoever waits may leave, and it goes on
        if connecting.cancelled():
            raise self._unavailable("It is closed.")
        return connecting.result()

    def _tried(self, connecting: asyncio.Task["Connection"]) -> None:
        self._connecting = None
        if not connecting.cancelled():
            connecting.exception()  # whoever waited for it may have gone

    async def _connect(self) -> "Connection":
        if self._was_connected and not self._config.reconnect_enabled:
            raise self._unavailable("The connection was lost, and `reconnect_enabled` is false.")
        if self._connection is not None:
            await self._connection.retire()
        connect, terms = await self._prepared()
        pauses = self._config.pauses()
        while True:
            try:
                self._connection = await connect(terms)
            except NotConnected as error:
                pause = next(pauses, None) if error.may_pass else None
                if pause is None:
                    raise self._unavailable(error.message) from error
            else:
                self._was_connected = True
                return self._connection
            await self._parts.clock.sleep(pause)

    async def _prepared(self) -> tuple[Callable[["Terms"], Awaitable["Connection"]], "Terms"]:
        try:
            # It takes about a second, in which others want their turn on the event loop.
            await asyncio.to_thread(import_module, f"{__package__}.connection")
            from .connection import Terms, connect
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
                raise
            raise self._unavailable("Install what it needs: pip install 'forebay[mcp]'") from error
        parts, server = self._parts, self._config.server
        return connect, Terms(self._name, server, self._mask, parts.clock, parts.http)

    def _unavailable(self, reason: str) -> ToolUnavailable:
        place = self._config.server.place
        return ToolUnavailable(f"The MCP server {place} of {self._name} cannot be used. {reason}")
