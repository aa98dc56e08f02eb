"""How the interpreter of a process that serves or works is set."""

import gc
import sys


def tune_interpreter() -> None:
    """To be called when everything is loaded."""
    # What was made so far stays: the collector need not look at it again and again. What requests
    # make is mostly freed without it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # A thread that commits gives up the interpreter lock at every statement, and beside a busy
    # event loop it waits this long each time to get it back.
    sys.setswitchinterval(0.0005)
