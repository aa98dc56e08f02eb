"""A child process as its supervisor sees it: what it says, and whether it still is."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from forebay.core.clock import Clock, Millis

from .launch import Launched, Role
from .pulse import Pulse, signs_of


class Child:
    """One process, from its start to its end."""

    def __init__(
        self,
        launched: Launched,
        clock: Clock,
        *,
        silent_seconds: float,
        memory_bytes: int,
        on_ready: Callable[[], None],
    ) -> None:
        self.role: Role = launched.role
        self.holder: str | None = None
        """Under which name it takes leases."""
        self.is_ready = False
        self.condemned: str | None = None
        """Why it was killed."""
        self.gone = asyncio.Event()
        """It has ended, and everything it said was heard."""
        self._process = launched.process
        self._line = launched.line
        self._clock = clock
        self._began: Millis = clock.boot()
        self._pulse = Pulse(silent_seconds, memory_bytes, self._began)
        self._on_ready = on_ready
        self._rest = b""
        asyncio.get_running_loop().add_reader(self._line, self._hear)

    @property
    def name(self) -> str:
        """How log lines call it."""
        what = "API process" if self.role == "api" else "worker"
        return f"{what} {self._process.pid}"

    @property
    def code(self) -> int:
        """Its exit code, when it is gone; negative: the signal that ended it."""
        return self._process.returncode or 0

    @property
    def lived_seconds(self) -> float:
        return (self._clock.boot() - self._began) / 1000

    def tell_workers(self, count: int) -> None:
        """Tell it how many workers do their work."""
        with suppress(OSError):  # it is about to end, or takes nothing in now
            self._line.send(b"workers %d\n" % count)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and what its agents have started, which would go on behind its back."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def condemn(self, reason: str) -> None:
        """End it, because it does not work."""
        self.condemned = reason
        self.kill()

    def forgive(self) -> None:
        """Judge it only by what is from now on."""
        self._pulse.forgive(self._clock.boot())

    def judge(self) -> str | None:
        """Why it has to be killed, if it has to."""
        now = self._clock.boot()
        if self.gone.is_set() or self.condemned or not self._pulse.is_in_question(now):
            return None
        signs = signs_of(self._process.pid)
        return self._pulse.judge(signs, now) if signs else None

    def look(self) -> None:
        """Notice if it has ended."""
        if not self.gone.is_set() and self._process.poll() is not None:
            self._hear()  # its last words
            self._hang_up()
            self.gone.set()

    def _hear(self) -> None:
        try:
            heard = self._line.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self._hang_up()
            return
        self._pulse.beat(self._clock.boot())
        *lines, self._rest = (self._rest + heard).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            if word == b"holder":
                self.holder = value.decode()
            elif word == b"ready":
                self.is_ready = True
                self._on_ready()

    def _hang_up(self) -> None:
        if self._line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
