"""Group commit: one batch in flight, and whatever comes up meanwhile is the next batch.

No timer for what somebody waits for: a lone write commits at once, a busy server commits what has
queued. Of the finished light runs only a bounded handful rides along in each batch, so that
nothing durable waits behind the bulk.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple, Protocol

from forebay.core.clock import Clock
from forebay.core.errors import Broken, DatabaseUnavailable, ForebayError, Full
from forebay.core.ids import RunId
from forebay.core.tasks import start_essential
from forebay.ports.store import Append, Keep, Outcome, RunStore, Write

log = logging.getLogger("forebay.runs")

_TURNS_TO_GATHER = 3  # of the event loop: those who come in the same moment share a commit
_KEEPS_PER_BATCH = 128
_KEEPS_HELD = 20_000
_KEEP_DELAY_SECONDS = 0.02
_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 1.0
_CLOSING_SECONDS = 10.0

NOT_WRITTEN = (DatabaseUnavailable, Full)
"""Outcomes after which the same write may be offered again."""


class Appender(Protocol):
    """Somebody with entries to append, asked for them when a batch is put together."""

    def take(self) -> Append | None:
        """What to append now."""
        ...

    def settle(self, outcome: Outcome) -> None:
        """What became of it. Called once for each `take` that gave something."""
        ...


class _Ticket(NamedTuple):
    write: Write
    settle: Callable[[Outcome], None]


class Committer:
    """Collects what this process wants to write, and writes it in batches."""

    def __init__(self, store: RunStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._work = asyncio.Event()
        self._submitted: list[_Ticket] = []
        self._appenders: dict[Appender, None] = {}
        self._keeps: dict[RunId, Keep] = {}
        self._kept = asyncio.Event()
        self._keep_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.commits = 0
        self.keeps_dropped = 0

    @property
    def backlog(self) -> int:
        """Finished light runs that are not written yet."""
        return len(self._keeps)

    def start(self) -> None:
        """Begin to write."""
        self._task = start_essential(self._run(), "committer")

    async def aclose(self) -> None:
        """Write what is left, as far as the database lets us, then stop."""
        self._closing = True
        self._work.set()
        if self._task:
            await asyncio.wait({self._task}, timeout=_CLOSING_SECONDS)
            self._task.cancel()

    async def write(self, write: Write) -> Outcome:
        """Commit one write and return its outcome. Raises it if it is an error."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        self._submitted.append(_Ticket(write, settle))
        self._work.set()
        outcome = await done
        if isinstance(outcome, ForebayError):
            raise outcome
        return outcome

    def append_for(self, appender: Appender) -> None:
        """Ask this appender for its entries when the next batch is put together."""
        self._appenders[appender] = None
        self._work.set()

    def keep(self, keep: Keep) -> None:
        """Write a finished light run some time after its answer."""
        if len(self._keeps) >= _KEEPS_HELD:
            self.keeps_dropped += 1
            return
        self._keeps[keep.run.id] = keep
        self._schedule_keeps()

    def keeping(self, run: RunId) -> Keep | None:
        """A finished light run that is not written yet."""
        return self._keeps.get(run)

    def all_keeping(self) -> Iterable[Keep]:
        """Every finished light run that is not written yet."""
        return self._keeps.values()

    async def kept(self, run: RunId) -> None:
        """Wait until a finished light run is written."""
        while run in self._keeps:
            self._kept.clear()
            await self._kept.wait()

    async def _run(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while not self._closing or self._submitted or self._appenders or self._keeps:
            await self._work.wait()
            for _ in range(_TURNS_TO_GATHER):
                await self._clock.sleep(0)
            self._work.clear()
            keeps = list(islice(self._keeps.values(), _KEEPS_PER_BATCH))
            if await self._write_batch(self._collect(), keeps):
                pause = _FIRST_RETRY_SECONDS
            else:
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY_SECONDS)
                self._work.set()

    async def _write_batch(self, batch: list[_Ticket], keeps: list[Keep]) -> bool:
        if not batch and not keeps:
            return True
        writes = [*(ticket.write for ticket in batch), *keeps]
        # As a value: whatever a storage raises, those who wait must hear of it.
        (written,) = await asyncio.gather(self._store.write(writes), return_exceptions=True)
        if isinstance(written, NOT_WRITTEN):
            for ticket in batch:
                ticket.settle(written)
            return False
        if isinstance(written, BaseException):
            log.error("a batch of %d writes failed", len(writes), exc_info=written)
            written = [Broken(f"The storage made a mistake: {written}")] * len(writes)
        self.commits += 1
        for ticket, outcome in zip(batch, written, strict=False):
            ticket.settle(outcome)
        for keep in keeps:
            del self._keeps[keep.run.id]
        self._kept.set()
        self._schedule_keeps()
        return True

    def _collect(self) -> list[_Ticket]:
        batch, self._submitted = self._submitted, []
        appenders, self._appenders = self._appenders, {}
        for appender in appenders:
            append = appender.take()
            if append is not None:
                batch.append(_Ticket(append, appender.settle))
        return batch

    def _schedule_keeps(self) -> None:
        # A batch of them costs hardly more than one: gather some, but not for long.
        if len(self._keeps) >= _KEEPS_PER_BATCH or (self._closing and self._keeps):
            self._work.set()
        elif self._keeps and self._keep_timer is None:
            loop = asyncio.get_running_loop()
            self._keep_timer = loop.call_later(_KEEP_DELAY_SECONDS, self._write_keeps)

    def _write_keeps(self) -> None:
        self._keep_timer = None
        self._work.set()
