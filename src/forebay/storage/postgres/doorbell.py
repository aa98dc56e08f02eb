"""Telling the other processes what moved, and hearing it from them, through LISTEN and NOTIFY.

Nobody notifies in the transaction that appends: committing notifications is a queue of one for the
whole server. Each process tells what it has committed in a transaction of its own, at most every
few milliseconds, and not at all while nobody else listens: whoever begins to listen says hello, and
is answered. A ring that is lost is made good by the safety poll.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import NamedTuple

from psycopg import Notify

from forebay.core.clock import Clock
from forebay.core.errors import DatabaseUnavailable, Full
from forebay.core.ids import RunNumber

from .arrays import Texts
from .connection import Connections, connect, execute, fetch, translated_errors

_PAUSE_SECONDS = 0.005
_RETRY_SECONDS = 0.5
_FLUSH_SECONDS = 1.0
_ECHO_SECONDS = 2.0
_MOST_BYTES = 7_900  # PostgreSQL takes less than 8,000
_MOST_RUNS = 2_000

_LOOK = "look"
_HELLO = "hello"
_QUEUED = "queued"

# What is lost with the power is a ring: nobody needs to wait for the disk.
_RING = b"""
SELECT set_config('synchronous_commit', 'off', true), pg_notify('forebay', ring)
  FROM unnest($1::text[]) AS ring"""


class NotHeard(Exception):
    """What is notified does not arrive."""


class Doorbell:
    """Rings for what this process has committed, and knows its own rings."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._name = secrets.token_hex(4)
        self._alone = False
        self._moved: dict[RunNumber, int] = {}
        self._queued = False
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ring."""
        self._task = asyncio.create_task(self._run(), name="postgres-ring")

    async def aclose(self) -> None:
        """Ring for what is left, then stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._ring(self._moved, queued=self._queued)
        except (DatabaseUnavailable, Full, TimeoutError):
            pass  # the safety poll of the others will find it

    def ring(self, runs: Mapping[RunNumber, int], *, queued: bool = False) -> None:
        """These runs have entries up to these numbers now; perhaps there are queued ones."""
        if (runs or queued) and not self._alone:
            self._moved.update(runs)
            self._queued = self._queued or queued
            self._work.set()

    async def hear(self, url: str) -> AsyncGenerator["Ring"]:
        """What other processes ring for, as it comes. The first ring says: look at everything.

        Raises NotHeard if rings do not arrive here, DatabaseUnavailable if the server goes away.
        """
        with translated_errors():
            connection = await connect(url)
            try:
                await execute(connection, b"LISTEN forebay")
                self._alone = True  # until somebody else is heard of
                async with aclosing(connection.notifies()) as notifications:
                    await self._hear_ourselves(notifications)
                    yield Ring(self._name, None, queued=True)
                    async for notification in notifications:
                        ring = read_ring(notification.payload)
                        if ring.name != self._name:
                            await self._answer(ring)
                            yield ring
            except NotHeard:
                await execute(connection, b"UNLISTEN *")  # it may be somebody else's tomorrow
                raise
            finally:
                self._alone = False
                await connection.close()

    async def _hear_ourselves(self, notifications: AsyncGenerator[Notify]) -> None:
        await self._send([f"{self._name};{_HELLO}"])
        try:
            async with asyncio.timeout(_ECHO_SECONDS):
                async for notification in notifications:
                    ring = read_ring(notification.payload)
                    if ring.name == self._name:
                        return
                    await self._answer(ring)
        except TimeoutError:
            raise NotHeard from None

    async def _answer(self, ring: "Ring") -> None:
        if self._alone:
            self._alone = False
            await self._send([f"{self._name};{_LOOK}"])  # for what we did not ring for until now
        elif ring.is_hello:
            await self._send([f"{self._name};"])

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            moved, self._moved = self._moved, {}
            queued, self._queued = self._queued, False
            try:
                await self._ring(moved, queued=queued)
            except (DatabaseUnavailable, Full):
                self._moved = moved | self._moved
                self._queued = self._queued or queued
                self._work.set()
                await self._clock.sleep(_RETRY_SECONDS)
            else:
                await self._clock.sleep(_PAUSE_SECONDS)

    async def _ring(self, moved: Mapping[RunNumber, int], *, queued: bool) -> None:
        if moved or queued:
            await self._send(rings(self._name, moved, queued=queued))

    async def _send(self, payloads: list[str]) -> None:
        async with self._connections.one() as connection:
            await fetch(connection, _RING, [Texts(payloads)])


def rings(name: str, moved: Mapping[RunNumber, int], *, queued: bool = False) -> list[str]:
    """What a process of this name notifies when these runs have moved, or some were queued."""
    if len(moved) > _MOST_RUNS:
        return [f"{name};{_LOOK}"]
    told = [f"{name};{_QUEUED}"] if queued else []
    size = len(told[0]) if queued else _MOST_BYTES
    for number, last in moved.items():
        pair = f"{number}:{last}"
        size += len(pair) + 1
        if size > _MOST_BYTES:
            told.append(f"{name};{pair}")
            size = len(told[-1])
        else:
            told[-1] += f",{pair}"
    return told


class Ring(NamedTuple):
    """Who rings, and for what; None: look at everything."""

    name: str
    runs: Mapping[RunNumber, int] | None
    is_hello: bool = False
    queued: bool = False
    """Whether there may be queued runs."""


def read_ring(payload: str) -> Ring:
    """What a notification says."""
    name, _, told = payload.partition(";")
    if told == _LOOK:
        return Ring(name, None, queued=True)
    if told == _HELLO:
        return Ring(name, {}, is_hello=True)
    first, *rest = told.split(",")
    queued = first == _QUEUED
    pairs = (pair.partition(":") for pair in (rest if queued else (first, *rest)) if pair)
    runs = {RunNumber(int(number)): int(last) for number, _, last in pairs}
    return Ring(name, runs, queued=queued)
