"""Side effects: every execution of a step leaves a line in a file, whatever becomes of it.

One `write` to a file that is opened for appending is whole, even if the process dies behind it.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Effect(NamedTuple):
    """One execution of a step."""

    run: str
    attempt: int
    name: str
    """The step's, which no other step of that run has."""
    key: str
    """Its idempotency key."""


def happen(file: str, effect: Effect) -> None:
    """Let the world know that this step is being executed."""
    line = "\t".join(map(str, effect)) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def happened(file: Path) -> Mapping[str, Sequence[Effect]]:
    """All that was done, by run."""
    by_run: defaultdict[str, list[Effect]] = defaultdict(list)
    if file.exists():
        for line in file.read_text().splitlines():
            run, attempt, name, key = line.split("\t")
            by_run[run].append(Effect(run, int(attempt), name, key))
    return by_run
