"""A run that somebody has just started or joined, and may wait for."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Literal, TypeAlias

from forebay.core.events import RunInterrupted
from forebay.core.ids import RunId
from forebay.core.run import Run
from forebay.runs.attempt import Attempt
from forebay.runs.follow import Page
from forebay.runs.recorder import LightRecorder
from forebay.runs.service import Runs, View

Patience: TypeAlias = Literal["ended", "late", "gone"]

_LOOK_CLOSER_SECONDS = 0.25

_CLIENT_LEFT = RunInterrupted("client_left", "the client left before the answer was ready")


class Started:
    """A run, under way in this process or elsewhere."""

    def __init__(
        self, runs: Runs, *, attempt: Attempt | None = None, run: Run | None = None
    ) -> None:
        self._runs = runs
        self._attempt = attempt
        self._run = run

    @property
    def run_id(self) -> RunId:
        return self._known.id

    @property
    def is_durable(self) -> bool:
        return self._attempt is None or not isinstance(self._attempt.recorder, LightRecorder)

    @property
    def _known(self) -> Run:
        run = self._attempt.order.run if self._attempt else self._run
        assert run is not None, "made of an attempt or of a run"
        return run

    async def run(self) -> Run:
        """The run as it is now."""
        return await self._runs.find(self.run_id)

    async def view(self) -> View:
        """The run as it is now, with what its log adds up to."""
        attempt = self._attempt
        if attempt is not None and attempt.recorder.final is not None:
            fold = attempt.fold()
            if fold is not None:
                return View(attempt.run, fold)
        return await self._runs.view(await self.run())

    async def follow(self) -> AsyncGenerator[Page]:
        """The run's entries from the first one, as they come, to the final one."""
        run = self._attempt.run if self._attempt else await self.run()
        async with aclosing(self._runs.follow(run, 0)) as pages:
            async for page in pages:
                yield page

    async def make_durable(self) -> None:
        """Commit what the run has said so far, and from now on everything before it is seen."""
        if self._attempt:
            await self._runs.make_durable(self._attempt)

    def abandon(self) -> None:
        """The client left: a light run ends, a durable one goes on."""
        if self._attempt and not self.is_durable:
            self._attempt.interrupt(_CLIENT_LEFT)

    async def wait(self, seconds: float, gone: Callable[[], Awaitable[None]]) -> Patience:
        """Wait until the run has ended, the time is up, or `gone` returns."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Patience] = loop.create_future()
        watchers: list[asyncio.Task[None]] = []

        def decide(what: Patience) -> None:
            if not outcome.done():
                outcome.set_result(what)

        async def watch() -> None:
            await gone()
            decide("gone")

        async def follow() -> None:
            async with aclosing(self._runs.follow(await self.run(), 0)) as pages:
                async for _ in pages:
                    pass
            decide("ended")

        def look_closer() -> None:
            # Most runs have ended by now: only the others pay for a task and a second timer.
            watchers.append(loop.create_task(watch()))
            timers.append(loop.call_later(max(0.0, seconds - soon), decide, "late"))

        soon = min(_LOOK_CLOSER_SECONDS, seconds)
        timers = [loop.call_later(soon, look_closer)]
        if self._attempt:
            self._attempt.when_ended(lambda: decide("ended"))
        else:
            watchers.append(loop.create_task(follow()))
        try:
            return await outcome
        finally:
            for timer in timers:
                timer.cancel()
            for watcher in watchers:
                watcher.cancel()
