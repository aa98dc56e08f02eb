"""`serve --reload`: a parent that holds the sockets, and a child that is started again.

While a child is being replaced, clients wait in the queue of the socket instead of being refused.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from forebay.core.clock import SystemClock
from forebay.settings import Settings

from .listen import Listening

_LOOK_SECONDS = 0.4
_KILL_AFTER_SECONDS = 2.0
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})


def supervise(settings: Settings, listening: Listening, argv: Sequence[str]) -> int:
    """Serve in a child, and start it again on changes; tells the exit code."""
    folders = folders_of(settings.agents)
    return asyncio.run(_Supervisor(listening, argv, settings.stop_seconds, folders).run())


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


class _Supervisor:
    def __init__(
        self,
        listening: Listening,
        argv: Sequence[str],
        stop_seconds: float,
        folders: Sequence[Path],
    ) -> None:
        self._listening = listening
        self._argv = argv
        self._stop_seconds = stop_seconds
        self._folders = folders
        self._clock = SystemClock()
        self._stopping = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        # The child hears of our death when the other end of this pipe is closed.
        self._pipe, self._held = os.pipe()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        seen = snapshot(self._folders)
        is_first = True
        while True:
            child = await self._start(is_first=is_first)
            seen, code = await self._watch(child, seen)
            if self._stopping.is_set() or (is_first and code is not None):
                return await self._end(child)
            await self._end(child)
            if code is not None:
                self._say("the server has ended; waiting for a change")
                seen = await self._changed(seen)
            if self._stopping.is_set():
                return 0
            self._say("a file has changed; starting again")
            is_first = False

    async def _start(self, *, is_first: bool) -> asyncio.subprocess.Process:
        sockets = [each.fileno() for each in self._listening.sockets]
        passed = [self._pipe, *sockets]
        what = ",".join(map(str, [int(is_first), *passed]))
        # In a group of its own: Ctrl-C reaches us alone, and we tell the child once.
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "forebay", *self._argv, "--as-child", what,
            pass_fds=passed, process_group=0,
        )  # fmt: skip
        return self._child

    async def _watch(
        self, child: asyncio.subprocess.Process, seen: Mapping[str, int]
    ) -> tuple[Mapping[str, int], int | None]:
        """Wait for a change, a signal, or the child's own end; tells its exit code then."""
        ended = asyncio.create_task(child.wait())
        changed = asyncio.create_task(self._changed(seen))
        await asyncio.wait({ended, changed}, return_when=asyncio.FIRST_COMPLETED)
        code = ended.result() if ended.done() else None
        if changed.done():
            seen = changed.result()
        for task in (ended, changed):
            task.cancel()
        await asyncio.gather(ended, changed, return_exceptions=True)
        return seen, code

    async def _changed(self, seen: Mapping[str, int]) -> Mapping[str, int]:
        """Wait until files have changed and no longer do, or we are stopped."""
        before = seen
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stopping.wait()
            now = snapshot(self._folders)
            if now == before != seen:
                return now
            before = now
        return seen

    async def _end(self, child: asyncio.subprocess.Process) -> int:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.terminate()
            try:
                async with asyncio.timeout(self._stop_seconds + _KILL_AFTER_SECONDS):
                    await child.wait()
            except TimeoutError:
                child.kill()
        return await child.wait()

    def _stop(self) -> None:
        if self._stopping.is_set() and self._child and self._child.returncode is None:
            self._child.kill()
        self._stopping.set()

    def _say(self, what: str) -> None:
        print(f"forebay: {what}", file=sys.stderr, flush=True)
