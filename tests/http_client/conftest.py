"""Clients that are closed when their test ends."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Protocol

import pytest

from forebay.builtins.addresses import Resolver
from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import Profile, RuntimeProfile
from forebay.core.clock import Clock, SystemClock
from forebay.testing.clock import ManualClock
from tests.support.strict import no_task_dies_unheard

__all__ = ["no_task_dies_unheard"]


class MakeClient(Protocol):
    """Makes clients."""

    def __call__(
        self,
        *,
        clock: Clock | None = None,
        profile: Profile | None = None,
        allowed: Iterable[str] = (),
        resolver: Resolver | None = None,
        chance: Callable[[], float] = ...,
    ) -> OutboundHttp: ...


@pytest.fixture
async def make_client() -> AsyncGenerator[MakeClient]:
    clients: list[OutboundHttp] = []

    def make(
        *,
        clock: Clock | None = None,
        profile: Profile | None = None,
        allowed: Iterable[str] = (),
        resolver: Resolver | None = None,
        chance: Callable[[], float] = lambda: 1.0,
    ) -> OutboundHttp:
        client = OutboundHttp(
            clock or SystemClock(),
            profile=profile or RuntimeProfile(),
            allowed_hosts=allowed,
            resolver=resolver,
            chance=chance,
        )
        clients.append(client)
        return client

    yield make
    for each in clients:
        await each.aclose()


@pytest.fixture
def client(make_client: MakeClient) -> OutboundHttp:
    return make_client()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
