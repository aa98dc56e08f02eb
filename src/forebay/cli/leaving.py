"""Leaving the process."""

import os
import sys
import threading


def leave_blocked_threads(code: int) -> None:
    """Leave now if a thread would keep the interpreter from ending.

    An agent that blocks in a thread cannot be ended from outside; its run has been.
    """
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
