"""A run that somebody has just started or joined, and may wait for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from forebay.core.events import TYPES, RunInterrupted, RunWaiting
from forebay.core.ids import RunId
from forebay.core.run import Fold, Run
from forebay.runs.attempt import Attempt
from forebay.runs.follow import Page
from forebay.runs.reader import View
from forebay.runs.recorder import LightRecorder
from forebay.runs.service import Runs

from .patience import Happens, WaitingRoom

_CLIENT_LEFT = RunInterrupted("client_left", "the client left before the answer was ready")
_WAITING = TYPES[RunWaiting]


class Started:
    """A run, executed by this process or elsewhere."""

    def __init__(
        self,
        runs: Runs,
        room: WaitingRoom,
        *,
        attempt: Attempt | None = None,
        run: Run | None = None,
        is_new: bool = False,
    ) -> None:
        self._runs = runs
        self._room = room
        self._attempt = attempt
        self._run = run
        self._is_new = is_new

    @property
    def run_id(self) -> RunId:
        run = self._attempt.order.run if self._attempt else self._run
        assert run is not None, "made of an attempt or of a run"
        return run.id

    @property
    def is_durable(self) -> bool:
        return self._attempt is None or not isinstance(self._attempt.recorder, LightRecorder)

    async def run(self) -> Run:
        """The run as it is now."""
        return await self._runs.reader.find(self.run_id)

    async def view(self) -> View:
        """The run as it is now, with what its log adds up to; one just queued as it was then."""
        attempt = self._attempt
        if self._is_new and self._run is not None:
            return View(self._run, Fold(), await self._runs.reader.position(self._run))
        if attempt is not None and attempt.recorder.final is not None:
            fold = attempt.fold()
            if fold is not None:
                return View(attempt.run, fold)
        return await self._runs.reader.view(await self.run())

    async def follow(self) -> AsyncGenerator[Page]:
        """Begin to follow the run's entries from the first one. Close the generator when done."""
        run = self._attempt.run if self._attempt else await self.run()
        return await self._runs.reader.follow(run, 0)

    def launch(self) -> None:
        """Let the run be executed, in a task of its own."""
        if self._attempt is not None:
            self._runs.launch(self._attempt)

    async def wait(self, seconds: float, late: Happens, gone: Happens) -> bool:
        """Execute the run here and now, if it is ours; return when it has ended, or asks.

        When the time is up, the run is made durable and `late` is called meanwhile; when `gone`
        returns, the client has left, and a light run is ended. Tells whether he still waits.
        """

        async def answer_late() -> None:
            if self._attempt is not None:
                await self._runs.make_durable(self._attempt)
            await late()

        async def abandon_when_gone() -> None:
            await gone()
            self.abandon()

        self._is_new = False
        waiting = self._room.enter(seconds, answer_late, abandon_when_gone)
        try:
            if self._attempt is not None:
                await self._runs.execute_here(self._attempt)
            else:
                await self._until_ended_elsewhere(or_waiting=True)
        finally:
            self._room.leave(waiting)
        return not waiting.is_over

    async def ended(self, seconds: float) -> None:
        """Wait until the run has ended, but not longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._until_ended_elsewhere()
        except TimeoutError:
            return

    def abandon(self) -> None:
        """The client left: a light run ends, a durable one goes on."""
        if self._attempt and not self.is_durable:
            self._attempt.interrupt(_CLIENT_LEFT)

    async def _until_ended_elsewhere(self, *, or_waiting: bool = False) -> None:
        known = (await self.run()).last if or_waiting else 0
        async with aclosing(await self.follow()) as pages:
            async for page in pages:
                newest = page.entries[-1]
                if or_waiting and newest.number >= known and newest.type == _WAITING:
                    return
