"""Waiting in tests: on conditions, with a bound, and without the wall clock."""

import asyncio
from collections.abc import Callable

from forebay.testing.clock import ManualClock

from .asgi import PATIENCE_SECONDS

_SETTLE_TURNS = 50


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody have their turn until a condition holds. Fails if it never does."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 -- conditions of any kind
            await asyncio.sleep(0.001)


async def settle() -> None:
    """Let everybody who can go on have many turns on the event loop."""
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)


async def pass_time(clock: ManualClock, seconds: float, *, step: float = 1.0) -> None:
    """Let time pass in small steps, as it does on a machine that stays awake."""
    passed = 0.0
    while passed < seconds:
        clock.advance(min(step, seconds - passed))
        passed += step
        await settle()


async def pass_time_until(
    clock: ManualClock, condition: Callable[[], bool], *, step: float = 0.5
) -> None:
    """Let time pass until a condition holds. Fails if it never does."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            clock.advance(step)
            await asyncio.sleep(0.001)


class Gate:
    """Something an agent waits at until the test lets it pass."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._reached = asyncio.Event()

    async def passed(self) -> None:
        """Wait until the gate is open."""
        self._reached.set()
        await self._open.wait()

    async def reached(self) -> None:
        """Wait until somebody stands at the gate."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._reached.wait()

    def open(self) -> None:
        """Let everybody pass, from now on."""
        self._open.set()
