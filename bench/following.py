"""The load client's job for many followers: they hear nothing, and should cost next to nothing."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from .connection import LONGEST_SECONDS, Connection, Target, WrongAnswer, answer_of, ask, connect
from .measure import Reading, read, resident_bytes
from .native import id_in, metrics

_STALL_SECONDS = 0.25
"""For which a machine may stand still in a short measurement."""


@dataclass(frozen=True, slots=True)
class Idleness:
    """What followers cost that hear nothing."""

    followers: int
    bytes_each: float
    idle: Reading
    beside_others: Reading
    other_runs: int
    other_commits: int


async def idle_followers(
    target: Target,
    other: Target,
    *,
    followers: int,
    runs: int,
    seconds: float,
    per_second: float,
) -> Idleness:
    """Follow sleeping runs from many connections; then let another server work beside them."""
    sleeping = {"input": "sleep=3600000", "mode": "background"}
    start = ask("POST", "/api/runs", sleeping, status=202)
    paths = [f"/api/runs/{id_in(await answer_of(target, start))}" for _ in range(runs)]
    await _attach(target, paths, runs * 2, leave=True)
    memory = resident_bytes(target.pid)
    attached = await _attach(target, paths, followers)
    grown = resident_bytes(target.pid) - memory
    before = read(target.pid)
    await asyncio.sleep(seconds)
    idle = read(target.pid).since(before)
    commits = (await metrics(other))["forebay_commits_total"]
    before = read(target.pid)
    done = await _steadily(other, per_second, seconds)
    beside_others = read(target.pid).since(before)
    commits = (await metrics(other))["forebay_commits_total"] - commits
    _check_followers(attached)
    for path in paths:
        await answer_of(target, ask("POST", f"{path}/cancel"))
    for follower in attached:
        follower.close()
    return Idleness(followers, grown / followers, idle, beside_others, done, int(commits))


async def _attach(
    target: Target, paths: list[str], count: int, *, leave: bool = False
) -> list[Connection]:
    attached = await connect(target, count)
    for number, follower in enumerate(attached):
        follower.send(ask("GET", f"{paths[number % len(paths)]}/events"))
    await asyncio.gather(*[follower.started for follower in attached])
    await asyncio.sleep(0.5)
    if leave:
        for follower in attached:
            follower.close()
        await asyncio.sleep(0.5)
    return attached


def _check_followers(followers: list[Connection]) -> None:
    # Two entries each, and nothing since but comments that keep the connection alive.
    for follower in followers:
        if follower.finished.done() or not 2 <= follower.frames <= 6:
            raise WrongAnswer(f"a follower was lost, or saw {follower.frames} frames")


async def _steadily(target: Target, per_second: float, seconds: float) -> int:
    body = {"input": "hello big wide world", "durable": True}
    asked = ask("POST", "/api/runs", body, ends_with=(b'"status":"success"',))
    callers = await connect(target, 8)
    free = list(callers)
    all_back = asyncio.Event()
    done = sent = 0

    def answered_by(caller: Connection) -> Callable[[], None]:
        def on_answer() -> None:
            nonlocal done
            done += 1
            free.append(caller)
            if done == sent:
                all_back.set()

        return on_answer

    for caller in callers:
        caller.on_answer = answered_by(caller)
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        while free and sent < elapsed * per_second:
            all_back.clear()
            sent += 1
            free.pop().send(asked)
        await asyncio.sleep(0.003)
    async with asyncio.timeout(LONGEST_SECONDS):
        await all_back.wait()
    for caller in callers:
        caller.close()
    if done < 0.9 * per_second * (seconds - _STALL_SECONDS):
        raise WrongAnswer(f"only {done} runs in {seconds:g} s")
    return done
