"""Queue: takes queued runs while there is room here, and goes on with each from where its log ends.

It is told when there may be some, by the doorbell or by an attempt that ended; the rare look
besides is for what nobody told.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from forebay.core.clock import Clock
from forebay.core.codec import Entry, decode_json
from forebay.core.errors import Conflict, InvalidInput, NotFound
from forebay.core.events import RunFailed
from forebay.core.holders import LEASE_SECONDS
from forebay.core.ids import RunNumber
from forebay.core.run import Run
from forebay.core.tasks import start_essential
from forebay.ports.agent import Agent
from forebay.ports.storage import Storage
from forebay.ports.store import Lease

from .attempt import Order
from .commit import NOT_WRITTEN
from .past import Past
from .service import Runs

_LOOK_SECONDS = 2.0
_AT_ONCE = 64  # runs that are taken together: what is left over is for others
_MOST_HELD = 10_000


class Queue:
    """The queued runs of these agents, as far as this process has room for them."""

    def __init__(
        self,
        runs: Runs,
        storage: Storage,
        agents: Mapping[str, Agent],
        clock: Clock,
        *,
        concurrency: int,
    ) -> None:
        self._runs = runs
        self._storage = storage
        self._agents = agents
        self._clock = clock
        self._concurrency = concurrency
        self._is_unsure = False
        self._taking = asyncio.Lock()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take runs."""
        self._runs.follower.on_queued = self._work.set
        self._runs.on_room = self._when_room
        self._task = start_essential(self._run(), "queue")
        self._looking = start_essential(self._look(), "queue-look")

    async def aclose(self) -> None:
        """Take no more."""
        self._runs.follower.on_queued = None
        self._runs.on_room = None
        tasks = [task for task in (self._task, self._looking) if task is not None]
        async with self._taking:  # what is taken has to begin, or nobody would hand it back
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                async with self._taking:
                    while await self._take():
                        pass
            except NOT_WRITTEN:
                self._is_unsure = True  # and the next look tries again

    async def _look(self) -> None:
        while True:
            self._work.set()
            await self._clock.sleep(_LOOK_SECONDS)

    def _when_room(self) -> None:
        if self._runs.under_way == self._concurrency - 1:  # it was full
            self._work.set()

    # --- taking ---------------------------------------------------------------------------------

    async def _take(self) -> int:
        """Take what there is room for, but not all at once; tells how many runs."""
        room = self._concurrency - self._runs.under_way
        if room <= 0 or self._runs.closed_by is not None:
            return 0
        if self._is_unsure:  # some may have become ours without our knowing, or begun
            await self._go_on(await self._forgotten())
            self._is_unsure = False
        limits = self._runs.crowding.limits
        lease = Lease(
            self._runs.place.holder,
            LEASE_SECONDS,
            tuple(self._agents),
            min(room, _AT_ONCE),
            self._runs.started,
            self._clock.now(),
            limits.running_of_tenant,
            limits.running_of_agent,
        )
        taken = await self._storage.lease(lease)
        if taken:
            await self._go_on(taken)
        return len(taken)

    async def _forgotten(self) -> Sequence[Run]:
        """Runs that this process holds without executing them."""
        held = await self._storage.held(self._runs.place.holder, _MOST_HELD)
        return [run for run in held if not self._runs.knows(run.id)]

    async def _go_on(self, runs: Sequence[Run]) -> None:
        numbers = {run.number: run for run in runs if run.number is not None}
        pages = await self._storage.read_many(dict.fromkeys(numbers, 0))
        for number, run in numbers.items():
            past = await self._past(run, number, pages.get(number, ()))
            await self._begin(run, number, past)

    async def _past(self, run: Run, number: RunNumber, page: Sequence[Entry]) -> Past:
        past = Past()
        while page:
            for entry in page:
                past.add(entry)
            last = page[-1].number
            page = await self._storage.read(number, after=last) if last < run.last else ()
        return past

    async def _begin(self, run: Run, number: RunNumber, past: Past) -> None:
        submitted, agent = past.submitted, self._agents[run.agent]
        if submitted.stored is not None:
            data = await self._runs.read_object(run, submitted.stored.object)
            submitted = msgspec.structs.replace(submitted, input=decode_json(data), stored=None)
        try:
            value = agent.read_input(submitted.input)
        except InvalidInput as error:  # the agent has changed since the run was submitted
            with suppress(Conflict, NotFound):
                await self._runs.controls.write(run, RunFailed(error.code, error.message))
            return
        order = Order(run, agent, value, submitted.caller, submitted.grant)
        self._runs.go_on(run, number, order, past)
