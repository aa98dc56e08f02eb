"""The load client's jobs for a job that a worker does and a client follows through the server."""

import asyncio
import os
import re
import signal
import time
from dataclasses import dataclass
from datetime import datetime

from .connection import (
    LONGEST_SECONDS,
    Target,
    WrongAnswer,
    all_finished,
    answer_of,
    ask,
    connect,
)
from .measure import Crew, Shares
from .native import background, events_ask, id_in

_NUMBER = re.compile(rb"\bid: (\d+)\nevent: ")
_PIECE = re.compile(rb'"attempt":(\d+),"time":"([^"]+)","type":"output.chunk"')


@dataclass(frozen=True, slots=True)
class Relayed:
    """A job's way through three processes."""

    frames: int
    used: Shares
    seconds: float
    """From the time that its first piece bears until its last frame was here."""


async def follow_job(target: Target, crew: Crew, text: str, *, frames: int) -> Relayed:
    """Queue a job that sleeps first, attach one client, and measure until its last entry."""
    run = id_in(await answer_of(target, background("echo", text)))
    (follower,) = await connect(target)
    began = 0.0
    told = b""

    def hear(data: bytes) -> None:
        nonlocal began, told
        if not began:
            told += data
            found = _PIECE.search(told)
            began = datetime.fromisoformat(found[2].decode()).timestamp() if found else 0.0

    follower.on_stream = hear
    follower.send(events_ask(f"/api/runs/{run}/events", frames=frames))
    await follower.started
    before = crew.read()
    if follower.frames > 2:
        raise WrongAnswer("the client attached too late: the run had begun to speak")
    await all_finished([follower])
    now = time.time()
    return Relayed(follower.frames, crew.read().since(before), now - began)


async def seconds_to_recover(target: Target, worker: int, *, pieces: int, delay: int) -> float:
    """Kill the worker in the middle of a job; tells when its client hears a new piece of it."""
    job = background("echo", f"chunks=1000 delay={delay}")
    path = f"/api/runs/{id_in(await answer_of(target, job))}"
    (follower,) = await connect(target)
    told = b""
    heard = asyncio.Event()

    def hear(data: bytes) -> None:
        nonlocal told
        told += data
        heard.set()

    async def pieces_of(attempt: bytes, count: int) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while sum(piece[1] == attempt for piece in _PIECE.finditer(told)) < count:
                heard.clear()
                await heard.wait()

    follower.on_stream = hear
    follower.send(ask("GET", f"{path}/events"))
    await pieces_of(b"1", pieces)
    os.kill(worker, signal.SIGKILL)
    killed = time.perf_counter()
    await pieces_of(b"2", 1)
    seconds = time.perf_counter() - killed
    follower.close()
    numbers = [int(number) for number in _NUMBER.findall(told)]
    if numbers != list(range(1, len(numbers) + 1)):
        raise WrongAnswer(f"the client saw the events {numbers}")
    await answer_of(target, ask("POST", f"{path}/cancel"))
    return seconds
