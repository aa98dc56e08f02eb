"""Taking the port, before anything else: who comes early waits instead of being turned away."""

import errno
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

from .outcome import USAGE, Refusal

_BACKLOG = 2048
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
_NOT_ON_THIS_MACHINE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listening(NamedTuple):
    """Sockets that accept connections."""

    sockets: Sequence[socket.socket]
    host: str

    @property
    def port(self) -> int:
        return self.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Where a client on this machine finds the server."""
        return url_of(self.host, self.port)


def listen(host: str, port: int) -> Listening:
    """Take the port on every address the host has. Raises Refusal."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise _refusal(f"The host {host!r} has no address: {error.strerror}.") from error
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bind(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno in _NOT_ON_THIS_MACHINE and len(found) > 1:
                continue
            for bound in sockets:
                bound.close()
            raise _refusal(_reason(error, host, port)) from error
        port = sockets[0].getsockname()[1]  # with port 0, the others take what the first one got
    if not sockets:
        raise _refusal(f"The host {host!r} has no address on this machine.")
    return Listening(sockets, host)


def inherited(descriptors: Sequence[int], host: str) -> Listening:
    """The sockets that a parent process has bound. They go to no other process."""
    for each in descriptors:
        os.set_inheritable(each, False)
    return Listening([socket.socket(fileno=each) for each in descriptors], host)


def url_of(host: str, port: int) -> str:
    """The URL for a client on this machine of a server that listens there."""
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` is all addresses of this machine; beside another socket only those of IPv6.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        bound.bind(address)
        bound.listen(_BACKLOG)  # only now is the port taken: two may bind it, but one may listen
    except OSError:
        bound.close()
        raise
    return bound


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Stop what uses it, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved. Choose one from 1024 on with --port."
    return f"{host}:{port} cannot be listened on: {error.strerror}."


def _refusal(message: str) -> Refusal:
    return Refusal(message, "address_unavailable", USAGE)
