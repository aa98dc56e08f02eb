"""The agents of the drills. Their steps leave a line in a file each time they are executed.

What they say depends on their input alone; how long they take, and in which order branches come,
on chance that no journal knows.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from itertools import repeat
from pathlib import Path
from random import SystemRandom

from forebay import Context, agent
from forebay.ports.agent import BlockingContext

from .effects import Effect, happen

_MEASURED = 2_000_000
_NOVEL_PAGE = 50

_chance = SystemRandom()


@agent("interview")
async def interview(ctx: Context, name: str) -> AsyncGenerator[str]:
    """Says something, asks, and says something else."""
    yield f"Looking for {name}. "
    yield await ctx.step("look up", _work(ctx, "look up", f"{name} is known. "))
    answer = await ctx.ask(f"Are you {name}?")
    yield f"You said: {answer}. "
    yield await ctx.step("write down", _work(ctx, "write down", "Written down. "))
    for part in range(5):
        await _pause(0.1)
        yield f"{part} "


@agent("crowd")
async def crowd(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Uses many tools at once, which are ready in another order each time."""

    async def use(number: int) -> str:
        await _pause(0.3)
        name = f"tool-{number}"
        return await ctx.tool(name, _work(ctx, name, f"<{number}>", says=f"busy {number} "), number)

    yield "All at once: "
    for found in await asyncio.gather(*map(use, range(plan["tools"]))):
        yield found


@agent("nested")
async def nested(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Branches that say something at the same time, with steps inside steps."""

    async def part(number: int) -> str:
        async def outer() -> str:
            _happen(ctx, f"outer-{number}")
            ctx.say(f"outer {number} begins ")
            found = [
                await ctx.step(name, _work(ctx, name, f"{name} ", says=f"in {name} "))
                for name in (f"inner-{number}-1", f"inner-{number}-2")
            ]
            await _pause(0.1)
            ctx.say(f"outer {number} ends ")
            return "".join(found)

        with ctx.scope(f"part-{number}"):
            ctx.say(f"part {number} begins ")
            await _pause(0.2)
            found = await ctx.step(f"outer-{number}", outer)
            ctx.say(f"part {number} ends ")
        return found

    for found in await asyncio.gather(*map(part, range(plan["parts"]))):
        yield found


@agent("talker")
async def talker(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Has no steps at all."""
    del ctx
    for number in range(plan["chunks"]):
        await _pause(0.12)
        yield f"{number} "


@agent("novel")
async def novel(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Says very much."""
    del ctx
    for number in range(plan["chunks"]):
        if number % _NOVEL_PAGE == 0:
            await _pause(0.1)
        yield f"word {number} "


@agent("hoarder")
async def hoarder(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Has a result that is too large for the log, and has to be found when the run is resumed."""
    large = await ctx.step("gather", _work(ctx, "gather", "x" * 1024 * plan["kilobytes"]))
    yield f"Gathered {len(large)}. "
    for part in range(8):
        await _pause(0.15)
        yield f"{part} "


@agent("moody")
async def moody(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Says something else in each attempt."""
    for number in range(plan["chunks"]):
        await _pause(0.15)
        yield f"{number}@{ctx.attempt} "


@agent("drawer")
async def drawer(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Says what it has drawn, which has to be the same in each attempt."""
    for number in range(plan["draws"]):
        yield f"{ctx.uuid()} {ctx.random()} "
        name = f"draw-{number}"
        yield await ctx.step(name, _work(ctx, name, f"after {number} "))


@agent("stubborn")
async def stubborn(ctx: Context, plan: dict[str, int]) -> AsyncGenerator[str]:
    """Has a step that fails at first, whoever tries it."""
    yield "Trying. "
    failures = plan["failures"]

    async def unwilling() -> str:
        _happen(ctx, "unwilling")
        ctx.say("trying again ")
        await _pause(0.1)
        if _tries(ctx) <= failures:
            raise ConnectionError("not yet")
        return "It worked. "

    yield await ctx.step("unwilling", unwilling, retries=failures + 1, backoff_seconds=0.05)
    yield await ctx.step("after", _work(ctx, "after", "Done. "))


@agent("reader")
def reader(ctx: BlockingContext, plan: dict[str, int]) -> Generator[str]:
    """Blocks a thread."""
    for number in range(plan["chunks"]):
        time.sleep(_chance.uniform(0, 0.15))
        yield f"{number} "
        if number % 4 == 0:
            name = f"read-{number}"

            def read(name: str) -> str:
                _happen(ctx, name)
                return f"{name} "

            yield ctx.step(name, read, name)


@agent("holding")
async def holding(ctx: Context, plan: dict[str, float]) -> AsyncGenerator[str]:
    """Has a step that lets nobody else in its process do anything."""
    yield "Holding. "

    def hold(seconds: float) -> str:
        _happen(ctx, "hold")
        _keep_lock(seconds)
        return "Held. "

    yield await ctx.step("hold", hold, plan["seconds"])


# --- steps --------------------------------------------------------------------------------------


def _work(ctx: Context, name: str, result: str, *, says: str = "") -> Callable[..., Awaitable[str]]:
    """A step that counts, takes a while, and says something meanwhile."""

    async def work(*_: object) -> str:
        _happen(ctx, name)
        if says:
            ctx.say(says)
        await _pause(0.15)
        return result

    return work


def _happen(ctx: Context | BlockingContext, name: str) -> None:
    effect = Effect(ctx.run_id, ctx.attempt, name, ctx.idempotency_key)
    happen(str(ctx.metadata["effects"]), effect)


def _tries(ctx: Context) -> int:
    """How often this was called for this run, by whomever."""
    counter = Path(f"{ctx.metadata['effects']}.{ctx.run_id}")
    with counter.open("ab") as file:
        file.write(b".")
        file.flush()
        return os.fstat(file.fileno()).st_size


async def _pause(longest: float) -> None:
    await asyncio.sleep(_chance.uniform(0, longest))


def _keep_lock(seconds: float) -> None:
    """Let no other thread of this process run: nothing in these loops gives up the lock."""
    began = time.perf_counter()
    deque(repeat(None, _MEASURED), maxlen=0)
    each = (time.perf_counter() - began) / _MEASURED
    deque(repeat(None, int(seconds / each)), maxlen=0)
