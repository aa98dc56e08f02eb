"""Connecting: a host is looked up once, every address is checked, and a checked one is connected.

TLS and the Host header keep the name of the URL; a name that leads elsewhere a moment later, as
attackers' names do, makes no difference.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest

import httpcore2

from forebay.builtins.addresses import Address, Resolver, Rule

from .connection import Connection, Unconnected

_STAGGER_SECONDS = 0.25  # RFC 8305: how long an address may take before the next one is tried too


class NameUnknown(Unconnected):
    """Nobody knows where the host is."""


class SystemResolver:
    """The resolver of this machine."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Its addresses, those of both families in turns."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        families: dict[int, list[str]] = {}
        for family, _, _, _, address in found:
            families.setdefault(family, []).append(str(address[0]))
        return [each for each in chain(*zip_longest(*families.values())) if each]


class Dialler(httpcore2.AsyncNetworkBackend):
    """Makes the connections of one pool."""

    def __init__(self, rule: Rule, resolver: Resolver) -> None:
        self._rule = rule
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the library's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect. Raises AddressRefused, Offline, Unconnected, httpcore2.ConnectTimeout."""
        self._rule.check_name(host, port)
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                self._rule.check_addresses(host, port, addresses)
                return await _first([str(each) for each in addresses], port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except OSError as error:
            raise Unconnected(error) from error

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            found = await self._resolver.resolve(host, port)
            addresses = [ip_address(each) for each in found]
        except (OSError, ValueError) as error:  # ValueError: no name that could be looked up
            if not self._rule.is_online:
                raise self._rule.offline(host, port) from error
            raise NameUnknown(error) from error
        if not addresses:
            raise NameUnknown(OSError("no address"))
        return addresses


async def _first(addresses: Sequence[str], port: int) -> Connection:
    """Connect to the address that answers first. Raises OSError if none does."""
    if len(addresses) == 1:
        return await _dial(addresses[0], port)
    tasks: list[asyncio.Task[Connection | OSError]] = []
    winner: Connection | None = None
    try:
        winner = await _race(addresses, port, tasks)
        return winner
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Connection) and outcome is not winner:
                await outcome.aclose()


async def _race(
    addresses: Sequence[str], port: int, tasks: list[asyncio.Task[Connection | OSError]]
) -> Connection:
    rest = deque(addresses)
    running: set[asyncio.Task[Connection | OSError]] = set()
    failure = OSError("no address")
    while rest or running:
        if rest:
            task = asyncio.create_task(_attempt(rest.popleft(), port))
            tasks.append(task)
            running.add(task)
        done, running = await asyncio.wait(
            running,
            timeout=_STAGGER_SECONDS if rest else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for outcome in (task.result() for task in done):
            if isinstance(outcome, Connection):
                return outcome
            failure = outcome
    raise failure


async def _attempt(address: str, port: int) -> Connection | OSError:
    try:
        return await _dial(address, port)
    except OSError as error:
        return error


async def _dial(address: str, port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, address, port)
    return connection
