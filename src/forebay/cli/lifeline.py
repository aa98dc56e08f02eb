"""A child's end of the line to its supervisor: it says that it lives, and hears how things are.

When the supervisor is gone, so is the child, at once: nobody renews its leases any more.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

BEAT_SECONDS = 1.0

_PR_SET_PDEATHSIG = 1


class Lifeline:
    """The line that a child has inherited."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._line = socket.socket(fileno=descriptor)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_workers: Callable[[int], None] | None = None
        _die_with_the_supervisor()
        # Whoever died before that is found out here: the line is cut. Elsewhere than on Linux this
        # is the only way, and a thread hears it when the event loop is held up.
        threading.Thread(target=self._hear, name="forebay-lifeline", daemon=True).start()

    def say_holder(self, holder: str) -> None:
        """Under which name this process takes leases. To be said before it takes any."""
        self._line.sendall(f"holder {holder}\n".encode())

    def say_ready(self) -> None:
        """That this process does its work now."""
        self._line.sendall(b"ready\n")

    def beat(self, *, on_workers: Callable[[int], None] | None = None) -> None:
        """From now on, show that the event loop goes round, and hear how many workers live."""
        self._loop, self._on_workers = asyncio.get_running_loop(), on_workers
        self._beat(self._loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(OSError):  # the supervisor is stopped, and has beats enough waiting
            self._line.send(b"beat\n", socket.MSG_DONTWAIT)
        loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _hear(self) -> None:
        rest = b""
        while heard := self._receive():
            *lines, rest = (rest + heard).split(b"\n")
            for line in lines:
                self._tell(line)
        os._exit(1)

    def _receive(self) -> bytes:
        try:
            return self._line.recv(4096)
        except OSError:
            return b""

    def _tell(self, line: bytes) -> None:
        word, _, value = line.partition(b" ")
        if word == b"workers" and self._loop is not None and self._on_workers is not None:
            with suppress(RuntimeError):  # the loop is closed: we are about to leave
                self._loop.call_soon_threadsafe(self._on_workers, int(value))


def _die_with_the_supervisor() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
