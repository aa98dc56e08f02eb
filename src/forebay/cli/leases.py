"""The leases of a supervisor's children: renewed while they live, taken back when they die."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import NoReturn

from forebay.core.clock import Clock
from forebay.core.errors import DatabaseUnavailable, MigrationNeeded
from forebay.ports.storage import Storage
from forebay.runs.commit import NOT_WRITTEN
from forebay.runs.recover import TURN_SECONDS, Sweeper

log = logging.getLogger("forebay.supervisor")

_OPEN_RETRY_SECONDS = 1.0
_LAST_SECONDS = 2.0


class Leases:
    """What the supervisor has to do with the database. It goes on whatever becomes of it."""

    def __init__(
        self,
        storage: Storage,
        sweeper: Sweeper,
        clock: Clock,
        holders: Callable[[], Sequence[str]],
    ) -> None:
        self._storage = storage
        self._sweeper = sweeper
        self._clock = clock
        self._holders = holders
        self._lost: dict[str, str] = {}
        self._work = asyncio.Event()
        self._is_open = False

    async def run(self) -> NoReturn:
        """Open the database, then renew and sweep. Raises StartError, MigrationNeeded."""
        await self._open()
        while True:
            await self._take_back()
            await _done(self._sweeper.turn(self._holders()))
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    await self._work.wait()
            self._work.clear()

    def lose(self, holder: str, why: str) -> None:
        """Queue again what this holder has under way, at once, or as soon as that is possible."""
        self._lost[holder] = why
        self._work.set()

    async def aclose(self) -> None:
        """Do what can still be done, and let go."""
        if self._is_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._take_back()
            await self._storage.aclose()

    async def _open(self) -> None:
        while not self._is_open:
            try:
                await self._storage.open()
            except MigrationNeeded:
                raise
            except DatabaseUnavailable:
                await self._clock.sleep(_OPEN_RETRY_SECONDS)
            else:
                self._is_open = True

    async def _take_back(self) -> None:
        for holder, why in list(self._lost.items()):
            if await _done(self._sweeper.lose(holder, why)):
                del self._lost[holder]


async def _done(work: Coroutine[None, None, int]) -> bool:
    # As a value: what is wrong with one run must not end the renewing for all the others.
    (outcome,) = await asyncio.gather(work, return_exceptions=True)
    if isinstance(outcome, BaseException) and not isinstance(outcome, NOT_WRITTEN):
        log.error("leases could not all be seen to", exc_info=outcome)
    return not isinstance(outcome, BaseException)
