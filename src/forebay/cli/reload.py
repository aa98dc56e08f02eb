"""`serve --reload`: which files it looks at, and when they have changed."""

import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from forebay.core.clock import Clock
from forebay.settings import Settings, workflow_file

_LOOK_SECONDS = 0.4
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


def folders_of(sources: Iterable[str]) -> list[Path]:
    """Where the files of agent sources are, found without importing them."""
    folders: dict[Path, None] = {}
    for source in sources:
        name = source.partition(":")[0]
        if name.endswith(".py"):
            folders[Path(name).resolve().parent] = None
            continue
        for root in (Path.cwd(), *map(Path, sys.path)):
            path = root.joinpath(*name.split("."))
            if path.is_dir() or path.with_suffix(".py").is_file():
                folders[path if path.is_dir() else path.parent] = None
                break
    return list(folders)


class Watched(NamedTuple):
    """A folder, and which files below it are looked at."""

    folder: Path
    suffixes: tuple[str, ...] = (".py",)


def watched_of(settings: Settings) -> list[Watched]:
    """What a server's agents are made of. Raises WorkflowError."""
    found = [Watched(folder) for folder in folders_of([*settings.agents, *settings.imports])]
    file = workflow_file(settings)
    if file is not None:
        suffixes = tuple({path.suffix for path in file.files})
        folders = dict.fromkeys(path.parent for path in file.files)
        found += [Watched(folder, suffixes) for folder in folders]
    return found


def snapshot(watched: Iterable[Watched]) -> Mapping[str, int]:
    """When each of these files was changed."""
    return {path: changed for each in watched for path, changed in _files(*each)}


async def changes(watched: Sequence[Watched], clock: Clock) -> AsyncIterator[None]:
    """Yield whenever files have changed, and no longer do."""
    seen = before = snapshot(watched)
    while True:
        await clock.sleep(_LOOK_SECONDS)
        now = snapshot(watched)
        if now == before != seen:
            seen = now
            yield
        before = now


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # it has just gone
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), suffixes)
            elif entry.name.endswith(suffixes):
                yield entry.path, entry.stat().st_mtime_ns
