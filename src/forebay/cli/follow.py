"""`forebay runs follow`: a run's entries as they come, and how it goes, until it ends."""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import UTC, datetime

from forebay.client import AsyncClient, Entry, Following, Patience, Run
from forebay.core.clock import SystemClock
from forebay.settings import Remote, remote

from .outcome import DONE, FAILED
from .remote import state_of, translated_errors

_TICK_SECONDS = 1.0
_MOST_CHARACTERS = 100
_OF_THE_ENTRY = frozenset({"number", "attempt", "time", "type"})
_CLEAR_LINE = "\r\x1b[K"


def follow(arguments: argparse.Namespace) -> int:
    """Follow a run; tells whether it succeeded."""
    with translated_errors():
        run = asyncio.run(_follow(arguments, remote(arguments.server)))
    return DONE if run.succeeded else FAILED


async def _follow(arguments: argparse.Namespace, there: Remote) -> Run:
    # Nobody there at first is a mistake; nobody there later is an accident, and takes patience.
    async with AsyncClient(there.server, token=there.token, patience_seconds=0.0) as client:
        run = await client.get(arguments.run)
    patience: float = arguments.patience
    async with AsyncClient(there.server, token=there.token, patience_seconds=patience) as client:
        following = Following(run.id, arguments.after, Patience(patience))
        screen = _Screen(run, following, as_json=arguments.json)
        ticking = asyncio.create_task(screen.tick())
        try:
            async with aclosing(client.follow(following)) as entries:
                await screen.show(entries)
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            screen.clear()
        run = await client.get(run.id)
    screen.ended(run)
    return run


class _Screen:
    """What is printed: a line for each entry, and on a terminal one that tells how it goes."""

    def __init__(self, run: Run, following: Following, *, as_json: bool) -> None:
        self._run = run
        self._following = following
        self._as_json = as_json
        self._has_status_line = sys.stderr.isatty()
        self._clock = SystemClock()
        self._count = 0
        self._newest: datetime | None = None

    async def show(self, entries: AsyncGenerator[Entry]) -> None:
        """Print entries as they come."""
        async for entry in entries:
            self._count += 1
            self._newest = entry.time
            self.clear()
            print(entry.line if self._as_json else self._line(entry), flush=True)
            self._status()

    async def tick(self) -> None:
        """Keep the status line up to date."""
        while self._has_status_line:
            self._status()
            await self._clock.sleep(_TICK_SECONDS)

    def clear(self) -> None:
        """Make room for a line."""
        if self._has_status_line:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def ended(self, run: Run) -> None:
        """The run has ended."""
        took = f"{state_of(run)} after {self._seconds(run.finished_at):.1f} s"
        print(f"{took}, {self._counts()}", file=sys.stderr)

    def _status(self) -> None:
        if not self._has_status_line:
            return
        problem = self._following.problem
        state = f"trying again: {problem}" if problem else "following"
        now = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        line = f"{self._seconds(now):.0f} s, {self._counts()}, {state}"
        width = shutil.get_terminal_size().columns - 1
        print(f"{_CLEAR_LINE}{line[:width]}", end="", file=sys.stderr, flush=True)

    def _counts(self) -> str:
        again = max(0, self._following.connections - 1)
        counts = _number_of("event", self._count)
        return f"{counts}, {_number_of('reconnection', again)}" if again else counts

    def _line(self, entry: Entry) -> str:
        told = {
            name: value
            for name, value in json.loads(entry.line).items()
            if name not in _OF_THE_ENTRY
        }
        detail = " ".join(f"{name}={json.dumps(value)}" for name, value in told.items())
        if len(detail) > _MOST_CHARACTERS:
            detail = f"{detail[: _MOST_CHARACTERS - 1]}…"
        seconds = self._seconds(entry.time)
        return f"{entry.number:>6}  {seconds:>8.3f} s  {entry.type:<20}  {detail}".rstrip()

    def _seconds(self, at: datetime | None) -> float:
        at = at or self._newest or self._run.created_at
        return (at - self._run.created_at).total_seconds()


def _number_of(thing: str, count: int) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
