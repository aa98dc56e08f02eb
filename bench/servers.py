"""Processes: servers on free loopback ports and the load client, each kept on its own core.

Servers are started as users start them, with settings in the environment; all processes of one are
kept on the same core.
"""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

from .connection import Target
from .measure import Crew, children_of

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ROOT = Path(__file__).resolve().parent.parent
_FOREBAY = str(Path(sys.executable).with_name("forebay"))
_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0


class NotStarted(Exception):
    """A server did not become ready."""


def server_cores() -> list[int]:
    """Where servers run; empty if this system cannot keep a process on a core."""
    return _cores()[-1:] if len(_cores()) > 1 else []


def client_cores() -> list[int]:
    """Where the load client runs."""
    return _cores()[:1] if len(_cores()) > 1 else []


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


def _keep_on(pid: int, cores: Sequence[int]) -> None:
    if cores and sys.platform == "linux":
        os.sched_setaffinity(pid, cores)


def raise_file_limit() -> None:
    """Thousands of connections need as many files; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(16_384, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# --- servers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    target: Target
    """Its port, and the process that answers there."""
    supervisor: int
    """The process that was started: the parent of the others, if there are any."""
    start_seconds: float
    """From the start of the process to the first 200 of `/ready`."""

    def crew(self) -> Crew:
        """Its processes, once its worker has been started."""
        give_up = time.perf_counter() + _START_SECONDS
        while time.perf_counter() < give_up:
            workers = _children(self.supervisor, "worker")
            if workers:
                return Crew(self.supervisor, self.target.pid, workers[0])
            time.sleep(0.01)
        raise NotStarted(f"the server has no worker after {_START_SECONDS:g} s")


def _children(supervisor: int, role: str) -> list[int]:
    started = children_of(supervisor).items()
    return [pid for pid, command in started if f" --as-child {role}:" in command]


@contextmanager
def ceiling(folder: Path) -> Generator[Server]:
    """The raw ASGI applications."""
    port = _free_port()
    with _server([sys.executable, "-m", "bench.ceilings", str(port)], port, folder, {}) as server:
        yield server


@contextmanager
def forebay(
    folder: Path,
    database: str,
    settings: Mapping[str, str] | None = None,
    *,
    cores: Sequence[int] | None = None,
    more_routes: int = 0,
) -> Generator[Server]:
    """Our server on this database: `forebay serve`, as it is or with more routes."""
    port = _free_port()
    environment = {
        "FOREBAY_DB_URL": database,
        "FOREBAY_PORT": str(port),
        "FOREBAY_LOG_LEVEL": "warning",
        **(settings or {}),
    }
    if more_routes:
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "bench" / "more_routes")])
        environment |= {"PYTHONPATH": path, "BENCH_MORE_ROUTES": str(more_routes)}
    with _server([_FOREBAY, "serve"], port, folder, environment, cores) as server:
        yield server


@contextmanager
def worker(
    folder: Path, database: str, settings: Mapping[str, str] | None = None
) -> Generator[None]:
    """`forebay worker` on this database, which a server of ours has made."""
    environment = {
        "FOREBAY_DB_URL": database,
        "FOREBAY_LOG_LEVEL": "warning",
        **(settings or {}),
    }
    with _process([_FOREBAY, "worker"], folder / "worker.log", environment, server_cores()):
        yield


@contextmanager
def _server(
    command: Sequence[str],
    port: int,
    folder: Path,
    settings: Mapping[str, str],
    cores: Sequence[int] | None = None,
) -> Generator[Server]:
    log = folder / f"server-{port}.log"
    started = time.perf_counter()
    with _process(command, log, settings, server_cores() if cores is None else cores) as process:
        try:
            _wait_until_ready(process, port)
        except NotStarted as error:
            raise NotStarted(f"{error}: {log.read_text()[-500:].strip()}") from None
        seconds = time.perf_counter() - started
        answering = _children(process.pid, "api")[:1] or [process.pid]
        yield Server(Target(port, answering[0]), process.pid, seconds)


@contextmanager
def _process(
    command: Sequence[str], log: Path, settings: Mapping[str, str], cores: Sequence[int]
) -> Generator[subprocess.Popen[bytes]]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")
    }
    environment |= {"PYTHONPATH": str(_ROOT), **settings}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            _keep_on(process.pid, cores)  # before it starts others, which stay there too
            yield process
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.perf_counter() + _START_SECONDS
    request = f"GET /ready HTTP/1.1\r\nhost: {_HOST}\r\nconnection: close\r\n\r\n".encode()
    while time.perf_counter() < give_up:
        if process.poll() is not None:
            raise NotStarted(f"the server ended with {process.returncode}")
        try:
            with socket.create_connection((_HOST, port), timeout=5) as connection:
                connection.sendall(request)
                if connection.recv(12).endswith(b" 200"):
                    return
        except OSError:
            pass  # nobody listens yet
        time.sleep(0.002)
    raise NotStarted(f"the server was not ready after {_START_SECONDS:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return probe.getsockname()[1]


# --- the client ---------------------------------------------------------------------------------


class Client:
    """A process that runs jobs of `bench.load`, one at a time."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_keep_on, initargs=(0, client_cores())
        )

    def run(
        self, job: Callable[_P, Coroutine[None, None, _T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Run a job and return what it found. Raises what it raised."""
        return self.start(job, *args, **kwargs).result()

    def start(
        self, job: Callable[_P, Coroutine[None, None, _T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Run a job beside others."""
        return self._pool.submit(_run_job, job, *args, **kwargs)

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _run_job(
    job: Callable[_P, Coroutine[None, None, _T]], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    import uvloop  # noqa: PLC0415 -- in the client's process only

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(job(*args, **kwargs))
