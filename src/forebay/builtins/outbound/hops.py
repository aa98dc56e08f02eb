"""One request on the wire, and the next one after a redirect.

Where a redirect leads has to be public, whoever wrote the first URL. What tells who calls stays
with the server it was meant for.
"""

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import httpcore2
import httpx2
import msgspec

from forebay.builtins.addresses import shown
from forebay.core.errors import AddressRefused
from forebay.ports.http import HttpRequest, Trust

from .pools import CONNECT_SECONDS

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OURS = frozenset({"host", "content-length", "transfer-encoding"})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language"})
_TOLD_ANYBODY = _OF_THE_BODY | {
    "accept", "accept-encoding", "accept-language", "cache-control", "user-agent",
}  # fmt: skip
"""The headers that may go to another origin. A list of those that may not would never be whole."""


class Hop(msgspec.Struct, frozen=True):
    """A request to one server."""

    url: httpx2.URL
    trust: Trust
    method: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @classmethod
    def first(cls, request: HttpRequest, defaults: Mapping[str, str]) -> "Hop":
        """The hop that a call begins with. Raises AddressRefused."""
        url = _checked(request.url, None, request.trust)
        headers = dict(defaults)
        if url.userinfo:
            headers["authorization"] = _basic(url.userinfo)
            url = url.copy_with(userinfo=b"")
        headers |= {name.lower(): value for name, value in request.headers.items()}
        return cls(url, request.trust, request.method.upper(), headers, request.body)

    @property
    def where(self) -> str:
        """The host, as messages name it."""
        return shown(self.url.host, port_of(self.url))

    def wire(self, seconds: float) -> httpcore2.Request:
        """The request as the library takes it."""
        headers = {"host": _host(self.url)}
        headers |= {name: value for name, value in self.headers.items() if name not in _OURS}
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(self.body))
        waits = {"read": seconds, "write": seconds, "pool": seconds}
        waits["connect"] = min(seconds, CONNECT_SECONDS)
        return httpcore2.Request(
            self.method,
            core_url(self.url),
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=self.body,
            extensions={"timeout": waits},
        )

    def after(self, status: int, location: str | None) -> "Hop | None":
        """Where this answer leads to, None if nowhere. Raises AddressRefused."""
        if status not in _REDIRECTS or location is None:
            return None
        url = _checked(location, self.url, "public")
        method, headers, body = self.method, self.headers, self.body
        is_see_other = status == 303 and method != "HEAD"
        if is_see_other or (status in (301, 302) and method == "POST"):
            method, body = "GET", b""
            headers = {name: headers[name] for name in headers.keys() - _OF_THE_BODY}
        if _origin(url) != _origin(self.url):
            headers = {name: headers[name] for name in headers.keys() & _TOLD_ANYBODY}
        return Hop(url, "public", method, headers, body)


def core_url(url: httpx2.URL) -> httpcore2.URL:
    """A URL as the library's lower half takes it."""
    return httpcore2.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def port_of(url: httpx2.URL) -> int:
    """The port that a URL names or means."""
    return url.port or _PORTS[url.scheme]


def check(url: httpx2.URL, trust: Trust) -> None:
    """Whether it is a URL of a server at all. Raises AddressRefused."""
    if url.scheme not in _PORTS or not url.host or not 0 < (url.port or 80) < 65536:
        raise AddressRefused("Only http and https URLs of servers can be called.")
    if url.userinfo and trust == "public":
        raise AddressRefused(f"The URL for {url.host} has a user in it, which only operators may.")


def _checked(text: str, base: httpx2.URL | None, trust: Trust) -> httpx2.URL:
    try:
        url = base.join(text) if base else httpx2.URL(text)
    except httpx2.InvalidURL:
        raise AddressRefused("What was to be called is not a URL.") from None
    check(url, trust)
    if base and (base.scheme, url.scheme) == ("https", "http"):
        raise AddressRefused(f"{base.host} leads from https to http, which is not followed.")
    return url


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, port_of(url)


def _host(url: httpx2.URL) -> str:
    is_default = port_of(url) == _PORTS[url.scheme]
    return (url.copy_with(port=None) if is_default else url).netloc.decode()


def _basic(userinfo: bytes) -> str:
    return f"Basic {b64encode(unquote_to_bytes(userinfo)).decode()}"
