"""The load client's jobs for queued runs: submit them, and see in the server's list what became."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from .connection import (
    LONGEST_SECONDS,
    Ask,
    Connection,
    Line,
    Target,
    WrongAnswer,
    all_finished,
    answer_of,
    ask,
    connect,
)
from .load import awake
from .measure import Crew, Shares
from .native import background, id_in

_PAGE = 500
_SUBMITTERS = 16
_PICKUP_SUBMITTERS = 4
_PICKUP_APART_SECONDS = 0.02
_LOOK_SECONDS = 0.05
_EARLY_SECONDS = 0.1
_UNFINISHED = ("submitted", "running", "waiting")
_TOLD_TIME = re.compile(rb'"at=(\d+) "')


class Listed(msgspec.Struct):
    """A run as the server's list shows it."""

    id: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None


class _Page(msgspec.Struct):
    runs: list[Listed]
    next_cursor: str | None


_page = msgspec.json.Decoder(_Page).decode


async def warm_up(target: Target) -> None:
    """Wait until a worker has executed some runs."""
    for _ in range(3):
        await submit(target, background("echo", "warm up"), 5)
        await final(target, 5)


# --- submitting, and waiting for the end --------------------------------------------------------


async def submit(target: Target, asked: Ask, count: int) -> None:
    """Submit so many runs by several connections."""
    sent = 0
    callers = await connect(target, min(_SUBMITTERS, count))

    def go_on(caller: Connection) -> None:
        nonlocal sent
        if sent < count:
            sent += 1
            caller.send(asked)
        else:
            caller.close()

    def answered_by(caller: Connection) -> Callable[[], None]:
        return lambda: go_on(caller)

    with awake():
        for caller in callers:
            caller.on_answer = answered_by(caller)
            go_on(caller)
        await all_finished(callers)


async def final(target: Target, count: int) -> Sequence[Listed]:
    """The newest runs, once all of them have succeeded."""
    await _while(target, _UNFINISHED, 1)  # to list only the last one costs next to nothing
    runs = await _while(target, _UNFINISHED, count)
    ended = {run.status for run in runs}
    if ended != {"success"} or len(runs) != count:
        raise WrongAnswer(f"{len(runs)} runs ended in {ended}")
    return runs


async def _while(target: Target, statuses: Sequence[str], count: int) -> Sequence[Listed]:
    async with asyncio.timeout(LONGEST_SECONDS):
        while True:
            runs = await newest(target, count)
            if not any(run.status in statuses for run in runs):
                return runs
            await asyncio.sleep(_LOOK_SECONDS)


async def newest(target: Target, count: int) -> Sequence[Listed]:
    """The newest runs of the server's list, without their answers."""
    found: list[Listed] = []
    more = ""
    while len(found) < count:
        limit = min(_PAGE, count - len(found))
        told = await answer_of(target, ask("GET", f"/api/runs?limit={limit}{more}"))
        page = _page(told)
        found += page.runs
        if page.next_cursor is None:
            break
        more = f"&cursor={page.next_cursor}"
    return found


# --- from a submission to its agent -------------------------------------------------------------


async def pickups(target: Target, count: int) -> list[float]:
    """Milliseconds from just before a submission until its agent was called, one by one."""
    asked = background("clock", None)
    sent: dict[str, int] = {}
    start = time.perf_counter()

    async def submit_some(line: Line, numbers: range) -> None:
        for number in numbers:
            await asyncio.sleep(start + number * _PICKUP_APART_SECONDS - time.perf_counter())
            at = time.time_ns()
            sent[id_in(await line.ask(asked))] = at

    lines = [Line(each) for each in await connect(target, _PICKUP_SUBMITTERS)]
    async with asyncio.timeout(LONGEST_SECONDS):
        await asyncio.gather(
            *[submit_some(line, range(at, count, len(lines))) for at, line in enumerate(lines)]
        )
    for line in lines:
        line.close()
    await final(target, count)
    return [(await _told_time(target, run) - at) / 1e6 for run, at in sent.items()]


async def _told_time(target: Target, run: str) -> int:
    told = await answer_of(target, ask("GET", f"/api/runs/{run}"))
    found = _TOLD_TIME.search(told)
    if found is None:
        raise WrongAnswer(f"no time was told: {told!r}")
    return int(found[1])


# --- many runs ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drained:
    """What it took to get a queue done."""

    runs: int
    seconds: float
    used: Shares


async def through_the_queue(target: Target, crew: Crew, count: int) -> Drained:
    """From the first submission to the end of the last of so many runs that do nothing."""
    before, began = crew.read(), time.time()
    await submit(target, background("nothing", None), count)
    runs = await final(target, count)
    used = crew.read().since(before)
    return Drained(count, _last_end(runs) - began, used)


async def occupy(target: Target) -> None:
    """Give the one place that a server has for queued runs to a run that sleeps."""
    await submit(target, background("echo", "sleep=3600000"), 1)
    await _while(target, ("submitted",), 1)


async def queued_naps(target: Target, count: int, nap: Mapping[str, int]) -> None:
    """Queue so many runs that nap; nobody takes them yet."""
    await submit(target, background("naps", nap), count)
    if {run.status for run in await newest(target, count)} != {"submitted"}:
        raise WrongAnswer("somebody has taken runs that are to be queued")


async def seconds_of_runs(target: Target, count: int) -> float:
    """From the first start to the last end of the newest runs, as their logs tell."""
    runs = await final(target, count)
    starts = [run.started_at.timestamp() for run in runs if run.started_at]
    return _last_end(runs) - min(starts)


async def seconds_of_coroutines(count: int, *, times: int, milliseconds: int) -> float:
    """The same naps as coroutines of one process, and nothing else."""

    async def nap() -> None:
        for _ in range(times):
            await asyncio.sleep(milliseconds / 1000)

    start = time.perf_counter()
    await asyncio.gather(*[nap() for _ in range(count)])
    return time.perf_counter() - start


async def cpu_until_final(
    target: Target, crew: Crew, asked: Ask, count: int, *, asleep: float
) -> Shares:
    """What so many runs cost that sleep so many seconds first, from shortly before they wake up."""
    began = time.perf_counter()
    await submit(target, asked, count)
    await asyncio.sleep(began + asleep - _EARLY_SECONDS - time.perf_counter())
    before = crew.read()
    await final(target, count)
    return crew.read().since(before)


def _last_end(runs: Sequence[Listed]) -> float:
    return max(run.finished_at.timestamp() for run in runs if run.finished_at)
