"""Group commit: one batch in flight, and whatever comes up meanwhile is the next batch.

No timer for what somebody waits for: a lone write commits at once, a busy server commits what has
queued. Of the finished light runs only a bounded handful rides along in each batch, so that
nothing durable waits behind the bulk.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from forebay.core.clock import Clock
from forebay.core.errors import DatabaseUnavailable, ForebayError, Full
from forebay.ports.store import Append, Keep, Outcome, RunStore, Write

_KEEPS_PER_BATCH = 64
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
        self._keeps: deque[_Ticket] = deque()
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
        self._task = asyncio.create_task(self._run(), name="committer")

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

    def keep(self, keep: Keep, kept: Callable[[], None]) -> None:
        """Write a finished light run some time after its answer; then call `kept`."""
        if len(self._keeps) >= _KEEPS_HELD:
            self.keeps_dropped += 1
            kept()
            return

        def settle(outcome: Outcome) -> None:
            if isinstance(outcome, NOT_WRITTEN):
                self._keeps.append(ticket)
            else:
                kept()

        ticket = _Ticket(keep, settle)
        self._keeps.append(ticket)
        if len(self._keeps) >= _KEEPS_PER_BATCH:
            self._work.set()
        elif self._keep_timer is None:
            loop = asyncio.get_running_loop()
            self._keep_timer = loop.call_later(_KEEP_DELAY_SECONDS, self._work.set)

    async def _run(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while not self._closing or self._submitted or self._appenders or self._keeps:
            await self._work.wait()
            self._work.clear()
            if await self._write_batch(self._collect()):
                pause = _FIRST_RETRY_SECONDS
            else:
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LAST_RETRY_SECONDS)
                self._work.set()

    async def _write_batch(self, batch: list[_Ticket]) -> bool:
        if not batch:
            return True
        try:
            outcomes = await self._store.write([ticket.write for ticket in batch])
        except NOT_WRITTEN as error:
            outcomes = [error] * len(batch)
        else:
            self.commits += 1
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ticket.settle(outcome)
        return not isinstance(outcomes[0], NOT_WRITTEN)

    def _collect(self) -> list[_Ticket]:
        batch, self._submitted = self._submitted, []
        appenders, self._appenders = self._appenders, {}
        for appender in appenders:
            append = appender.take()
            if append is not None:
                batch.append(_Ticket(append, appender.settle))
        for _ in range(min(len(self._keeps), _KEEPS_PER_BATCH)):
            batch.append(self._keeps.popleft())
        if self._keep_timer is not None:
            self._keep_timer.cancel()
            self._keep_timer = None
        if self._keeps:
            self._work.set()
        return batch
