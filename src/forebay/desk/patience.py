"""Patience: noticing that a run takes long while its client waits, or that the client has left.

Most runs end at once, and a timer and a task for each of them would cost more than the run. So
those who wait stand in a list, and one timer looks a few times a second for those that take longer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Happens: TypeAlias = Callable[[], Awaitable[None]]

_LOOK_SECONDS = 0.25


class Waiting:
    """One client who waits."""

    __slots__ = ("_gone", "_late", "_tasks", "_timer", "is_over", "seconds", "since")

    def __init__(self, seconds: float, since: int, late: Happens, gone: Happens) -> None:
        self.seconds = seconds
        self.since = since
        self.is_over = False
        self._late = late
        self._gone = gone
        self._tasks: list[asyncio.Task[None]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def look_closer(self, left: float) -> None:
        """The run takes longer: find out whether the time is up, or the client leaves."""
        if self._tasks is None:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._watch())]
            self._timer = loop.call_later(max(0.0, left), self._be_late)

    def close(self) -> None:
        """The run has ended."""
        if self._timer is not None and self._tasks is not None:
            self._timer.cancel()
            self._tasks[0].cancel()

    def _be_late(self) -> None:
        if not self.is_over and self._tasks is not None:
            self.is_over = True
            self._tasks[0].cancel()
            self._tasks.append(asyncio.get_running_loop().create_task(_do(self._late)))

    async def _watch(self) -> None:
        await self._gone()
        self.is_over = True


async def _do(happens: Happens) -> None:
    await happens()


class WaitingRoom:
    """All clients of this process who wait."""

    def __init__(self) -> None:
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def enter(self, seconds: float, late: Happens, gone: Happens) -> Waiting:
        """A client waits. `late` is called when the time is up; `gone` returns when he has left."""
        waiting = Waiting(seconds, self._looks, late, gone)
        if seconds < 2 * _LOOK_SECONDS:
            waiting.look_closer(seconds)
        self._waiting.add(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)
        return waiting

    def leave(self, waiting: Waiting) -> None:
        """The run has ended."""
        self._waiting.discard(waiting)
        waiting.close()

    def _look(self) -> None:
        self._looks += 1
        for waiting in self._waiting:
            looks = self._looks - waiting.since
            if looks > 1:
                waiting.look_closer(waiting.seconds - looks * _LOOK_SECONDS)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look) if self._waiting else None
