"""Who holds a lease: a name that tells other processes of this machine whether he still lives.

It names the boot, the PID namespace, the process and the moment it started (numbers are used
again), and something random, since one process may be several holders.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path

from .clock import boot_id

LEASE_SECONDS = 9.0
"""How long a lease holds that nobody renews."""


def new_holder() -> str:
    """A name for this process, until it ends."""
    pid = os.getpid()
    return f"{home()}{pid}/{_started(pid)}/{secrets.token_hex(4)}"


@lru_cache(maxsize=1)
def home() -> str:
    """How the names of all holders begin whose processes can be seen from here."""
    space = Path("/proc/self/ns/pid")
    return f"{boot_id()}/{space.readlink().name if space.exists() else '-'}/"


def is_gone(holder: str) -> bool:
    """Whether the process of this holder has ended for sure. Of those elsewhere nobody knows."""
    if not holder.startswith(home()):
        return False
    pid, _, rest = holder.removeprefix(home()).partition("/")
    started, _, _ = rest.partition("/")
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty where that cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
