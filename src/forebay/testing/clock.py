"""ManualClock: time that stands still until a test moves it."""

import asyncio

from forebay.core.clock import Millis

_START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class ManualClock:
    """A Clock that is moved by hand. Both clocks move together, unless one of them is set."""

    def __init__(self, now: int = _START, boot: int = 1_000_000) -> None:
        self._now = now
        self._boot = boot
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> Millis:
        """Wall clock time."""
        return Millis(self._now)

    def boot(self) -> Millis:
        """Time since this machine started."""
        return Millis(self._boot)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far. Not at all: let others have their turn."""
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251 -- this is the Clock
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._boot + seconds * 1000, woken)
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    @property
    def sleepers(self) -> int:
        """How many wait for the clock."""
        return len(self._sleepers)

    def set_now(self, now: int) -> None:
        """Set the wall clock alone, as an administrator or a time server does. Wakes nobody."""
        self._now = now

    def set_boot(self, boot: int) -> None:
        """Set the boot clock alone. Wakes those whose time has come."""
        self._boot = boot
        self._wake()

    def advance(self, seconds: float) -> None:
        """Let this much time pass, and wake those whose time has come, the earliest first."""
        self._now += round(seconds * 1000)
        self._boot += round(seconds * 1000)
        self._wake()

    def _wake(self) -> None:
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._boot]
        for sleeper in sorted(due, key=lambda each: each[0]):
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)
