"""The lower half of clients for libraries that bring their own upper half: the same pools."""

import math
from collections.abc import AsyncGenerator, AsyncIterable
from typing import cast

import httpcore2
import httpx2

from forebay.builtins.addresses import shown
from forebay.ports.http import Trust

from .failures import as_the_library_does
from .hops import check, core_url, port_of
from .pools import Pools


class PooledTransport(httpx2.AsyncBaseTransport):
    """Keeps the rules of one trust. Closing it closes no pool: others draw from them."""

    def __init__(self, pools: Pools, trust: Trust) -> None:
        self._pools = pools
        self._trust: Trust = trust

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it. Raises AddressRefused, Offline and what httpx2 raises."""
        check(request.url, self._trust)
        where = shown(request.url.host, port_of(request.url))
        seconds = _patience(request)
        with as_the_library_does(where, seconds):
            response = await self._pools.of(self._trust).handle_async_request(_lower(request))
        return httpx2.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, where, seconds),
        )


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response, where: str, seconds: float) -> None:
        self._response = response
        self._where = where
        self._seconds = seconds

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        with as_the_library_does(self._where, self._seconds, in_body=True):
            async for piece in cast(AsyncIterable[bytes], self._response.stream):
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


def _patience(request: httpx2.Request) -> float:
    waits = cast(dict[str, float | None], request.extensions.get("timeout", {}))
    return waits.get("read") or math.inf


def _lower(request: httpx2.Request) -> httpcore2.Request:
    return httpcore2.Request(
        request.method,
        core_url(request.url),
        headers=request.headers.raw,
        content=cast(AsyncIterable[bytes], request.stream),
        extensions=request.extensions,
    )
