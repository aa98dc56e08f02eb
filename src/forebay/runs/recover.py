"""Leases: this process renews its own, and ends the runs of processes that are gone.

A sweeper that has itself not run for a lease's time (a laptop that slept) has proof of nothing: it
renews, and waits one lease before it takes anything.
"""

import asyncio
import logging
from contextlib import suppress

from forebay.core.clock import Clock
from forebay.core.errors import Conflict, NotFound
from forebay.core.events import RunInterrupted
from forebay.core.ids import as_uuid
from forebay.ports.store import RunStore

from .commit import NOT_WRITTEN
from .service import LEASE_SECONDS, Runs

log = logging.getLogger("forebay.runs")

_SWEEP_SECONDS = LEASE_SECONDS / 3
_SWEEP_RUNS = 500

SERVER_LOST = RunInterrupted(
    "server_lost", "the server that executed this run stopped without ending it"
)


class Recovery:
    """Renews and sweeps, every few seconds."""

    def __init__(self, runs: Runs, store: RunStore, clock: Clock, holder: str) -> None:
        self._runs = runs
        self._store = store
        self._clock = clock
        self._holder = holder
        self._last = clock.boot()
        self._patient_until = self._last
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to renew and to sweep."""
        self._last = self._patient_until = self._clock.boot()
        self._task = asyncio.create_task(self._run(), name="recovery")

    async def aclose(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(*NOT_WRITTEN):  # nobody can take our runs meanwhile either
                await self.turn()
            await self._clock.sleep(_SWEEP_SECONDS)

    async def turn(self) -> int:
        """Renew, then sweep; tells how many runs it ended."""
        now = self._clock.boot()
        if now - self._last > LEASE_SECONDS * 1000:
            self._patient_until = now + int(LEASE_SECONDS * 1000)
        if self._runs.holds_leases:
            await self._store.renew(self._holder, LEASE_SECONDS)
        await self._runs.end_unsure()
        ended = await self._sweep() if now >= self._patient_until else 0
        self._last = now  # not before: while the database was away, nobody could renew
        return ended

    async def _sweep(self) -> int:
        ended = 0
        for run in await self._store.lost(_SWEEP_RUNS):
            try:
                await self._runs.control(run, SERVER_LOST, only_if_lost=True)
            except (Conflict, NotFound):
                continue  # renewed, ended or deleted since we looked
            log.warning(
                "run %s: its server is gone", as_uuid(run.id), extra={"run": as_uuid(run.id)}
            )
            ended += 1
        return ended
