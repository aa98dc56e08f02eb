"""The supervisor: a small process that starts the others, and never runs code of the user.

It holds the port, so that connections wait while a child is replaced; hears whether its children
live, keeps their leases, kills those that hang, and takes back at once what the dead ones had.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, NoReturn

from forebay.app.database import open_storage
from forebay.core.clock import Clock, SystemClock
from forebay.core.errors import MigrationNeeded, StartError
from forebay.runs.recover import Sweeper
from forebay.settings import Settings, database

from .children import Child
from .launch import Launched, Launcher, Role
from .leases import Leases
from .outcome import FAILED, USAGE
from .reload import Watched, changes
from .waiting import first_of, within

_LOOK_SECONDS = 1.0
_AWAY_LOOKS = 3  # that did not take place: we were asleep, or stopped
_KILL_AFTER_SECONDS = 2.0
_STEADY_SECONDS = 5.0
_QUICK_RESTARTS = 2
_LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger("forebay.supervisor")


class Crew(NamedTuple):
    """Who is to work."""

    launcher: Launcher
    roles: Sequence[Role]
    """Of these the first leads: the others begin when it can be used."""
    leader: Launched
    watched: Sequence[Watched] | None = None
    """With `--reload`: the files whose changes start everybody again."""


def supervise(settings: Settings, crew: Crew) -> int:
    """Keep these processes going until a signal comes; tells the exit code."""
    return asyncio.run(Supervisor(settings, crew, SystemClock()).run())


class _Era:
    """From one change of the agents' files to the next."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Its leader can be used."""
        self.over = asyncio.Event()


class Falls:
    """How long to wait before a process is started again."""

    def __init__(self) -> None:
        self._quick = 0

    def pause_seconds(self, lived_seconds: float) -> float:
        """None for one that lived for a while; longer and longer for one that dies at once."""
        self._quick = 0 if lived_seconds > _STEADY_SECONDS else self._quick + 1
        late = self._quick - _QUICK_RESTARTS
        return 0.0 if late <= 0 else min(0.25 * 2**late, _LONGEST_PAUSE_SECONDS)


