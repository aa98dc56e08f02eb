"""Readings of processes, alone and together, and what several rounds of them add up to.

Only ratios and CPU per operation travel between machines; wall figures stand beside them.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ON_LINUX = sys.platform == "linux"


class Reading(NamedTuple):
    """CPU seconds that a process or several have used so far, and the time on the wall."""

    cpu: float
    wall: float

    def since(self, earlier: "Reading") -> "Reading":
        """What was used in between."""
        return Reading(self.cpu - earlier.cpu, self.wall - earlier.wall)


def read(pid: int) -> Reading:
    """A process with its descendants, now."""
    cpu = _cpu_from_proc(pid) if _ON_LINUX else sum(each.cpu for each in _ps_family(pid))
    return Reading(cpu, time.perf_counter())


@dataclass(frozen=True, slots=True)
class Crew:
    """The processes of one `forebay serve` that has one of each."""

    supervisor: int
    api: int
    worker: int

    def read(self) -> "Shares":
        """All three, now."""
        supervisor, api, worker = map(_cpu_of, (self.supervisor, self.api, self.worker))
        return Shares(supervisor, api, worker, time.perf_counter())


class Shares(NamedTuple):
    """CPU seconds of a crew's processes, one by one, and the time on the wall."""

    supervisor: float
    api: float
    worker: float
    wall: float

    def since(self, earlier: "Shares") -> "Shares":
        """What was used in between."""
        return Shares(
            self.supervisor - earlier.supervisor,
            self.api - earlier.api,
            self.worker - earlier.worker,
            self.wall - earlier.wall,
        )

    @property
    def together(self) -> Reading:
        """What all of them used."""
        return Reading(self.supervisor + self.api + self.worker, self.wall)

    def told_per(self, operations: int) -> str:
        """How much of it was whose, for a note."""
        micros = [each / operations * 1e6 for each in (self.supervisor, self.api, self.worker)]
        return "supervisor {:.1f}, API process {:.1f}, worker {:.1f} µs".format(*micros)


def resident_bytes(pid: int) -> int:
    """The memory of one process that is resident. Buffers of the kernel do not count."""
    if not _ON_LINUX:
        return next(each.rss for each in _ps_family(pid) if each.pid == pid)
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def children_of(pid: int) -> dict[int, str]:
    """The living children of a process, and by what command each was started."""
    if _ON_LINUX:
        return {
            child: Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            for child, (parent, _) in _parents_from_proc().items()
            if parent == pid
        }
    listed = _ps("pid=,ppid=,command=")
    found = [line.split(maxsplit=2) for line in listed]
    return {int(own): command for own, parent, command in found if int(parent) == pid}


# --- several rounds -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement: what was done, what it cost the server, and what was checked."""

    operations: int
    used: Reading
    frames: int = 0
    """Frames received in the measured answers, each of which had exactly the expected number."""

    @property
    def cpu_micros(self) -> float:
        return self.used.cpu / self.operations * 1e6

    @property
    def per_second(self) -> float:
        return self.operations / self.used.wall


@dataclass(frozen=True, slots=True)
class Figure:
    """A median, with the lowest and the highest of the rounds."""

    median: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> "Figure":
        return cls(statistics.median(values), min(values), max(values), unit)


def cpu_figure(loads: Sequence[Load], unit: str) -> Figure:
    """CPU per operation over the rounds."""
    return Figure.of([load.cpu_micros for load in loads], unit)


def ratio_figure(loads: Sequence[Load], ceiling: Sequence[Load]) -> Figure:
    """How many times the ceiling's CPU, round by round."""
    pairs = zip(loads, ceiling, strict=True)
    return Figure.of([ours.cpu_micros / theirs.cpu_micros for ours, theirs in pairs], "x")


def interleaved(rounds: int, sides: Mapping[str, Callable[[], _T]]) -> dict[str, list[_T]]:
    """Measure every side once per round, in turn; every other round backwards."""
    found: dict[str, list[_T]] = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in order:
            found[name].append(sides[name]())
    return found


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which this part of the values lies."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))]


# --- where readings come from -------------------------------------------------------------------


def _cpu_from_proc(pid: int) -> float:
    listed = _parents_from_proc()
    parents = {child: parent for child, (parent, _) in listed.items()}
    waited = {child: seconds for child, (_, seconds) in listed.items()}
    return sum(_clock_of(each) + waited.get(each, 0.0) for each in _family(pid, parents))


def _parents_from_proc() -> dict[int, tuple[int, float]]:
    # Of every process: its parent, and the CPU of its children that have ended.
    found: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        fields = text.rpartition(")")[2].split()
        waited = (int(fields[13]) + int(fields[14])) / _TICKS
        found[int(stat.parent.name)] = (int(fields[1]), waited)
    return found


def _cpu_of(pid: int) -> float:
    if _ON_LINUX:
        return _clock_of(pid)
    return next(each.cpu for each in _ps_family(pid) if each.pid == pid)


def _clock_of(pid: int) -> float:
    # user + system of all of its threads, as in /proc/PID/stat but in nanoseconds, not in ticks.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it has ended meanwhile


def _family(pid: int, parents: Mapping[int, int]) -> list[int]:
    family = [pid]
    for member in family:
        family.extend(child for child, parent in parents.items() if parent == member)
    return family


class _Process(NamedTuple):
    pid: int
    cpu: float
    rss: int


def _ps(columns: str) -> list[str]:
    command = ["ps", "-axo", columns]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def _ps_family(pid: int) -> list[_Process]:
    processes: dict[int, _Process] = {}
    parents: dict[int, int] = {}
    for line in _ps("pid=,ppid=,rss=,time="):
        own, parent, rss, clock = line.split()
        parents[int(own)] = int(parent)
        processes[int(own)] = _Process(int(own), _seconds(clock), int(rss) * 1024)
    return [processes[each] for each in _family(pid, parents)]


def _seconds(clock: str) -> float:
    total = 0.0
    for part in clock.replace("-", ":").split(":"):
        total = total * 60 + float(part)
    return total
