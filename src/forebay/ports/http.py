"""HttpClient: the one way out. It keeps the runtime profile and the rules about addresses."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

import msgspec

Trust: TypeAlias = Literal["operator", "public"]
"""Who wrote a URL. The operator's (configuration, admin API) may name any host; one from a request,
a model, a document or a redirect has to be public, unless its host is allowed by name."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One outbound call."""

    url: str
    trust: Trust
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    timeout_seconds: float = 60.0
    """How long to wait for the next bytes of the answer, its head included."""
    retries: int = 0
    """How often to try again what was refused for now (429, 502, 503, 504; not if Retry-After asks
    for more than 20 seconds), or never got through. A method that changes something is not sent
    again once the other side may have read it."""
    redirects: int = 0
    """How many redirects to follow. What they lead to has to be public, whoever wrote the URL, and
    another origin hears no credentials. More of them are Unreachable; at 0, they are answers."""
    max_bytes: int | None = None
    """How large the body of the answer may be, unpacked."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    url: str
    """Where it came from, after redirects, without the user of the URL."""


class HttpStream(Protocol):
    """An answer whose body comes bit by bit."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, unpacked, as it comes. Raises Unreachable, TookTooLong, AnswerTooLarge."""
        ...

    async def read(self) -> bytes:
        """The rest of the body. Raises as iterating does."""
        ...


class HttpClient(Protocol):
    """Calls other servers."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Call, and read the whole answer.

        Raises Unreachable, TookTooLong, AddressRefused, Offline, AnswerTooLarge, and HttpError for
        a request that cannot be sent at all. Messages name the host, and nothing else of the URL.
        """
        ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Call, and hand out the answer as soon as its head is there. Raises as `send` does."""
        ...

    async def aclose(self) -> None:
        """Let go of every connection."""
        ...
