"""Crowding: whether one more run may be queued, and whether one more may begin here at once.

Counting costs what there is to count. So a count serves for a while, with what this process has
added since; only when that says that it is full, and the count is not brand-new, it counts again.
Who takes queued runs counts by himself, exactly (`storage`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from forebay.core.clock import Clock, Millis
from forebay.core.errors import QueueFull, TooManyQueued
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Crowd

_SERVES_MILLIS = 1_000
_BRAND_NEW_MILLIS = 50


class Limits(msgspec.Struct, frozen=True):
    """How many runs there may be; 0: any number."""

    running_of_tenant: int = 0
    running_of_agent: int = 0
    queued: int = 0
    queued_of_tenant: int = 0

    @property
    def running(self) -> bool:
        """Whether it matters how many are running."""
        return bool(self.running_of_tenant or self.running_of_agent)


class Crowding:
    """How full it is, as this process knows."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        limits: Limits,
        holder: str,
        here: Callable[[], Iterable[Run]],
    ) -> None:
        self.limits = limits
        self._storage = storage
        self._clock = clock
        self._holder = holder
        self._here = here
        self._crowd = Crowd({}, {})
        self._counted_at: Millis | None = None
        self._counting = asyncio.Lock()
        self._added: Counter[str] = Counter()

    # --- the queue ------------------------------------------------------------------------------

    async def enter_queue(self, tenant: str) -> None:
        """One more run of this tenant is about to be queued. Raises QueueFull, TooManyQueued."""
        if not (self.limits.queued or self.limits.queued_of_tenant):
            return
        await self._count(_SERVES_MILLIS)
        if self._is_queue_full or self._has_queued_enough(tenant):
            await self._count(_BRAND_NEW_MILLIS)
        if self._is_queue_full:
            raise QueueFull
        if self._has_queued_enough(tenant):
            raise TooManyQueued
        self._added[tenant] += 1

    @property
    def _is_queue_full(self) -> bool:
        queued = sum(self._crowd.queued.values()) + self._added.total()
        return 0 < self.limits.queued <= queued

    def _has_queued_enough(self, tenant: str) -> bool:
        queued = self._crowd.queued.get(tenant, 0) + self._added[tenant]
        return 0 < self.limits.queued_of_tenant <= queued

    # --- what runs ------------------------------------------------------------------------------

    async def is_full(self, tenant: str, agent: str) -> bool:
        """Whether so many runs of this tenant or agent are running that no other may begin."""
        if not self.limits.running:
            return False
        await self._count(_SERVES_MILLIS)
        if self._is_full(tenant, agent):
            await self._count(_BRAND_NEW_MILLIS)
        return self._is_full(tenant, agent)

    def _is_full(self, tenant: str, agent: str) -> bool:
        running = Counter(self._crowd.running)
        running.update((run.tenant, run.agent) for run in self._here())
        of_tenant = sum(runs for (name, _), runs in running.items() if name == tenant)
        of_agent = sum(runs for (_, name), runs in running.items() if name == agent)
        return (
            0 < self.limits.running_of_tenant <= of_tenant
            or 0 < self.limits.running_of_agent <= of_agent
        )

    # --- counting -------------------------------------------------------------------------------

    async def _count(self, serves: int) -> None:
        async with self._counting:
            now = self._clock.boot()
            if self._counted_at is not None and now - self._counted_at < serves:
                return
            counted = self._added.copy()
            self._crowd = await self._storage.crowd(self._holder)
            self._counted_at = now
            self._added -= counted
