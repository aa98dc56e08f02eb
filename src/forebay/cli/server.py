"""The web server around an application: from its sockets to the last frame of its last stream."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from forebay.app.application import Application
from forebay.core.errors import NoDefaultAgent
from forebay.ports.agent import Agent

from .banner import banner_of
from .joining import JoiningProtocol
from .listen import Listening
from .output import tell
from .waiting import within

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SLOW_SECONDS = 3.0
_DATE_SECONDS = 1.0

log = logging.getLogger("forebay.server")


class Announcement:
    """Says where the server is, once it can be used."""

    def __init__(self, listening: Listening, *, as_json: bool) -> None:
        self._listening = listening
        self._as_json = as_json

    def make(self, application: Application) -> None:
        """Say it."""
        agent, is_default = _agent_of(application)
        banner = banner_of(
            application.settings,
            self._listening,
            agent,
            named=not is_default,
            described=application.described,
        )
        tell(banner.text(), banner.json(), as_json=self._as_json)
        sys.stdout.flush()


def _agent_of(application: Application) -> tuple[Agent, bool]:
    try:
        return application.desk.default_agent(), True
    except NoDefaultAgent:
        return application.agents.all()[0], False


class Server(uvicorn.Server):
    """uvicorn, ended by a signal at once and within a bound."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._stop_seconds = application.settings.stop_seconds
        self._woken = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                application.edge,
                interface="asgi3",
                http=JoiningProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # The other half is for what remains to be written down.
                timeout_graceful_shutdown=max(1, round(self._stop_seconds / 2)),
            )
        )

    async def run_until_stopped(
        self,
        listening: Listening,
        announcement: Announcement | None,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        """Serve. Raises what makes the database unusable: StartError, MigrationNeeded."""
        announcing = asyncio.create_task(self._announce(announcement, on_ready), name="announce")
        watching = asyncio.create_task(self._leave_when_stopped(), name="leave")
        await self.serve(sockets=list(listening.sockets))
        for task in (announcing, watching):
            task.cancel()
        await asyncio.wait({announcing, watching})
        if self._application.fatal is not None:
            raise self._application.fatal
        if not announcing.cancelled():
            announcing.result()

    async def _announce(
        self, announcement: Announcement | None, on_ready: Callable[[], None]
    ) -> None:
        settled = self._application.settled
        if not await within(_SLOW_SECONDS, settled):
            log.warning("%s Trying again.", self._application.gate.closed_by)
            await settled.wait()
        await self._application.usable.wait()
        if self._application.fatal is None:
            if announcement is not None:
                announcement.make(self._application)
            on_ready()

    # --- signals --------------------------------------------------------------------------------

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Listen to signals; when they were obeyed, the process ends as one that was told to."""
        loop = asyncio.get_running_loop()

        def obey(number: int, frame: FrameType | None) -> None:
            del frame
            if self.should_exit:
                os._exit(128 + number)
            self.should_exit = True
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)  # the next one ends us, whatever we do then
            # Whatever holds the event loop then, even an agent that blocks it.
            signal.setitimer(signal.ITIMER_REAL, self._stop_seconds)
            loop.call_soon_threadsafe(self._stop)

        before = {number: signal.signal(number, obey) for number in _SIGNALS}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _give_up)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        self._application.stop()
        self._woken.set()

    async def _leave_when_stopped(self) -> None:
        await self._application.stopped.wait()
        self.should_exit = True
        self._woken.set()

    # --- uvicorn --------------------------------------------------------------------------------

    async def main_loop(self) -> None:
        """Wait to be stopped, and keep the time of the `Date` header."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_SECONDS):
                    await self._woken.wait()


def _give_up(number: int, frame: FrameType | None) -> None:
    del number, frame
    print("forebay: the server did not end in time; leaving what is left", file=sys.stderr)
    os._exit(1)
