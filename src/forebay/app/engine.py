"""What executes runs in one process: the database, the agents, and the runs under way.

A server puts HTTP in front of it, a worker does not.
"""

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TextIO

from forebay.core.clock import Clock
from forebay.core.errors import DatabaseUnavailable, Full, MigrationNeeded, StartError, Starting
from forebay.core.gate import Gate
from forebay.core.holders import new_holder
from forebay.executors.inline import InlineExecutor
from forebay.ports.models import Embedder, Model
from forebay.ports.storage import Storage
from forebay.runs.crowding import Limits
from forebay.runs.execute import Execution
from forebay.runs.lines import RunLines
from forebay.runs.queue import Queue
from forebay.runs.recover import Recovery, Sweeper
from forebay.runs.service import Place, Runs
from forebay.settings import Settings, log_form

from .catalogue import load_catalogue
from .database import open_storage
from .workflow import Described

_AGENT_THREADS = 64
_OPEN_RETRY_SECONDS = 1.0
_PING_SECONDS = 1.0


class Duties(NamedTuple):
    """What this process does, and what others do for it."""

    executor: str = InlineExecutor.name
    is_supervised: bool = False
    """A supervisor renews its leases, and sweeps."""
    takes_runs: bool = True
    """It takes queued runs; else others do."""
    serves: bool = True
    """It answers requests, also those that ask what does not work."""


class Engine:
    """Opens the database and executes runs, from `start` to `aclose`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        duties: Duties,
        *,
        storage: Storage | None = None,
        log_to: TextIO | None = None,
    ) -> None:
        self.storage = storage or open_storage(settings, clock)
        self._catalogue = load_catalogue(settings, clock)
        self.agents = self._catalogue.agents
        bench = self._catalogue.bench
        self.gate = Gate()
        self.fatal: StartError | MigrationNeeded | None = None
        self.settled = asyncio.Event()
        """The database is open, or it is known that it never will be (`fatal`)."""
        self.usable = asyncio.Event()
        """So is everything else, or it never will be (`fatal`)."""
        self._clock = clock
        self._threads = ThreadPoolExecutor(_AGENT_THREADS, "forebay-agent")
        self._lines = RunLines(log_to or sys.stderr, log_form(settings, log_to or sys.stderr))
        self.runs = Runs(
            self.storage,
            InlineExecutor(),
            Execution(clock, self._threads, bench.models, bench.tools, settings.dev),
            clock=clock,
            place=Place(duties.executor, new_holder(), self.agents.code),
            keep_light=settings.keep_light_runs,
            resume=settings.resume,
            limits=Limits(
                settings.tenant_concurrency,
                settings.agent_concurrency,
                settings.max_queued,
                settings.tenant_max_queued,
            ),
            on_end=self._lines.ended if settings.log_level in ("debug", "info") else None,
        )
        sweeper = Sweeper(
            self.storage, clock, max_attempts=settings.max_attempts, resume=settings.resume
        )
        self._recovery = Recovery(None if duties.is_supervised else sweeper, self.runs, clock)
        queue = Queue(
            self.runs,
            self.storage,
            {agent.name: agent for agent in self.agents.here()},
            clock,
            concurrency=settings.concurrency,
        )
        self._queue = queue if duties.takes_runs else None
        self._was_open = False
        self._watching: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> Sequence[str]:
        """What does not work now, for people."""
        return [*self.storage.degraded, *self._catalogue.degraded]

    @property
    def configured_models(self) -> Sequence[Model | Embedder]:
        """The models that the operator has named."""
        models = self._catalogue.bench.models
        return [*models.models.values(), *models.embedders.values()]

    @property
    def described(self) -> Described | None:
        """What the workflow file describes, if there is one."""
        return self._catalogue.described

    def start(self) -> None:
        """Begin to open the database; `settled` tells when that is over."""
        self._catalogue.start()
        self._watching = asyncio.create_task(self._watch(), name="database-watch")

    async def take_no_more(self) -> None:
        """Leave queued runs to others; what is under way goes on."""
        if self._queue is not None:
            await self._queue.aclose()

    async def end_runs(self) -> None:
        """End or hand back what is under way, and write everything down."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._was_open:
            await self._recovery.aclose()
            await self.take_no_more()
            await self.runs.aclose()

    async def aclose(self) -> None:
        """Let go of everything, after `end_runs`."""
        await self._catalogue.aclose()
        await self.storage.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._lines.flush()

    async def _watch(self) -> None:
        try:
            await self._open()
            await self._catalogue.ready()
        except (StartError, MigrationNeeded) as error:
            self.fatal = error
            self.settled.set()
            return
        finally:
            self.usable.set()
        while True:
            await self._clock.sleep(_PING_SECONDS)
            try:
                await self.storage.ping()
            except DatabaseUnavailable as error:
                self.gate.closed_by = error
            except Full as error:
                self.runs.closed_by = error
            else:
                self.gate.closed_by = None
                if isinstance(self.runs.closed_by, Full):
                    self.runs.closed_by = None

    async def _open(self) -> None:
        while True:
            try:
                await self.storage.open()
            except MigrationNeeded:
                raise
            except DatabaseUnavailable as error:
                self.gate.closed_by = Starting(
                    f"The database cannot be reached yet. {error.message}"
                )
                await self._clock.sleep(_OPEN_RETRY_SECONDS)
            else:
                break
        self._was_open = True
        self.runs.open()
        self._recovery.start()
        if self._queue is not None:
            self._queue.start()
        self.gate.closed_by = None
        self.settled.set()
