"""Leaving the process."""

import asyncio
import os
import sys
import threading
from collections.abc import Collection
from typing import Any

from .outcome import FAILED


def leave_when_the_essential_dies() -> None:
    """Leave at once if a task dies that this process cannot be without: another one takes over."""
    asyncio.get_running_loop().set_exception_handler(_look_whether_essential)


def _look_whether_essential(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    loop.default_exception_handler(context)
    if context.get("essential"):
        sys.stderr.flush()
        os._exit(FAILED)


def leave_blocked_threads(code: int, *, before: Collection[threading.Thread] = ()) -> None:
    """Leave now if a thread would keep the interpreter from ending.

    An agent that blocks in a thread cannot be ended from outside; its run has been. Threads that
    were there `before` are not ours: whoever called the command inside his process has them.
    """
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon and thread not in before:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
