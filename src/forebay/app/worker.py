"""A worker process: it executes queued runs, and answers nobody."""

import asyncio
import logging
from contextlib import suppress

from forebay.core.clock import Clock, SystemClock
from forebay.core.errors import MigrationNeeded, StartError
from forebay.settings import Settings

from .engine import Duties, Engine

log = logging.getLogger("forebay.worker")

_LOCAL = Duties(executor="local", is_supervised=True)


class Worker:
    """Everything of one worker process."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._engine = Engine(settings, clock or SystemClock(), _LOCAL)
        self._drain_seconds = settings.drain_seconds
        self._drained = asyncio.Event()
        self.agents = self._engine.agents
        self.described = self._engine.described
        self.holder = self._engine.runs.place.holder
        """Under which name it takes leases."""
        self.settled = self._engine.settled
        self.usable = self._engine.usable
        self.gate = self._engine.gate

    @property
    def fatal(self) -> StartError | MigrationNeeded | None:
        """Why this worker will never be usable."""
        return self._engine.fatal

    def start(self) -> None:
        """Begin to open the database, however long it is away; then take runs."""
        self._engine.start()

    async def drain(self) -> None:
        """Take nothing new, and give what is under way some time to end."""
        await self._engine.take_no_more()
        runs = self._engine.runs
        runs.on_room = self._drained.set
        if runs.under_way:
            log.info("%d runs under way have %g s to end", runs.under_way, self._drain_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                while runs.under_way:
                    self._drained.clear()
                    await self._drained.wait()

    async def aclose(self) -> None:
        """Hand back what is still under way, write everything down, let go."""
        await self._engine.end_runs()
        await self._engine.aclose()
