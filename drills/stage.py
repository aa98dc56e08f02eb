"""The stage: a server, workers elsewhere, a database, and a network that can be cut.

Everything is started as users start it, and ends with the stage, whatever state it is in.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import sample
from typing import Literal, TypeAlias

from .databases import Database
from .processes import Process, descendants, gone, is_there
from .proxy import Network
from .wire import HOST, Asked, Lost, ask

Role: TypeAlias = Literal["api", "worker"]

LEASE_SECONDS = 9.0
"""How long the product's leases last; no setting."""
SILENT_SECONDS = 3.0
"""After how long a supervisor kills a child that is stopped. The least that may be set."""

_ROOT = Path(__file__).resolve().parent.parent
_PORTS = range(20_000, 32_000)
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_PAUSE_SECONDS = 0.5  # before what has ended by itself is started again
_FOLLOW_SECONDS = 3.0  # how long children may take to die with their supervisor
_SETTINGS = {
    "FOREBAY_AGENTS": "drills.agents",
    "FOREBAY_DEFAULT_AGENT": "talker",
    "FOREBAY_AUTO_MIGRATE": "true",
    "FOREBAY_SILENT_SECONDS": f"{SILENT_SECONDS:g}",
    "FOREBAY_STOP_SECONDS": "3",
    "FOREBAY_DRAIN_SECONDS": "1",
    # Drills kill more often than it takes some agents to say something.
    "FOREBAY_MAX_ATTEMPTS": "1000",
    # So that every worker has some of the runs.
    "FOREBAY_CONCURRENCY": "12",
    "FOREBAY_LOG_LEVEL": "warning",
    "FOREBAY_LOG_FORMAT": "text",
}


class NotStarted(Exception):
    """A stage cannot be set."""


class Command:
    """One `forebay …` that somebody has typed: a supervisor, and the children that it starts."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, str],
        log: Path,
        complain: Callable[[str], None],
    ) -> None:
        self.name = name
        self.log = log
        self.lock = asyncio.Lock()
        """Held by who takes it down, until it is up again."""
        self._command = command
        self._settings = settings
        self._complain = complain
        self._process: asyncio.subprocess.Process | None = None
        self._mourning: asyncio.Task[None] | None = None
        self._is_meant_to_end = False

    @property
    def pid(self) -> int | None:
        """Its supervisor, or whoever has brought that into another world."""
        return None if self._process is None else self._process.pid

    def children(self, role: Role) -> list[Process]:
        """Its children that do this."""
        return [each for each in self.everybody() if f"--as-child {role}:" in each.command]

    def everybody(self) -> list[Process]:
        """All processes below the one that was started."""
        return [] if self._process is None else descendants(self._process.pid)

    async def start(self) -> None:
        """Start it."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")
        }
        self._is_meant_to_end = False
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=_ROOT,
                env={**environment, **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the drill, which ends everybody itself
            )
        self._mourning = asyncio.create_task(self._mourn(self._process))

    async def kill(self) -> None:
        """`kill -9` of the supervisor. Its children have to die with it."""
        self._is_meant_to_end = True
        everybody = self.everybody()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        left = await gone(everybody, _FOLLOW_SECONDS)
        if left:
            self._complain(f"{self.name}: processes outlived their supervisor: {left}")
        for process in left:
            process.send(signal.SIGKILL)

    async def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """SIGTERM, as an operator's restart sends it."""
        self._is_meant_to_end = True
        if self._process is None or self._process.returncode is not None:
            return
        everybody = self.everybody()
        self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self._complain(f"{self.name} did not end within {seconds:g} s of SIGTERM")
            await self.kill()
            return
        if left := await gone(everybody, _FOLLOW_SECONDS):
            self._complain(f"{self.name}: processes outlived their supervisor: {left}")

    async def close(self) -> None:
        """Leave nothing behind."""
        if self._mourning is not None:
            self._mourning.cancel()
            await asyncio.gather(self._mourning, return_exceptions=True)
        await self.kill()

    async def _mourn(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if not self._is_meant_to_end:
            self._complain(f"{self.name} ended by itself with {code}; see {self.log}")
            await asyncio.sleep(_PAUSE_SECONDS)
            await self.start()


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a drill has before it."""

    database: Database
    api_processes: int
    folder: Path
    network: Network
    server: Command
    worker: Command
    """A `forebay worker` on the same machine."""
    host: Command | None
    """A `forebay worker` whose processes nobody else can see, as on another machine."""
    complaints: Counter[str]
    """What went wrong with processes, and how often."""

    @property
    def effects(self) -> Path:
        """Where steps write down that they were executed."""
        return self.folder / "effects.txt"

    @property
    def commands(self) -> list[Command]:
        return [each for each in (self.server, self.worker, self.host) if each is not None]

    def workers(self) -> list[Process]:
        """Worker processes that this machine shows."""
        return [
            *self.server.children("worker"),
            *self.worker.children("worker"),
        ]

    def api(self) -> list[Process]:
        """The processes that answer."""
        return self.server.children("api")

    @property
    def host_space(self) -> str | None:
        """The name of the process space of the other machine."""
        processes = self.host.everybody() if self.host else []
        try:
            return (Path("/proc") / str(processes[-1].pid) / "ns/pid").readlink().name
        except (IndexError, OSError):
            return None


@asynccontextmanager
async def stage(database: Database, api_processes: int, folder: Path) -> AsyncGenerator[Stage]:
    """A stage where everything works. Raises NotStarted."""
    complaints: Counter[str] = Counter()

    def complain(told: str) -> None:
        complaints[told] += 1

    settings = {
        **_SETTINGS,
        "FOREBAY_DB_URL": database.url,
        "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}",
    }
    port = _free_port()
    forebay = [sys.executable, "-m", "forebay"]

    async with AsyncExitStack() as stack:

        def command(name: str, *line: str) -> Command:
            made = Command(name, line, settings, folder / f"{name}.log", complain)
            stack.push_async_callback(made.close)
            return made

        serve = ["serve", "--port", str(port), "--workers", str(api_processes)]
        server = command("server", *forebay, *serve, "--run-workers", "1")
        worker = command("worker", *forebay, "worker")
        away = _elsewhere()
        host = command("host", *away, *forebay, "worker") if away else None
        network = await stack.enter_async_context(Network(port).running())
        await server.start()
        await _until_ready(server, port)
        for each in (worker, host):
            if each is not None:
                await each.start()
        yield Stage(database, api_processes, folder, network, server, worker, host, complaints)


def _elsewhere() -> list[str]:
    """What to put before a command so that others cannot see its processes; empty if impossible."""
    found = shutil.which("unshare")
    if found is None:
        return []
    line = [found, "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*line, "true"], capture_output=True, check=False)
    return line if tried.returncode == 0 else []


async def _until_ready(server: Command, port: int) -> None:
    give_up = asyncio.get_running_loop().time() + _START_SECONDS
    while asyncio.get_running_loop().time() < give_up:
        try:
            if (await ask(port, Asked("GET", "/ready"))).status == 200:
                return
        except Lost:
            pass  # nobody listens yet
        if server.pid is None or not is_there(server.pid):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    told = server.log.read_text()[-1000:]
    raise NotStarted(f"the server was not ready after {_START_SECONDS:g} s: {told}")


def _free_port() -> int:
    # Not one that the system hands out to whoever connects somewhere: while the server is down,
    # somebody would get it.
    for port in sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise NotStarted("no port is free")
