"""What went wrong, in our words. A message names the host and what to try.

Never a header, a query or anything else of the request: it may hold a key. For the same reason the
library's own words about what it could not send or read are left out.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager

import httpcore2
import httpx2

from forebay.core.errors import HttpError, TookTooLong, Unreachable

from .connection import Unanswered, Unconnected
from .dialling import NameUnknown
from .pools import CONNECT_SECONDS, MOST_CONNECTIONS

FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
)
"""What the library raises."""


def typed(error: Exception, where: str, seconds: float, *, in_body: bool = False) -> HttpError:
    """The error for one that the library raised while it called this host."""
    match error:
        case httpcore2.TimeoutException():
            return TookTooLong(_slow(error, where, seconds))
        case httpcore2.LocalProtocolError():
            return HttpError(
                f"The request for {where} cannot be sent: its method or a header has a character "
                f"that is not allowed there. Is there a line break in a key?"
            )
        case Unconnected():
            return Unreachable(_unconnected(error, where))
        case _:
            return Unreachable(f"{where} {_broken(error, in_body=in_body)}")


def _broken(error: Exception, *, in_body: bool) -> str:
    if in_body:
        return "stopped in the middle of its answer."
    if isinstance(error, Unanswered):
        return "closed the connection without an answer."
    return "does not answer in HTTP: check the port, and http or https."


def _slow(error: httpcore2.TimeoutException, where: str, seconds: float) -> str:
    match error:
        case httpcore2.PoolTimeout():
            return (
                f"{where} was not called: all {MOST_CONNECTIONS} connections were in use "
                f"for {seconds:g} seconds."
            )
        case httpcore2.ConnectTimeout():
            return (
                f"{where} could not be connected within {min(seconds, CONNECT_SECONDS):g} "
                f"seconds: check the address, and the network."
            )
        case _:
            return f"{where} sent nothing for {seconds:g} seconds."


def _unconnected(error: Unconnected, where: str) -> str:
    if isinstance(error, NameUnknown):
        return f"Nobody knows where {where} is: check the name, and this machine's DNS."
    match error.reason:
        case ssl.SSLCertVerificationError(verify_message=reason):
            return (
                f"The certificate of {where} is not accepted: {reason}. If a private authority "
                f"signed it, name its file by SSL_CERT_FILE."
            )
        case ssl.SSLError():
            return f"{where} does not speak TLS as expected: check the port, and http or https."
        case ConnectionRefusedError():
            return f"{where} refuses connections: is the server running?"
        case _:
            reason = getattr(error.reason, "strerror", None) or "no connection could be made"
            return f"{where} cannot be reached ({reason}): check the address, and the network."


_LIBRARY_ERRORS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (httpcore2.ConnectTimeout, httpx2.ConnectTimeout),
    (httpcore2.ReadTimeout, httpx2.ReadTimeout),
    (httpcore2.WriteTimeout, httpx2.WriteTimeout),
    (httpcore2.PoolTimeout, httpx2.PoolTimeout),
    (httpcore2.ConnectError, httpx2.ConnectError),
    (httpcore2.ReadError, httpx2.ReadError),
    (httpcore2.WriteError, httpx2.WriteError),
    (httpcore2.LocalProtocolError, httpx2.LocalProtocolError),
    (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError),
    (httpcore2.UnsupportedProtocol, httpx2.UnsupportedProtocol),
)


@contextmanager
def as_the_library_does(where: str, seconds: float, *, in_body: bool = False) -> Generator[None]:
    """Raise what httpx2 would raise, with our message."""
    try:
        yield
    except FAILURES as error:
        kind = next(theirs for ours, theirs in _LIBRARY_ERRORS if isinstance(error, ours))
        raise kind(typed(error, where, seconds, in_body=in_body).message) from None
