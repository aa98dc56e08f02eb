"""The outbound HTTP client. Every call asks the runtime profile and keeps the rules of addresses.

The HTTP library is imported at the first call, not before.
"""

import random
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from forebay.core.clock import Clock
from forebay.ports.http import HttpAnswer, HttpRequest, HttpStream, Trust

from .addresses import AllowedHosts, Resolver
from .profile import Profile

if TYPE_CHECKING:
    import httpx2

    from .outbound.calls import Caller
    from .outbound.pools import Pools


class OutboundHttp:
    """Implements ports.http.HttpClient. Raises SettingError for an allowed host that is none."""

    def __init__(
        self,
        clock: Clock,
        *,
        profile: Profile,
        allowed_hosts: Iterable[str] = (),
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._profile = profile
        self._allowed = AllowedHosts.read(allowed_hosts)
        self._resolver = resolver
        self._tls = tls
        self._chance = chance
        self._pools: Pools | None = None
        self._caller: Caller | None = None

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Call, and read the whole answer. Raises as the port says."""
        answer = await self._calls().open(request, encodings="gzip, deflate")
        try:
            body = await answer.read()
        finally:
            await answer.aclose()
        return HttpAnswer(answer.status, answer.headers, body, answer.url)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[HttpStream]:
        """Call, and hand out the answer as soon as its head is there. Raises as the port says."""
        # Whoever packs a stream holds pieces back until they are worth packing.
        answer = await self._calls().open(request, encodings="identity")
        try:
            yield answer
        finally:
            await answer.aclose()

    def raw_client(
        self,
        *,
        trust: Trust,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> "httpx2.AsyncClient":
        """A client for libraries that want their own: the same rules, no redirects, no retries.

        Whoever asks for it closes it. Calls through it raise AddressRefused and Offline, and what
        httpx2 raises.
        """
        import httpx2

        from .outbound.pools import CONNECT_SECONDS
        from .outbound.raw import PooledTransport

        return httpx2.AsyncClient(
            transport=PooledTransport(self._kept(), trust),
            headers={"user-agent": _agent(), **(headers or {})},
            timeout=httpx2.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Let go of every connection."""
        if self._pools is not None:
            await self._pools.aclose()

    def _calls(self) -> "Caller":
        if self._caller is None:
            from .outbound.calls import Caller

            self._caller = Caller(self._kept(), self._clock, self._chance, _agent())
        return self._caller

    def _kept(self) -> "Pools":
        if self._pools is None:
            from .outbound.dialling import SystemResolver
            from .outbound.pools import Pools

            resolver = self._resolver or SystemResolver()
            self._pools = Pools(self._profile, self._allowed, resolver, self._tls)
        return self._pools


def _agent() -> str:
    return f"forebay/{metadata.version('forebay')}"
