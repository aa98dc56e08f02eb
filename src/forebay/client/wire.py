"""What both clients do to httpx2 in the same way: calls in, answers and failures out."""

from typing import TypedDict
from urllib.parse import urlsplit

import httpx2

from .errors import ClientError, Unreachable
from .exchange import Call, Reply
from .following import Following
from .patience import Patience

_DEFAULT_URL = "http://127.0.0.1:8000"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 45.0  # a server that lives says something every 15 s
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class _Options(TypedDict):
    base_url: str
    headers: dict[str, str]
    timeout: httpx2.Timeout
    limits: httpx2.Limits
    trust_env: bool


class _Request(TypedDict):
    method: str
    url: str
    params: dict[str, str]
    headers: dict[str, str]
    content: bytes | None


class Wire:
    """How one client speaks to its server."""

    def __init__(self, url: str | None, token: str | None, patience_seconds: float) -> None:
        self._url = (url or _DEFAULT_URL).rstrip("/")
        if urlsplit(self._url).scheme not in ("http", "https"):
            raise ClientError(f"{self._url!r} is no URL of a server, such as {_DEFAULT_URL}.")
        self._token = token
        self._patience_seconds = patience_seconds

    def options(self) -> _Options:
        """What an httpx2 client is made with."""
        headers = {"user-agent": "forebay-client"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return {
            "base_url": self._url,
            "headers": headers,
            "timeout": httpx2.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            # A proxy that the environment names does not lead to this machine itself.
            "trust_env": urlsplit(self._url).hostname not in _LOOPBACK,
        }

    def patience(self) -> Patience:
        """The patience of one call."""
        return Patience(self._patience_seconds)

    def request(self, call: Call[object]) -> _Request:
        """How a call is sent."""
        return {
            "method": call.method,
            "url": call.path,
            "params": dict(call.query),
            "headers": dict(call.headers),
            "content": call.body,
        }

    def question(self, following: Following) -> _Request:
        """How a follower asks for what it has not seen."""
        asked = following.question()
        return {
            "method": "GET",
            "url": asked.path,
            "params": asked.query,
            "headers": asked.headers,
            "content": None,
        }

    def failure(self, error: httpx2.TransportError) -> Unreachable:
        """A lost connection, in our words."""
        reason = str(error) or type(error).__name__
        was_sent = not isinstance(error, _NOT_SENT)
        return Unreachable(f"{self._url} cannot be reached: {reason}.", was_sent=was_sent)


def reply_of(response: httpx2.Response) -> Reply:
    """An answer whose body was read."""
    after = response.headers.get("retry-after", "")
    seconds = float(after) if after.isascii() and after.isdigit() else None
    return Reply(response.status_code, response.content, seconds)


def head_of(response: httpx2.Response) -> tuple[int, str]:
    """An answer's status, and what it says its body is."""
    return response.status_code, response.headers.get("content-type", "")
