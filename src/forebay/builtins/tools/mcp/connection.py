"""A connection: one session with an MCP server, kept by a task of its own.

The protocol's package has to be entered and left by one and the same task, and must not be torn
out of its farewell by a cancellation. So that task, the keeper, belongs to no run, and is asked to
end and never cancelled. Calls are made by whoever makes them: all at the same time, and one that
is cancelled is cancelled at the server too.
"""

import asyncio
import contextvars
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import NamedTuple, cast

import anyio
import pydantic
from anyio.abc import TaskGroup, TaskStatus
from mcp import MCPError, types
from mcp.client import Client, IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from forebay.core.clock import Clock
from forebay.core.errors import ToolError, ToolUnavailable
from forebay.core.json import Json
from forebay.ports.agent import Context

from . import exchange
from .calls import Calls
from .config import McpServer
from .failures import cleaned, failure_of, not_connected
from .loss import NotConnected, NotSent
from .masking import Mask
from .offer import Found
from .results import result_of
from .wires import wire

_LOG = logging.getLogger(__name__)

_THEIR_LOG = logging.getLogger("mcp.client")
if _THEIR_LOG.level == logging.NOTSET:
    # Tracebacks, with what the server said in them unmasked, of failures that we hear of as well.
    _THEIR_LOG.setLevel(logging.CRITICAL)

_TRUSTED_MILLIS = 10 * 60 * 1000
"""How long a list of tools counts, although the server tells of no change."""
_TURNS = 16  # six are needed
_MOST_PAGES = 100
_RETIRING_SECONDS = 2.0
_LEAVING_SECONDS = 15.0  # a program is given 6 s, and a farewell over HTTP 5 s


class Terms(NamedTuple):
    """Whom to connect to, and with what."""

    group: str
    server: McpServer
    mask: Mask
    clock: Clock
    http: object
    patience_seconds: float = 60.0
    """How long connecting may take, and asking for the tools."""


async def connect(terms: Terms) -> "Connection":
    """Connect, and find out about the tools. Raises NotConnected."""
    connection = Connection(terms)
    try:
        await connection.discovered()
    finally:
        if not connection.is_ready:
            await connection.aclose()
    return connection


