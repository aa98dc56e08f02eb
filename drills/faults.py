"""Faults: what is done to the processes, the database and the network, and how it is undone.

A fault begins (`began` is called), and is over when everything that it took away is back.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol, TypeAlias

from forebay.core.holders import home

from .plans import is_holding
from .processes import Process, gone
from .stage import LEASE_SECONDS, SILENT_SECONDS, Stage
from .stories import Hit, Story

_PATIENCE_SECONDS = 10.0  # for something to hit
_WORK_SECONDS = 2.0
_LOOK_SECONDS = 0.05

Hits: TypeAlias = Callable[[Story], bool]
"""Whether a fault hits this run."""


class Began(Protocol):
    """What a fault that comes is told of, and what it may ask."""

    def __call__(self, hits: Hits, target: str) -> None:
        """To be called at the moment of truth: which runs it hits, and what was hit."""
        ...

    def count(self, hits: Hits) -> int:
        """How many runs it would hit now."""
        ...


Inject: TypeAlias = Callable[[Stage, Random, Began], Awaitable[None]]


class Kind(NamedTuple):
    """A kind of fault."""

    name: str
    share: int
    """How often it comes, compared with others."""
    inject: Inject
    takes: Sequence[str] = ()
    """What no other fault may touch meanwhile."""
    lacks: Callable[[Stage], str | None] = lambda stage: None
    """What this stage lacks for it, if anything."""


@dataclass(slots=True)
class Fault:
    """A fault that came."""

    number: int
    kind: str
    target: str
    at: float
    over: float | None = None
    hit: int = 0
    recoveries: list[float] = field(default_factory=list[float])
    """How long it took each run that was hit until its client heard something new of it."""


# --- processes ----------------------------------------------------------------------------------


async def _kill_worker(stage: Stage, rng: Random, began: Began) -> None:
    await _signal_one(stage.workers, signal.SIGKILL, rng, began)


async def _kill_api(stage: Stage, rng: Random, began: Began) -> None:
    await _signal_one(stage.api, signal.SIGKILL, rng, began, hits_all=True)


async def _stop_worker(stage: Stage, rng: Random, began: Began) -> None:
    await _stop_one(stage.workers, rng, began)


async def _stop_api(stage: Stage, rng: Random, began: Began) -> None:
    await _stop_one(stage.api, rng, began, hits_all=True)


async def _kill_server(stage: Stage, rng: Random, began: Began) -> None:
    began(_is_under_way, str(stage.server.pid))
    await stage.server.kill()
    await asyncio.sleep(rng.uniform(0, 1))
    await stage.server.start()


async def _restart_server(stage: Stage, rng: Random, began: Began) -> None:
    del rng
    began(_is_under_way, str(stage.server.pid))
    await stage.server.stop()
    await stage.server.start()


async def _kill_worker_command(stage: Stage, rng: Random, began: Began) -> None:
    await _until_it_works(lambda: _held_by(stage.worker.children("worker")), began)
    began(_held_by(stage.worker.children("worker")), str(stage.worker.pid))
    await stage.worker.kill()
    await asyncio.sleep(rng.uniform(0, 1))
    await stage.worker.start()


async def _freeze_worker_command(stage: Stage, rng: Random, began: Began) -> None:
    """A machine that sleeps: its supervisor, too, does not renew the lease."""
    await _until_it_works(lambda: _held_by(stage.worker.children("worker")), began)
    pid = stage.worker.pid
    if pid is None or not stage.worker.children("worker"):
        return
    everybody = [Process(pid, 0, "supervisor"), *stage.worker.everybody()]
    began(_held_by(everybody), str(pid))
    for process in everybody:
        process.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(LEASE_SECONDS + rng.uniform(0.5, 3))
    finally:
        for process in everybody:
            process.send(signal.SIGCONT)


async def _lose_host(stage: Stage, rng: Random, began: Began) -> None:
    """Nobody else can know that its processes are gone: only the lease tells."""
    await _until_it_works(lambda: _held_in(stage.host_space), began)
    host, space = stage.host, stage.host_space
    if host is None or space is None:
        return
    began(_held_in(space), space)
    await host.kill()
    await asyncio.sleep(rng.uniform(0, 2))
    await host.start()


async def _signal_one(
    among: Callable[[], Sequence[Process]],
    number: signal.Signals,
    rng: Random,
    began: Began,
    *,
    hits_all: bool = False,
) -> Process | None:
    process = await _choose(among, rng, began)
    if process is None or not process.send(number):
        return None
    began(_is_under_way if hits_all else _held_by([process]), str(process.pid))
    return process


async def _stop_one(
    among: Callable[[], Sequence[Process]], rng: Random, began: Began, *, hits_all: bool = False
) -> None:
    """For a while that its supervisor bears, or for a longer one that it does not survive."""
    process = await _signal_one(among, signal.SIGSTOP, rng, began, hits_all=hits_all)
    if process is not None:
        await gone([process], rng.uniform(0.2, SILENT_SECONDS * 2.5))
        process.send(signal.SIGCONT)


async def _choose(
    among: Callable[[], Sequence[Process]], rng: Random, began: Began
) -> Process | None:
    """One of these that executes runs, or else any; if there is none, the first one that comes."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not (found := among()) and time.monotonic() < give_up:  # noqa: ASYNC110 -- not our processes
        await asyncio.sleep(_LOOK_SECONDS)
    busy = [process for process in found if began.count(_held_by([process]))]
    return rng.choice(busy or found) if found else None


