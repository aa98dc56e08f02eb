"""Kept connections: one pool for each rule, so that what one caller may use no other one finds.

The runtime profile is asked for every call: going offline leaves the online pools where they are,
and nobody draws from them.
"""

import ssl

import httpcore2

from forebay.builtins.addresses import AllowedHosts, Resolver, Rule
from forebay.builtins.profile import Profile
from forebay.ports.http import Trust

from .dialling import Dialler

MOST_CONNECTIONS = 500
CONNECT_SECONDS = 5.0
_MOST_IDLE = 100
_IDLE_SECONDS = 60.0  # an agent thinks and calls tools between two calls of its model


class Pools:
    """The pools, made when they are first needed."""

    def __init__(
        self,
        profile: Profile,
        allowed: AllowedHosts,
        resolver: Resolver,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._profile = profile
        self._allowed = allowed
        self._resolver = resolver
        self._tls = tls
        self._pools: dict[tuple[Trust, bool], httpcore2.AsyncConnectionPool] = {}

    def of(self, trust: Trust) -> httpcore2.AsyncConnectionPool:
        """The pool to be used for a call now."""
        is_online = self._profile.is_online
        pool = self._pools.get((trust, is_online))
        if pool is None:
            rule = Rule(trust, is_online, self._allowed, self._profile.remedy)
            pool = self._pools[trust, is_online] = self._open(rule)
        return pool

    async def aclose(self) -> None:
        """Hang up everywhere."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    def _open(self, rule: Rule) -> httpcore2.AsyncConnectionPool:
        # HTTPS_PROXY and its like are not asked: a proxy looks names up itself, so that nobody
        # could tell where a call leads, and offline would not mean offline.
        self._tls = self._tls or httpcore2.default_ssl_context()
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=Dialler(rule, self._resolver),
        )
