"""Starting child processes, each with a line to its supervisor.

Imports nothing heavy: the first child is on its way before the supervisor has an event loop.
"""

import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, cast

Role: TypeAlias = Literal["api", "worker"]
"""What a child does: it answers requests, or it executes queued runs."""


class AsChild(NamedTuple):
    """What a child is told by `--as-child`: what to do, and the open files it inherits."""

    role: Role
    announces: bool
    """Whether it says that it can be used, as the command does that the user has typed."""
    line: int
    sockets: Sequence[int] = ()

    def __str__(self) -> str:
        numbers = map(str, (int(self.announces), self.line, *self.sockets))
        return f"{self.role}:{','.join(numbers)}"

    @classmethod
    def read(cls, text: str) -> "AsChild":
        """What the option says."""
        role, _, numbers = text.partition(":")
        announces, line, *sockets = map(int, numbers.split(","))
        return cls(cast(Role, role), bool(announces), line, sockets)


class Launched(NamedTuple):
    """A child that has just been started, and the supervisor's end of the line to it."""

    role: Role
    process: "subprocess.Popen[bytes]"
    line: socket.socket


class Launcher(NamedTuple):
    """How children are started: as this program with its arguments, by this interpreter."""

    arguments: Sequence[str]
    sockets: Sequence[socket.socket] = ()
    python: str = sys.executable

    def launch(self, role: Role, *, announces: bool = False) -> Launched:
        """Start a child. Raises OSError."""
        ours, its = socket.socketpair()
        with its:
            inherited = [each.fileno() for each in self.sockets] if role == "api" else []
            told = AsChild(role, announces, its.fileno(), inherited)
            process = subprocess.Popen(
                # -P: a file of the user's folder must not stand in for a module.
                [self.python, "-P", "-m", "forebay", *self.arguments, "--as-child", str(told)],
                # In a group of its own: Ctrl-C reaches us alone, and we tell each child once.
                process_group=0,
                # Which is why it cannot read from the terminal: it would be stopped.
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno(), *inherited],
            )
        ours.setblocking(False)
        return Launched(role, process, ours)
