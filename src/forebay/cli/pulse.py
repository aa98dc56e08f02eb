"""Whether a child process still works: by what it says, and by what the system says of it.

One that says nothing but uses CPU is busy, and left alone: it may hold the interpreter lock for a
minute. One that is stopped, or says nothing and does nothing, is given up after a bound.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from forebay.core.clock import Millis

_QUIET_MILLIS = 2_000  # a beat comes every second
_BUSY = 0.02  # of a core; what a process does that waits is far less
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Signs(NamedTuple):
    """What the system says of a process."""

    is_stopped: bool
    is_runnable: bool
    """It would use CPU, if it got any."""
    cpu_seconds: float
    resident_bytes: int


class Pulse:
    """One child: when it was last heard, and last seen at work."""

    def __init__(self, bound_seconds: float, memory_bytes: int, now: Millis) -> None:
        self._bound_seconds = bound_seconds
        self._memory = memory_bytes
        self._has_beaten = False
        self._heard = self._alive = now
        self._looked: Millis | None = None
        self._cpu = 0.0

    def beat(self, now: Millis) -> None:
        """It has said something."""
        self._has_beaten = True
        self._heard = self._alive = now

    def forgive(self, now: Millis) -> None:
        """What has been so far counts no more: we were away ourselves."""
        self._heard = self._alive = now

    def is_in_question(self, now: Millis) -> bool:
        """Whether the system has to be asked."""
        return bool(self._memory) or now - self._heard > _QUIET_MILLIS

    def judge(self, signs: Signs, now: Millis) -> str | None:
        """Why the child has to be killed, if it has to."""
        before, self._looked = self._looked, now
        used, self._cpu = signs.cpu_seconds - self._cpu, signs.cpu_seconds
        if self._memory and signs.resident_bytes > self._memory:
            taken, limit = signs.resident_bytes >> 20, self._memory >> 20
            return f"it used {taken} MiB of memory, and may use {limit}"
        if before is None or before < self._heard:
            return None  # what it has used since it fell silent is seen at the next look
        if signs.is_runnable or used > _BUSY * (now - before) / 1000:
            self._alive = now
        if now - self._alive <= self._bound_seconds * 1000:
            return None
        if signs.is_stopped:
            return f"it was stopped for {self._bound_seconds:g} s"
        if self._has_beaten:  # before that it imports what its user wants, and holds no lease
            return f"it said nothing and used no CPU for {self._bound_seconds:g} s"
        return None


def signs_of(pid: int) -> Signs | None:
    """What the system says of this process; None if it says nothing (any more)."""
    return _from_proc(pid) if sys.platform == "linux" else _from_ps(pid)


def _from_proc(pid: int) -> Signs | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    cpu = (int(fields[10]) + int(fields[11])) / _TICKS
    return Signs(state in "Tt", state == "R", cpu, int(fields[20]) * _PAGE)


def _from_ps(pid: int) -> Signs | None:
    told = subprocess.run(
        ["ps", "-o", "stat=,rss=,time=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if len(told) != 3:
        return None
    state, kilobytes, clock = told
    seconds = 0.0
    for part in clock.replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part)
    stopped, runnable = state.startswith("T"), state.startswith("R")
    return Signs(stopped, runnable, seconds, int(kilobytes) * 1024)