async def _until_it_works(whose: Callable[[], Hits], began: Began) -> None:
    """Wait until runs would be hit, but not for long."""
    give_up = time.monotonic() + _WORK_SECONDS
    while not began.count(whose()) and time.monotonic() < give_up:  # noqa: ASYNC110 -- not our processes
        await asyncio.sleep(_LOOK_SECONDS)


# --- the network --------------------------------------------------------------------------------


async def _cut(stage: Stage, rng: Random, began: Began) -> None:
    share = rng.choice([0.3, 0.6, 1.0])
    if cut := stage.network.cut(share):
        began(_is_under_way, f"{cut} connections")


# --- the database -------------------------------------------------------------------------------


async def _storm(stage: Stage, rng: Random, began: Began) -> None:
    holds = [rng.uniform(0.1, 2.0) for _ in range(rng.randrange(1, 4))]
    began(_is_under_way, f"{sum(holds):.1f} s")
    await stage.database.lock(holds)


async def _fill_disk(stage: Stage, rng: Random, began: Began) -> None:
    disk = stage.database.disk
    assert disk is not None, "or it would not be chosen"
    seconds = rng.uniform(0.5, 3)
    began(_is_under_way, f"{seconds:.1f} s")
    full = asyncio.create_task(disk.be_full(seconds))
    await stage.database.spoil_reserves()
    await full


async def _kill_postgres(stage: Stage, rng: Random, began: Began) -> None:
    server = stage.database.server
    assert server is not None, "or it would not be chosen"
    began(_is_under_way, "all of it")
    await server.kill()
    await asyncio.sleep(rng.uniform(0, 2))
    await server.recovered()


async def _crash_postgres(stage: Stage, rng: Random, began: Began) -> None:
    server = stage.database.server
    assert server is not None, "or it would not be chosen"
    if await server.crash_one(rng):
        began(_is_under_way, "one of its processes")
        await server.recovered()


async def _end_sessions(stage: Stage, rng: Random, began: Began) -> None:
    del rng
    if count := await stage.database.end_sessions():
        began(_is_under_way, f"{count} sessions")


# --- the list -----------------------------------------------------------------------------------


def _lacks_disk(stage: Stage) -> str | None:
    return None if stage.database.disk else "no small disk can be made here"


def _lacks_postgres(stage: Stage) -> str | None:
    return None if stage.database.server else "SQLite is no process of its own"


def _lacks_host(stage: Stage) -> str | None:
    return None if stage.host else "no process can be hidden from others here"


KINDS: Sequence[Kind] = (
    Kind("connections cut", 16, _cut),
    Kind("worker killed", 16, _kill_worker),
    Kind("API process killed", 14, _kill_api),
    Kind("server killed", 7, _kill_server, ("server",)),
    Kind("server restarted", 4, _restart_server, ("server",)),
    Kind("worker command killed", 5, _kill_worker_command, ("worker",)),
    Kind("worker stopped", 8, _stop_worker, ("stop",)),
    Kind("API process stopped", 5, _stop_api, ("stop",)),
    Kind("worker command frozen", 2, _freeze_worker_command, ("worker", "stop", "database")),
    Kind("host lost", 3, _lose_host, ("host",), _lacks_host),
    Kind("lock storm", 8, _storm, ("database",)),
    Kind("disk full", 6, _fill_disk, ("database",), _lacks_disk),
    Kind("PostgreSQL killed", 5, _kill_postgres, ("database",), _lacks_postgres),
    Kind("PostgreSQL crashed", 3, _crash_postgres, ("database",), _lacks_postgres),
    Kind("sessions ended", 5, _end_sessions, ("database",), _lacks_postgres),
)


