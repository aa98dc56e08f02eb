"""Which web pages may use this server, and under which names it answers.

While there is no authentication, a page of another origin must not be able to drive a local
server: its `Origin` has to be our own or allowed, and on a loopback bind the `Host` has to be a
loopback name (a page could otherwise have its own name resolve to us).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from forebay.core.errors import ForeignHost, ForeignOrigin

from .asgi import Headers

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SEEN_NAMES = 256
_LONGEST_ORIGIN = 300


@dataclass(slots=True)
class OriginPolicy:
    """Decides from the `Host` and `Origin` headers."""

    allowed: Sequence[str] = ()
    check_origin: bool = True
    loopback_only: bool = False
    hosts: Sequence[str] = ()
    pattern: str = ""
    """A regular expression; a page whose whole origin matches it is allowed too."""
    _good_hosts: set[bytes] = field(default_factory=set[bytes])

    def check(self, headers: dict[bytes, bytes]) -> None:
        """Raises ForeignHost, ForeignOrigin."""
        host = headers.get(b"host", b"")
        if self.loopback_only and host not in self._good_hosts:
            self._check_host(host)
        origin = headers.get(b"origin")
        if origin is not None and self.check_origin and not self.allows(origin, host):
            raise ForeignOrigin

    def allows(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this origin may use us."""
        text = origin.decode("latin-1")
        if "*" in self.allowed or text in self.allowed or _netloc(text).encode() == host:
            return True
        is_short = len(text) <= _LONGEST_ORIGIN  # whoever asks has written it
        return is_short and bool(self.pattern) and re.fullmatch(self.pattern, text) is not None

    def cors(self, headers: dict[bytes, bytes]) -> Headers:
        """What a browser has to hear so that an allowed page may read our answer."""
        origin = headers.get(b"origin")
        if origin is None or not self.allows(origin, headers.get(b"host", b"")):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"location, x-request-id, x-run-id, retry-after"),
            (b"vary", b"origin"),
        ]

    def preflight(self, headers: dict[bytes, bytes]) -> Headers:
        """The same for the question a browser asks before."""
        return [
            *self.cors(headers),
            (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                headers.get(b"access-control-request-headers", b"content-type"),
            ),
            (b"access-control-max-age", b"600"),
        ]

    def _check_host(self, host: bytes) -> None:
        name = _hostname(host.decode("latin-1"))
        if host and name not in _LOOPBACK_NAMES and name not in self.hosts:
            raise ForeignHost(
                f"This server answers to loopback names only, not to {name!r}. "
                "Set FOREBAY_ALLOWED_HOSTS to allow another."
            )
        if len(self._good_hosts) < _SEEN_NAMES:
            self._good_hosts.add(host)


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # not a URL at all, such as `http://[`
        return origin


def _hostname(host: str) -> str | None:
    try:
        return urlsplit("//" + host).hostname
    except ValueError:
        return host