class Supervisor:
    """The processes of one command."""

    def __init__(self, settings: Settings, crew: Crew, clock: Clock) -> None:
        self._settings = settings
        self._crew = crew
        self._clock = clock
        self._children: list[Child] = []
        self._era = _Era()
        self._stopping = asyncio.Event()
        self._has_begun = asyncio.Event()
        self._code = 0
        self._fatal: StartError | MigrationNeeded | None = None
        self._leases: Leases | None = None
        if database(settings.db_url).engine != "memory":
            storage = open_storage(replace(settings, auto_migrate=False), clock, hears=False)
            sweeper = Sweeper(
                storage, clock, max_attempts=settings.max_attempts, resume=settings.resume
            )
            self._leases = Leases(storage, sweeper, clock, self._holders)

    async def run(self) -> int:
        """Until a signal comes, or nothing can begin. Raises StartError, MigrationNeeded."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._obey, number)
        loop.add_signal_handler(signal.SIGCHLD, self._look)
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(self._judge()), tasks.create_task(self._keep_leases())]
            if self._crew.watched is not None:
                beside.append(tasks.create_task(self._follow_changes(self._crew.watched)))
            slots = [
                tasks.create_task(self._keep(role, self._crew.leader if at == 0 else None))
                for at, role in enumerate(self._crew.roles)
            ]
            await asyncio.wait(slots)
            for task in beside:
                task.cancel()
        if self._leases is not None:
            await self._leases.aclose()
        if self._fatal is not None:
            raise self._fatal
        return self._code

    # --- keeping each of them going -------------------------------------------------------------

    async def _keep(self, role: Role, launched: Launched | None) -> None:
        leads, falls = launched is not None, Falls()
        while not self._stopping.is_set():
            era = self._era
            if not leads and not await self._comes_first(era.ready, era):
                continue
            child = self._begin(role, launched, era if leads else None)
            launched = None
            if child is None:
                await self._pause(falls.pause_seconds(0), era)
                continue
            try:
                ended_itself = await self._comes_first(child.gone, era)
                await self._end(child)
            finally:
                child.kill()  # nothing is left behind whatever happened here
            if ended_itself:
                await self._after(child, falls, era, leads=leads)

    async def _comes_first(self, event: asyncio.Event, era: _Era) -> bool:
        """Wait for this, or until something else has to be done."""
        await first_of(event, era.over, self._stopping)
        return event.is_set() and not era.over.is_set() and not self._stopping.is_set()

    def _begin(self, role: Role, launched: Launched | None, leads: _Era | None) -> Child | None:
        announces = leads is not None and not self._has_begun.is_set()
        try:
            launched = launched or self._crew.launcher.launch(role, announces=announces)
        except OSError as error:
            log.error("a process cannot be started: %s", error)  # noqa: TRY400 -- it says all
            return None
        limit = self._settings.worker_memory_mb if role == "worker" else 0
        child = Child(
            launched,
            self._clock,
            silent_seconds=self._settings.silent_seconds,
            memory_bytes=limit << 20,
            on_ready=partial(self._when_ready, leads),
        )
        self._children.append(child)
        child.look()
        return child

    def _when_ready(self, led: _Era | None) -> None:
        if led is not None:
            led.ready.set()
            self._has_begun.set()
        self._tell_workers()

    def _tell_workers(self) -> None:
        count = sum(child.role == "worker" and child.is_ready for child in self._children)
        for child in self._children:
            if child.role == "api":
                child.tell_workers(count)

    async def _end(self, child: Child) -> None:
        if not child.gone.is_set():
            child.terminate()
            if not await within(self._patience_seconds(child), child.gone):
                log.warning("%s did not end in time; leaving what is left", child.name)
                child.condemn("it did not end in time")
            await child.gone.wait()
        self._children.remove(child)
        self._lose(child)
        self._tell_workers()
        if self._stopping.is_set() and child.code not in (0, -signal.SIGTERM):
            self._code = self._code or FAILED

    def _patience_seconds(self, child: Child) -> float:
        drain = self._settings.drain_seconds if child.role == "worker" else 0
        return self._settings.stop_seconds + drain + _KILL_AFTER_SECONDS

    async def _after(self, child: Child, falls: Falls, era: _Era, *, leads: bool) -> None:
        """A child has ended by itself: what to do before the next one."""
        if leads and child.code > 0 and not self._has_begun.is_set():
            self._code = child.code  # it has said why
            self._stopping.set()
        elif child.code >= USAGE and self._crew.watched is not None:
            log.warning("%s has ended; waiting for a change", child.name)
            await first_of(era.over, self._stopping)
        else:
            why = child.condemned or f"it ended with {child.code}"
            log.warning("%s is gone (%s); starting another", child.name, why)
            await self._pause(falls.pause_seconds(child.lived_seconds), era)

    async def _pause(self, seconds: float, era: _Era) -> None:
        await within(seconds, era.over, self._stopping)

    # --- their leases ---------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        await self._has_begun.wait()  # what a database lacks is told by the one who leads
        if self._leases is None:
            return
        try:
            await self._leases.run()
        except (StartError, MigrationNeeded) as error:
            self._fatal = error
            self._stopping.set()

    def _holders(self) -> list[str]:
        return [each.holder for each in self._children if each.holder and not each.condemned]

    def _lose(self, child: Child) -> None:
        if self._leases is not None and child.holder is not None:
            why = child.condemned or f"its process ended with {child.code}"
            self._leases.lose(child.holder, why)

    # --- looking after them ---------------------------------------------------------------------

    async def _judge(self) -> NoReturn:
        last = self._clock.boot()
        pause = min(_LOOK_SECONDS, self._settings.silent_seconds / 4)
        while True:
            await self._clock.sleep(pause)
            now = self._clock.boot()
            if now - last > _AWAY_LOOKS * pause * 1000:
                for child in self._children:
                    child.forgive()
            last = now
            for child in self._children:
                reason = child.judge()
                if reason is not None:
                    child.condemn(reason)
                    self._lose(child)  # now, even if the system lets it go much later

    def _look(self) -> None:
        for child in self._children:
            child.look()

    async def _follow_changes(self, watched: Sequence[Watched]) -> None:
        async for _ in changes(watched, self._clock):
            log.info("a file has changed; starting again")
            over, self._era = self._era, _Era()
            over.over.set()

    def _obey(self, number: int) -> None:
        if self._stopping.is_set():
            for child in self._children:
                child.kill()
            os._exit(128 + number)
        self._stopping.set()
        for each in self._crew.launcher.sockets:
            each.close()  # when the children have closed theirs, who comes is refused
