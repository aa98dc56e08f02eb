"""Time: the wall clock for people, the boot clock for leases. Everything else takes a Clock.

A lease must not move when somebody sets the wall clock, and must run out while a laptop sleeps:
it is counted on a clock that starts at boot and keeps running, together with the name of that boot.
"""

import asyncio
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NewType, Protocol

Millis = NewType("Millis", int)
"""Milliseconds since 1970 (wall clock) or since boot (boot clock)."""


class Clock(Protocol):
    """Where the product takes its time from; tests bring one that they move by hand."""

    def now(self) -> Millis:
        """Wall clock time."""
        ...

    def boot(self) -> Millis:
        """Time since this machine started, sleep included."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, on the same clock."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> Millis:
        return Millis(time.time_ns() // 1_000_000)

    def boot(self) -> Millis:
        return Millis(time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# Linux has a clock that counts sleep; on macOS the raw monotonic clock does.
_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC_RAW


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Name this boot of this machine: a lease taken in another boot has run out."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip().replace("-", "")
    started = time.time() - time.clock_gettime(_BOOT_CLOCK)
    return f"t{round(started / 10)}"  # ten seconds of grace for a wall clock that is corrected


@lru_cache(maxsize=64)
def rfc3339(at: Millis) -> str:
    """Render a wall clock time the way every JSON client reads it."""
    return f"{_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
