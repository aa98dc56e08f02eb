"""Retention: whole runs are forgotten when their time has come, in small batches."""

import asyncio
from contextlib import suppress

from forebay.core.clock import Clock
from forebay.core.tasks import start_essential
from forebay.ports.store import RunStore

from .commit import NOT_WRITTEN

_LOOK_SECONDS = 60.0
_RUNS_PER_BATCH = 50


class Retention:
    """Forgets expired runs, once a minute."""

    def __init__(self, store: RunStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = start_essential(self._run(), "retention")

    async def aclose(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def turn(self) -> int:
        """Forget what has expired by now; tells how many runs that were."""
        forgotten = 0
        while batch := await self._store.expire(self._clock.now(), _RUNS_PER_BATCH):
            forgotten += batch
        return forgotten

    async def _run(self) -> None:
        while True:
            with suppress(*NOT_WRITTEN):  # there is always a next minute
                await self.turn()
            await self._clock.sleep(_LOOK_SECONDS)
