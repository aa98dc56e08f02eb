"""Agents that only benchmarks need, served beside the built-in ones."""

import asyncio
import time
from collections.abc import AsyncGenerator

from forebay import Context, agent


@agent("ticks", description="Says what time it is, so many times and so often per second")
async def ticks(ctx: Context, count: int, per_second: int) -> AsyncGenerator[str]:
    """What a client compares with its own clock on the same machine."""
    del ctx
    for _ in range(count):
        await asyncio.sleep(1 / per_second)
        yield f"at={time.time_ns()} "
