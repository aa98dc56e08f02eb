"""Processes of this machine: who started whom, what state they are in, and signals to them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_LOOK_SECONDS = 0.01
_NOTHING = 0  # the signal that only asks whether the process is there


class Process(NamedTuple):
    """A process."""

    pid: int
    parent: int
    command: str

    def send(self, number: int) -> bool:
        """Send it a signal; tells whether it was there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    @property
    def is_there(self) -> bool:
        """Whether it has not ended. One that nobody has buried has."""
        return is_there(self.pid)


def descendants(pid: int) -> list[Process]:
    """The processes that a process has started, and they, and so on."""
    children: dict[int, list[Process]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    asked = [pid]
    while asked:
        below = children.get(asked.pop(), [])
        found += below
        asked += [process.pid for process in below]
    return sorted(found)


def is_there(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return any(process.pid == pid for process in _all())


async def gone(processes: Sequence[Process], seconds: float) -> list[Process]:
    """Wait until all of these have ended, but not longer; tells which have not."""
    give_up = time.monotonic() + seconds
    left = [process for process in processes if process.is_there]
    while left and time.monotonic() < give_up:
        await asyncio.sleep(_LOOK_SECONDS)  # of processes that are not ours nobody tells
        left = [process for process in left if process.is_there]
    return left


async def buried(process: Process, seconds: float) -> None:
    """Wait until a process has left nothing, not even its number, but not longer."""
    give_up = time.monotonic() + seconds
    while process.send(_NOTHING) and time.monotonic() < give_up:  # noqa: ASYNC110 -- not our process
        await asyncio.sleep(_LOOK_SECONDS)


def _all() -> Iterator[Process]:
    if sys.platform == "linux":
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError, IndexError):
                    stat = (folder / "stat").read_text()
                    state, parent, *_ = stat.rpartition(")")[2].split()
                    if state not in "ZX":
                        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                        yield Process(int(folder.name), int(parent), command)
        return
    told = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    )
    for line in told.stdout.splitlines():
        pid, parent, state, command = line.split(None, 3)
        if not state.startswith("Z"):
            yield Process(int(pid), int(parent), command)