class Connection:
    """One session with a server."""

    def __init__(self, terms: Terms) -> None:
        loop = asyncio.get_running_loop()
        self._terms = terms
        self._scope = anyio.CancelScope()
        self._client: Client | None = None
        self._calls = Calls(terms.group)
        self._listed: asyncio.Future[Sequence[Found]] = loop.create_future()
        self._listed_at = terms.clock.boot()
        self._wanted = asyncio.Event()
        self._is_stale = False
        self._hears = False
        self._discovery: anyio.CancelScope | None = None
        self._loss: str | None = None
        """Why it is not to be used any more."""
        self._is_over = False
        """Whether the keeper is to leave."""
        self._is_leaving = False
        """Whether that was asked for."""
        self.is_ready = False
        """Whether it was connected, and its tools are known."""
        self._keeper = loop.create_task(
            self._keep(), name=f"mcp-{terms.group}", context=contextvars.Context()
        )
        self._keeper.add_done_callback(self._ended)

    async def is_alive(self) -> bool:
        """Whether it can be used, as far as one can know without asking the server."""
        if self._terms.server.transport == "stdio":
            # That a program has ended can be read at once, but is heard some turns later.
            for _ in range(_TURNS):
                await self._terms.clock.sleep(0)
        return self._loss is None

    async def discovered(self) -> Sequence[Found]:
        """The server's tools. Raises NotConnected, NotSent, ToolUnavailable."""
        if self._listed.done() and self._is_out_of_date():
            self._listed = asyncio.get_running_loop().create_future()
            self._wanted.set()
        return await asyncio.shield(self._listed)

    async def call(self, found: Found, ctx: Context, arguments: Mapping[str, Json]) -> Json:
        """Call a tool. Raises NotSent, ToolUnavailable, InvalidArguments, ToolError."""
        assert self._client is not None, "it is ready"
        mask = self._terms.mask
        try:
            with self._calls.noted(ctx, found.name) as meta:
                result = await self._client.call_tool(found.name, dict(arguments), meta=meta)
            return mask.json(result_of(result, is_wrapped=found.is_wrapped))
        except MCPError as error:
            raise self._failure(error) from None
        except pydantic.ValidationError:
            raise ToolError("What the server returned cannot be read.") from None
        except (ToolError, RuntimeError) as error:  # RuntimeError: it does not fit its schema
            raise ToolError(cleaned(str(error), mask)) from None

    def _failure(self, error: MCPError) -> NotSent | ToolError:
        failure = failure_of(error, self._terms.server.place, self._terms.mask)
        if error.code == exchange.SESSION_GONE:
            self._loss = self._loss or str(failure)
        return failure

    async def retire(self) -> None:
        """Close it, after calls that are about to hear that it is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETIRING_SECONDS):
                await self._calls.over.wait()
        await self.aclose()

    async def aclose(self) -> None:
        """End the session, and the program if there is one."""
        self._is_leaving = self._is_leaving or self._loss is None
        self._lose("The connection was closed.")
        await asyncio.wait({self._keeper})

    # --- the keeper -----------------------------------------------------------------------------

    async def _keep(self) -> None:
        self._scope.deadline = anyio.current_time() + self._terms.patience_seconds
        with self._scope:
            async with self._opened() as client, anyio.create_task_group() as tasks:
                try:
                    await self._serve(client, tasks)
                finally:
                    if self.is_ready:
                        self._lose("It broke.")
                tasks.cancel_scope.cancel()

    async def _serve(self, client: Client, tasks: TaskGroup) -> None:
        self._client = client
        self._take(await self._discover(client, tasks))
        self.is_ready = True
        self._scope.deadline = math.inf
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._is_over:
                return
            await self._discover_again(client, tasks)

    def _opened(self) -> Client:
        terms = self._terms
        return Client(
            wire(terms.server, terms.http, terms.mask, self._hear_the_end),
            cache=None,  # what is kept here is told apart by connection
            client_info=types.Implementation(name="forebay", version=metadata.version("forebay")),
            elicitation_callback=self._calls.ask,
            message_handler=self._hear,
        )

    def _hear_the_end(self) -> None:
        self._lose("It has ended the connection.")

    def _lose(self, reason: str) -> None:
        self._loss = self._loss or reason
        self._is_over = True
        self._wanted.set()
        if not self.is_ready:
            self._scope.cancel()
        elif self._scope.deadline == math.inf:
            self._scope.deadline = anyio.current_time() + _LEAVING_SECONDS
        if self._discovery is not None:
            self._discovery.cancel()

    def _ended(self, keeper: asyncio.Task[None]) -> None:
        self._is_leaving = self._is_leaving or keeper.cancelled()  # by a loop that comes to its end
        error = None if keeper.cancelled() else keeper.exception()
        if error is not None:
            failure = not_connected(error, self._terms.mask)
        else:
            silent = f"It did not answer within {self._terms.patience_seconds:g} s."
            failure = NotConnected(self._loss or silent, may_pass=self._loss is not None)
        self._loss = failure.message
        if not self._listed.done():
            self._listed.set_exception(NotSent(failure.message) if self.is_ready else failure)
            self._listed.exception()  # whoever waited may have gone
        if self.is_ready and not self._is_leaving:
            _LOG.warning("The MCP server %s is gone. %s", self._terms.server.place, failure.message)

    # --- discovery ------------------------------------------------------------------------------

    def _is_out_of_date(self) -> bool:
        age = self._terms.clock.boot() - self._listed_at
        return self._is_stale or age > _TRUSTED_MILLIS

    def _take(self, found: Sequence[Found]) -> None:
        self._listed_at = self._terms.clock.boot()
        if not self._listed.done():
            self._listed.set_result(found)

    async def _discover_again(self, client: Client, tasks: TaskGroup) -> None:
        try:
            with anyio.fail_after(self._terms.patience_seconds) as self._discovery:
                self._take(await self._discover(client, tasks))
        except (MCPError, TimeoutError, pydantic.ValidationError) as error:
            self._is_stale = True
            if not self._listed.done():
                self._listed.set_exception(self._undiscovered(error))
                self._listed.exception()  # whoever waited may have gone
        finally:
            self._discovery = None

    def _undiscovered(self, error: Exception) -> NotSent | ToolUnavailable:
        if isinstance(error, MCPError):
            failure = self._failure(error)
            if error.code in (exchange.CUT_OFF, types.CONNECTION_CLOSED):
                return NotSent(cleaned(error.message, self._terms.mask))  # to ask twice is no harm
            if isinstance(failure, NotSent | ToolUnavailable):
                return failure
        place = self._terms.server.place
        return ToolUnavailable(f"The MCP server {place} does not tell its tools.")

    async def _discover(self, client: Client, tasks: TaskGroup) -> Sequence[Found]:
        if not self._hears and _tells_of_changes(client):
            await tasks.start(self._hear_changes, client)
        self._is_stale = False
        found: dict[str, Found] = {}
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                found.setdefault(tool.name, _found(tool, self._terms.mask))
            cursor = page.next_cursor
            if cursor is None:
                break
        return list(found.values())

    async def _hear_changes(self, client: Client, *, task_status: TaskStatus[None]) -> None:
        try:
            async with client.listen(tools_list_changed=True) as changes:
                self._hears = True
                task_status.started()
                async for _ in changes:
                    self._is_stale = True
        except (MCPError, SubscriptionLost, TimeoutError) as error:
            why = cleaned(str(error), self._terms.mask)
            _LOG.debug("%s: no news of changes: %s", self._terms.server.place, why)
        if not self._hears:
            task_status.started()
        self._hears, self._is_stale = False, True

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._is_stale = True
        elif isinstance(message, Exception):
            _LOG.debug("%s: what it says cannot be read", self._terms.server.place)


# --- what the server says -----------------------------------------------------------------------


def _tells_of_changes(client: Client) -> bool:
    tools = client.server_capabilities.tools
    is_modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS  # before, nobody had to ask
    return is_modern and tools is not None and bool(tools.list_changed)


def _found(tool: types.Tool, mask: Mask) -> Found:
    parameters = {"type": "object", "properties": {}} | cast("dict[str, Json]", tool.input_schema)
    returned = cast("dict[str, Json]", tool.output_schema or {}).get("properties")
    is_wrapped = isinstance(returned, dict) and list(returned) == ["result"]
    description = mask.text(tool.description or tool.title or "")
    return Found(tool.name, description, cast("dict[str, Json]", mask.json(parameters)), is_wrapped)
