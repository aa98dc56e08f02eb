"""Wires to an MCP server: a program that is started, or HTTP. Who reads hears of their end."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, runtime_checkable

from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from pydantic import SecretStr

from forebay.ports.http import Trust

from .complaints import complaints
from .config import McpServer
from .exchange import http_client
from .loss import NotConnected
from .masking import Mask

if TYPE_CHECKING:
    import httpx2

_LARGEST_EVENT_BYTES = 16 * 1024 * 1024

_Heard: TypeAlias = SessionMessage | Exception


class _Stream(Protocol):
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...


class _Reading(_Stream, Protocol):
    async def receive(self) -> _Heard: ...
    async def __anext__(self) -> _Heard: ...


class _Writing(_Stream, Protocol):
    async def send(self, item: SessionMessage, /) -> None: ...


@runtime_checkable
class LendsClients(Protocol):
    """An HttpClient that lends clients to libraries which want one of their own."""

    def raw_client(
        self,
        *,
        trust: Trust,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> "httpx2.AsyncClient": ...


@asynccontextmanager
async def wire(
    server: McpServer, http: object, mask: Mask, ended: Callable[[], None]
) -> AsyncGenerator[tuple["Watched", _Writing]]:
    """What is read from a server and written to it. `ended` is called when nothing more comes.

    Raises NotConnected, OSError, and what the protocol's package raises.
    """
    if server.command is not None:
        program = StdioServerParameters(
            command=server.command, args=server.args or [], env=_plain(server.env)
        )
        async with (
            complaints(server.place, mask) as complaining,
            stdio_client(program, errlog=complaining) as (reading, writing),
        ):
            complaining.close()  # the program has its own
            yield Watched(reading, ended), writing
        return
    assert server.url is not None, "it is a program or has a URL"
    url, client = server.url.get_secret_value(), _client(server, http)
    if server.transport == "sse":
        async with sse_client(url, httpx_client_factory=_always(client)) as (reading, writing):
            yield Watched(reading, ended), writing
        return
    opened = streamable_http_client(
        url, http_client=client, max_sse_event_size=_LARGEST_EVENT_BYTES
    )
    async with client, opened as (reading, writing):
        yield Watched(reading, ended), writing


def _client(server: McpServer, http: object) -> "httpx2.AsyncClient":
    if not isinstance(http, LendsClients):
        raise NotConnected("MCP over HTTP is not possible here.", may_pass=False)
    return http_client(http.raw_client(trust="operator", headers=_plain(server.custom_headers)))


def _always(client: "httpx2.AsyncClient") -> Callable[..., "httpx2.AsyncClient"]:
    return lambda *_, **__: client


def _plain(secrets: Mapping[str, SecretStr] | None) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in (secrets or {}).items()}


class Watched:
    """A stream that tells when it has come to its end by itself."""

    def __init__(self, stream: _Reading, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    @property
    def last_context(self) -> Any:
        """In which context the last item was sent: the protocol's package looks for it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> _Heard:
        return await self._stream.receive()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Heard:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._ended()
            raise

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._stream.__aexit__(exc_type, exc_val, exc_tb)
