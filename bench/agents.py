"""Agents that only benchmarks need, served beside the built-in ones."""

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

from forebay import Context, agent

SERVED = {"FOREBAY_AGENTS": str(Path(__file__)), "FOREBAY_DEFAULT_AGENT": "echo"}
"""The settings with which a server knows these agents."""


@agent("ticks", description="Says what time it is, so many times and so often per second")
async def ticks(ctx: Context, count: int, per_second: int) -> AsyncGenerator[str]:
    """What a client compares with its own clock on the same machine."""
    del ctx
    for _ in range(count):
        await asyncio.sleep(1 / per_second)
        yield f"at={time.time_ns()} "


@agent("clock", description="Says what time it was when it was called")
async def clock() -> AsyncGenerator[str]:
    """What a client compares with the time at which it asked for this run."""
    yield f"at={time.time_ns()} "


@agent("nothing", description="Says nothing")
async def nothing() -> None:
    """A run that costs what every run costs."""


@agent("naps", description="Sleeps so many times for so many milliseconds")
async def naps(times: int, milliseconds: int) -> None:
    """A run that mostly waits for others."""
    for _ in range(times):
        await asyncio.sleep(milliseconds / 1000)


@agent("walk", description="Waits, then takes so many steps that do nothing")
async def walk(ctx: Context, sleep: int, steps: int) -> None:
    """What the journal costs. It waits first, so that nothing else is under way when it walks."""
    await asyncio.sleep(sleep / 1000)
    for number in range(steps):
        await ctx.step("walk", _put_one_foot_forward, number)


async def _put_one_foot_forward(number: int) -> int:
    return number


@agent(
    "raw_model", description="Streams a reply with the plain HTTP library, and counts its pieces"
)
async def raw_model(url: str) -> int:
    """What a model call costs without us: read lines, decode, look at the piece."""
    import httpx2  # noqa: PLC0415 -- other rows measure what is imported

    count = 0
    body = {"model": "bench", "messages": [{"role": "user", "content": "go"}], "stream": True}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", f"{url}/chat/completions", json=body, timeout=60) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                choices = msgspec.json.decode(line[6:])["choices"]
                count += bool(choices and choices[0]["delta"].get("content"))
    return count


@agent("model", description="Asks the configured model")
async def model(ctx: Context) -> None:
    """What a model call costs through `ctx`; its pieces are the answer."""
    await ctx.chat("go", say=True)
