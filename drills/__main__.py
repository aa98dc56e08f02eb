"""`python -m drills [--faults N] [--seed S] [--db …] [--workers N] [--minutes M]`: hold drills."""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from .databases import Database, postgres, sqlite
from .faults import KINDS
from .report import Told, table, tracebacks, violation_line
from .rounds import Round, Size, play, references
from .stage import LEASE_SECONDS, NotStarted, Stage, stage
from .wire import Wrong

_DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Database]]] = {
    "sqlite": sqlite,
    "postgres": postgres,
}
_ROUND_FAULTS = 50
_MOST_VIOLATIONS = 20  # of a round that are told one by one


@dataclass(frozen=True, slots=True)
class Drills:
    """What was asked for."""

    seed: str
    faults: int
    """On each database."""
    databases: Sequence[str]
    api_processes: Sequence[int]
    clients: int
    hold_seconds: float
    seconds: float
    """On each database; after that no fault comes any more."""
    folder: Path
    keeps: bool

    def again(self, database: str, api_processes: int) -> str:
        """The command that holds a part of these drills once more."""
        share = self.faults // len(self.api_processes)
        return (
            f"python -m drills --seed {self.seed} --db {database} --workers {api_processes} "
            f"--faults {share} --clients {self.clients} --hold {self.hold_seconds:g}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the drills that were asked for; 1 if anything did not hold."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-drills-"))
    drills = _read(arguments, folder)
    try:
        code = asyncio.run(_until_signal(_hold(drills)))
    except KeyboardInterrupt:
        code = 130
    except (NotStarted, Wrong) as error:
        print(f"the drills could not be held: {error}")
        code = 1
    if code != 1 and not drills.keeps:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"the logs of all processes are in {folder}")
    return code


def _read(arguments: Sequence[str] | None, folder: Path) -> Drills:
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__)
    parser.add_argument("--faults", type=int, default=300, help="on each database; default: 300")
    parser.add_argument("--seed", help="what comes when, and to whom; default: another each time")
    parser.add_argument("--db", choices=[*_DATABASES, "both"], default="both")
    parser.add_argument(
        "--workers", type=int, action="append", help="API processes; default: first 1, then 4"
    )
    parser.add_argument("--clients", type=int, default=50, help="at the same time; default: 50")
    parser.add_argument("--minutes", type=float, default=15, help="on each database; default: 15")
    parser.add_argument(
        "--hold",
        type=float,
        default=LEASE_SECONDS + 1,
        help="seconds for which a step keeps the interpreter lock; default: longer than a lease",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of all processes")
    asked = parser.parse_args(arguments)
    return Drills(
        asked.seed or secrets.token_hex(4),
        asked.faults,
        list(_DATABASES) if asked.db == "both" else [asked.db],
        asked.workers or [1, 4],
        asked.clients,
        asked.hold,
        asked.minutes * 60,
        folder,
        asked.keep,
    )


async def _until_signal(drills: Coroutine[None, None, int]) -> int:
    task = asyncio.create_task(drills)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 130


async def _hold(drills: Drills) -> int:
    print(f"seed {drills.seed}", flush=True)
    told = [await _hold_on(name, drills) for name in drills.databases]
    print(f"\n{table(told)}", flush=True)
    return 1 if any(each.violations for each in told) else 0


async def _hold_on(database: str, drills: Drills) -> Told:
    began = time.monotonic()
    rounds: list[Round] = []
    lacks: list[str] = []
    raised: Counter[str] = Counter()
    share, more = divmod(drills.faults, len(drills.api_processes))
    for at, processes in enumerate(drills.api_processes):
        folder = _folder(drills.folder / f"{database}-{processes}")
        until = began + drills.seconds * (at + 1) / len(drills.api_processes)
        async with _set(database, processes, folder) as on_stage:
            lacks += [f"{kind.name}: {why}" for kind in KINDS if (why := kind.lacks(on_stage))]
            rounds += await _rounds(on_stage, drills, share + (at < more), until)
        raised += tracebacks(folder / "stage")
    return Told(database, rounds, time.monotonic() - began, lacks, raised)


@asynccontextmanager
async def _set(database: str, api_processes: int, folder: Path) -> AsyncGenerator[Stage]:
    async with (
        _DATABASES[database](folder) as opened,
        stage(opened, api_processes, _folder(folder / "stage")) as on_stage,
    ):
        yield on_stage


async def _rounds(on_stage: Stage, drills: Drills, faults: int, until: float) -> list[Round]:
    name = f"{on_stage.database.name}, {on_stage.api_processes} API"
    seed = f"{drills.seed}/{on_stage.database.name}/{on_stage.api_processes}"
    expected = await references(on_stage, _size(drills, 0, until), seed)
    told: list[Round] = []
    while faults > 0 and time.monotonic() < until:
        number = len(told) + 1
        size = _size(drills, min(faults, _ROUND_FAULTS), until)
        played = await play(on_stage, f"{name}, round {number}", size, f"{seed}/{number}", expected)
        told.append(played)
        faults -= size.faults
        _tell(played, drills, on_stage)
    return told


def _size(drills: Drills, faults: int, until: float) -> Size:
    return Size(drills.clients, faults, drills.hold_seconds, until)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _tell(played: Round, drills: Drills, on_stage: Stage) -> None:
    again = drills.again(on_stage.database.name, on_stage.api_processes)
    for violation in played.violations[:_MOST_VIOLATIONS]:
        print(violation_line(violation, played, again, drills.folder), flush=True)
    if (more := len(played.violations) - _MOST_VIOLATIONS) > 0:
        print(f"… and {more} more violations of this round", flush=True)
    print(
        f"{played.stage}: {len(played.faults)} faults in {played.calm - played.began:.0f} s, "
        f"{len(played.stories)} runs, the last one final {played.quiet - played.calm:.1f} s after "
        f"the last fault, {len(played.violations)} violations",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
