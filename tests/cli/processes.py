"""Real processes: `forebay` as users start it, in a folder and an environment of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

PATIENCE_SECONDS = 20.0
"""How long a process may take for anything before a test fails."""

FOREBAY = [sys.executable, "-m", "forebay"]


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds in another process. Fails if it never does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Place:
    """A folder to run commands in. Whatever is begun there ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun: list[Process] = []

    def close(self) -> None:
        """End what was begun."""
        for process in self._begun:
            process.close()

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {**kept, **more}

    def run(self, *arguments: str, input: str | None = None, **variables: str) -> Ended:
        """Run `forebay` to its end."""
        done = subprocess.run(
            [*FOREBAY, *arguments],
            cwd=self.folder,
            env=self.variables(variables),
            input=input,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def begin(self, *arguments: str, **variables: str) -> "Process":
        """Start `forebay`, and go on."""
        return self.begin_at(None, *arguments, **variables)

    def begin_at(self, terminal: int | None, *arguments: str, **variables: str) -> "Process":
        """Start `forebay` with a terminal as its standard input, and go on."""
        return self._begin([*FOREBAY, *arguments], variables, terminal)

    def begin_with(self, command: Sequence[str], **variables: str) -> "Process":
        """Start a command of any interpreter, and go on."""
        return self._begin(command, variables)

    def _begin(
        self, command: Sequence[str], variables: Mapping[str, str], terminal: int | None = None
    ) -> "Process":
        process = Process(command, self.folder, self.variables(variables), terminal)
        self._begun.append(process)
        return process

    def serve(self, *arguments: str, port: int = 0, **variables: str) -> "Server":
        """Start a server, on a free port if none is given; wait until it says where it is."""
        return Server(self.begin("serve", "--json", "--port", str(port), *arguments, **variables))

    def write(self, name: str, text: str) -> Path:
        """Write a file of this folder."""
        path = self.folder / name
        path.write_text(text)
        return path


class Process:
    """A process, and what it prints."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        stdin: int | None = None,
    ) -> None:
        self._errors = (folder / f"stderr-{os.urandom(4).hex()}.txt").open("w+")
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def line(self) -> str:
        """The next line it prints. Fails if none comes."""
        try:
            return self._lines.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise AssertionError(f"it printed nothing more; its errors: {self.errors()}") from None

    def rest(self) -> list[str]:
        """The lines that nobody has read yet, when it has ended."""
        self._reader.join(PATIENCE_SECONDS)
        return [self._lines.get_nowait() for _ in range(self._lines.qsize())]

    def errors(self) -> str:
        """What it has printed to standard error so far."""
        return Path(self._errors.name).read_text()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; tells its exit code."""
        return self._process.wait(PATIENCE_SECONDS)

    def stop(self) -> int:
        """Ask it to end, and wait for it; tells its exit code."""
        self.send(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it as a power loss does."""
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.is_running:
            self.kill()
        self._reader.join(PATIENCE_SECONDS)
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


def children_of(process: Process, role: str = "") -> list[int]:
    """The processes that it has started and that still run: those of a role, or all."""
    told = subprocess.run(
        ["ps", "-axwwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    found: list[int] = []
    for line in told.splitlines():
        pid, parent, state, arguments = line.split(None, 3)
        mine = int(parent) == process.pid and not state.startswith("Z")
        if mine and f"--as-child {role}" in arguments:
            found.append(int(pid))
    return sorted(found)


def is_alive(pid: int) -> bool:
    """Whether this process runs, or is stopped."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip()[:1] not in ("", "Z")


class Server:
    """A server that has said where it is."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.banner: dict[str, Any] = json.loads(process.line())
        self.url: str = self.banner["url"]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def api(self) -> list[int]:
        """The processes that answer requests."""
        return children_of(self.process, "api")

    @property
    def workers(self) -> list[int]:
        """The processes that execute queued runs."""
        return children_of(self.process, "worker")

    @property
    def commands(self) -> list[str]:
        """The lines to try it with."""
        return list(self.banner["commands"].values())
