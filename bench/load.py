"""The load client: jobs that run in a process of their own, bounded in count and time."""

import asyncio
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from .connection import (
    LONGEST_SECONDS,
    Ask,
    Connection,
    Target,
    WrongAnswer,
    all_finished,
    answer_of,
    ask,
    connect,
)
from .measure import Load, read
from .native import events_ask, id_in, metrics, succeeded

_APART_SECONDS = 0.003
_UNFINISHED = (b'"status":"submitted"', b'"status":"running"')
_TOLD_TIME = re.compile(rb'"text":"at=(\d+) "')


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How, and for how long, the same request is asked again and again."""

    connections: int
    seconds: float = LONGEST_SECONDS
    count: int | None = None
    drained: bool = False
    """Whether the CPU is read only when every finished light run is in the database."""
    awake: bool = True
    """Whether the client never sleeps. Waking it up would be charged to the server, and most to a
    slow one, whose client sleeps most."""


async def repeat(target: Target, asked: Ask, pressure: Pressure) -> Load:
    """Ask again and again, for a time or until so many were answered."""
    answered = 0
    sent = 0
    callers = await connect(target, pressure.connections)
    until = time.perf_counter() + pressure.seconds

    def go_on(caller: Connection) -> None:
        nonlocal sent
        if (pressure.count is None or sent < pressure.count) and time.perf_counter() < until:
            sent += 1
            caller.send(asked)
        else:
            caller.close()

    def answered_by(caller: Connection) -> Callable[[], None]:
        def on_answer() -> None:
            nonlocal answered
            answered += 1
            go_on(caller)

        return on_answer

    before = read(target.pid)
    with awake() if pressure.awake else nullcontext():
        for caller in callers:
            caller.on_answer = answered_by(caller)
            go_on(caller)
        await all_finished(callers)
    wall = time.perf_counter() - before.wall
    if pressure.drained:
        await _drained(target)
    used = read(target.pid).since(before)._replace(wall=wall)
    return Load(answered, used, sum(caller.frames for caller in callers))


@contextmanager
def awake() -> Generator[None]:
    """Do not let this process sleep."""
    loop = asyncio.get_running_loop()
    over = False

    def again() -> None:
        if not over:
            loop.call_soon(again)

    again()
    try:
        yield
    finally:
        over = True


async def _drained(target: Target) -> None:
    # Twice: a batch that is being written has left the backlog already.
    empty = 0
    async with asyncio.timeout(LONGEST_SECONDS):
        while empty < 2:
            told = await metrics(target)
            if told["forebay_log_dropped_total"]:
                raise WrongAnswer("light runs were dropped: nothing of this would be comparable")
            empty = empty + 1 if told["forebay_log_backlog"] == 0 else 0
            await asyncio.sleep(0.02)


async def paced(target: Target, asked: Ask, *, streams: int, lead: float, seconds: float) -> Load:
    """Open streams that go on for longer than this, and measure while all of them flow."""
    callers = await connect(target, streams)
    for caller in callers:
        caller.send(asked)
        await asyncio.sleep(_APART_SECONDS)  # or all of them would speak in the same millisecond
    await asyncio.gather(*[caller.started for caller in callers])
    await asyncio.sleep(lead)
    before, frames = read(target.pid), sum(caller.frames for caller in callers)
    await asyncio.sleep(seconds)
    used = read(target.pid).since(before)
    measured = sum(caller.frames for caller in callers) - frames
    if any(caller.finished.done() for caller in callers):
        raise WrongAnswer("a stream ended before the measurement did")
    await all_finished(callers)
    return Load(measured, used, sum(caller.frames for caller in callers))


async def follow_background_run(
    target: Target, body: Mapping[str, object], *, frames: int
) -> tuple[Load, dict[str, float]]:
    """Start a durable run that sleeps first, attach one client, and measure until its last entry.

    Also tells by how much the server's own counters rose.
    """
    started = await answer_of(
        target, ask("POST", "/api/runs", {**body, "mode": "background"}, status=202)
    )
    path = f"/api/runs/{id_in(started)}/events"
    counters = await metrics(target)
    (follower,) = await connect(target)
    follower.send(events_ask(path, frames=frames))
    await follower.started
    before = read(target.pid)
    if follower.frames > 2:
        raise WrongAnswer("the client attached too late: the run had begun to speak")
    await all_finished([follower])
    used = read(target.pid).since(before)
    after = await metrics(target)
    rose = {name: value - counters.get(name, 0.0) for name, value in after.items()}
    return Load(frames, used, follower.frames), rose


async def produce(target: Target, body: Mapping[str, object]) -> str:
    """Run in the background until the end; returns the path of the run's events."""
    started = await answer_of(
        target, ask("POST", "/api/runs", {**body, "mode": "background"}, status=202)
    )
    path = f"/api/runs/{id_in(started)}"
    async with asyncio.timeout(LONGEST_SECONDS):
        told = await answer_of(target, ask("GET", path))
        while any(status in told for status in _UNFINISHED):
            await asyncio.sleep(0.1)
            told = await answer_of(target, ask("GET", path))
    if b'"status":"success"' not in told:
        raise WrongAnswer(f"the run did not succeed: {told[-600:]!r}")
    return f"{path}/events"


async def latencies(target: Target, *, count: int, per_second: int) -> list[float]:
    """Milliseconds from an agent that tells the time to us, event by event, on a durable stream."""
    body = {
        "agent": "ticks",
        "input": {"count": count, "per_second": per_second},
        "mode": "stream",
        "durable": True,
    }
    found: list[float] = []
    kept = b""

    def hear(data: bytes) -> None:
        nonlocal kept
        now = time.time_ns()
        whole, newline, rest = (kept + data).rpartition(b"\n\n")
        kept = rest
        if newline:
            found.extend((now - int(told)) / 1e6 for told in _TOLD_TIME.findall(whole))

    (caller,) = await connect(target)
    caller.on_stream = hear
    caller.send(ask("POST", "/api/runs", body, frames=count + 3, ends_with=(succeeded(count + 3),)))
    await all_finished([caller])
    if len(found) != count:
        raise WrongAnswer(f"{len(found)} times were told instead of {count}")
    return found[count // 10 :]  # the first ones wait for code that has never run