def sequence(stage: Stage, count: int, rng: Random) -> list[Kind]:
    """So many kinds in a random order, each as often as it should come."""
    possible = [kind for kind in KINDS if kind.lacks(stage) is None]
    whole = sum(kind.share for kind in possible)
    shares = [(kind.share * count / whole, kind) for kind in possible]
    chosen = [kind for share, kind in shares for _ in range(int(share))]
    rest = [kind for share, kind in shares if share % 1 > rng.random()]
    rng.shuffle(rest)
    chosen += (rest or possible)[: count - len(chosen)]
    while len(chosen) < count:
        chosen.append(rng.choices(possible, [kind.share for kind in possible])[0])
    rng.shuffle(chosen)
    return chosen


class Injector:
    """Lets faults come, one after another and beside one another, until there were enough."""

    def __init__(self, stage: Stage, rng: Random, stories: Callable[[], Sequence[Story]]) -> None:
        self.faults: list[Fault] = []
        self._stage = stage
        self._random = rng
        self._stories = stories
        self._taken: set[str] = set()
        self._freed = asyncio.Event()

    async def inject(self, count: int, *, pause_seconds: float, until: float) -> None:
        """So many faults, but none after that moment. Returns when all of them are over."""
        while len(self.faults) < count and time.monotonic() < until:
            # Some may have found nothing to hit.
            missing = sequence(self._stage, count - len(self.faults), self._random)
            await self._inject(missing, pause_seconds, until)

    async def _inject(self, waiting: list[Kind], pause_seconds: float, until: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            while waiting and time.monotonic() < until:
                kind = await self._next(waiting)
                self._taken.update(kind.takes)
                tasks.create_task(self._come(kind, Random(self._random.random())))
                pause = self._random.expovariate(1 / pause_seconds)
                await asyncio.sleep(min(pause, pause_seconds * 3))

    async def _next(self, waiting: list[Kind]) -> Kind:
        while True:
            for at, kind in enumerate(waiting):
                if self._taken.isdisjoint(kind.takes):
                    return waiting.pop(at)
            self._freed.clear()
            await self._freed.wait()

    async def _come(self, kind: Kind, rng: Random) -> None:
        coming = _Coming(kind, self)
        try:
            await kind.inject(self._stage, rng, coming)
        finally:
            if (fault := coming.fault) is not None:
                fault.over = time.monotonic()
            self._taken.difference_update(kind.takes)
            self._freed.set()

    def begin(self, kind: Kind, hits: Hits, target: str) -> Fault:
        """A fault has come."""
        fault = Fault(len(self.faults) + 1, kind.name, target, time.monotonic())
        self.faults.append(fault)
        for story in self.hit(hits):
            fault.hit += 1
            story.hits.append(Hit(fault.at, fault.recoveries.append))
        return fault

    def hit(self, hits: Hits) -> list[Story]:
        """The runs under way that are hit like this."""
        return [story for story in self._stories() if _is_under_way(story) and hits(story)]


class _Coming:
    """A fault that is about to come."""

    def __init__(self, kind: Kind, injector: Injector) -> None:
        self.fault: Fault | None = None
        self._kind = kind
        self._injector = injector

    def __call__(self, hits: Hits, target: str) -> None:
        self.fault = self._injector.begin(self._kind, hits, target)

    def count(self, hits: Hits) -> int:
        return len(self._injector.hit(hits))


def _is_under_way(story: Story) -> bool:
    # A run that waits says nothing, and one that holds the lock says nothing for long.
    return (
        story.run is not None
        and story.status in ("submitted", "running")
        and not is_holding(story.plan)
    )


def _held_by(processes: Sequence[Process]) -> Hits:
    pids = {str(process.pid) for process in processes}
    space = _own_space()

    def is_held(story: Story) -> bool:
        _boot, in_space, pid, *_ = (story.holder or "///").split("/")
        return in_space == space and pid in pids

    return is_held


def _held_in(space: str | None) -> Hits:
    return lambda story: story.holder is not None and f"/{space}/" in story.holder


def _own_space() -> str:
    return home().split("/")[1]
