"""`serve --reload`: which files it looks at, and when they have changed."""

import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from forebay.core.clock import Clock

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


def snapshot(folders: Iterable[Path]) -> Mapping[str, int]:
    """When each Python file below these folders was changed."""
    return {path: changed for folder in folders for path, changed in _files(folder)}


async def changes(folders: Sequence[Path], clock: Clock) -> AsyncIterator[None]:
    """Yield whenever files have changed, and no longer do."""
    seen = before = snapshot(folders)
    while True:
        await clock.sleep(_LOOK_SECONDS)
        now = snapshot(folders)
        if now == before != seen:
            seen = now
            yield
        before = now


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # it has just gone
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.name.endswith(".py"):
                yield entry.path, entry.stat().st_mtime_ns
