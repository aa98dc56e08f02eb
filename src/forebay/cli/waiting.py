"""Waiting for one of several events."""

import asyncio
from contextlib import suppress


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    if any(event.is_set() for event in events):
        return
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def within(seconds: float, *events: asyncio.Event) -> bool:
    """Wait until one of these is set, but not longer; tells whether one is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await first_of(*events)
    return any(event.is_set() for event in events)
