"""Telling the other processes of this host that there is something new in the file.

Each process listens on a datagram socket of its own, in a private folder named after the database.
A ring means *look*: it carries nothing, a full queue is ignored, a lost one is made good by the
safety poll.
"""

import asyncio
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forebay.core.errors import StartError

_TRIES = 20


class Doorbell:
    """One process's bell, and its way to ring all the others."""

    def __init__(self, database: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._folder = _folder_of(database)
        self._own = self._folder / f"{os.getpid()}-{id(self):x}"
        self._others: list[str] = []
        self._listed = 0

    def listen(self, on_ring: Callable[[], None]) -> None:
        """Call this on the running event loop whenever somebody rings."""
        for again in reversed(range(_TRIES)):
            try:
                _make_private(self._folder)
                self._socket.bind(str(self._own))
            except FileNotFoundError:  # the last one who was there has just removed the folder
                if not again:
                    raise
            else:
                break

        def drain() -> None:
            try:
                while self._socket.recv(16):
                    pass
            except BlockingIOError:
                on_ring()

        asyncio.get_running_loop().add_reader(self._socket, drain)

    def ring(self) -> None:
        """Ring everybody else. Never waits. May be called from any thread."""
        with suppress(FileNotFoundError):  # nobody listens, not even we
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 -- once per commit: the cheap form
            if changed != self._listed:
                self._others = [str(bell) for bell in self._folder.iterdir() if bell != self._own]
                self._listed = changed
        for bell in self._others:
            try:
                self._socket.sendto(b"!", bell)
            except BlockingIOError:
                pass  # it has rings enough waiting
            except OSError:
                Path(bell).unlink(missing_ok=True)  # its process is gone; the folder changes

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._own.unlink(missing_ok=True)
        with suppress(OSError):  # others are still there
            self._folder.rmdir()


def _folder_of(database: Path) -> Path:
    # Short: a socket's path may have 104 bytes.
    digest = hashlib.sha256(str(database.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"forebay-{os.getuid()}-{digest}"
    return folder if len(str(folder)) <= 80 else Path("/tmp") / folder.name


def _make_private(folder: Path) -> None:
    # A ring costs the rung a query.
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StartError(f"{folder} must be a private folder of this user. Remove it.")
