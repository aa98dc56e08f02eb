"""`forebay`: find the command, run it, and turn what goes wrong into one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from forebay.core.errors import (
    Denied,
    ForebayError,
    Full,
    MigrationNeeded,
    Unauthenticated,
    WorkflowError,
)
from forebay.core.errors import Unavailable as NotReached

from .outcome import DENIED, FAILED, UNREACHABLE, USAGE, Refusal
from .output import complain
from .parser import build_parser

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    arguments.argv = sys.argv[1:] if argv is None else argv  # for the processes that it starts
    as_json: bool = arguments.json
    try:
        return _function(arguments)(arguments)
    except Refusal as refusal:
        complain(refusal.message, refusal.code, as_json=as_json)
        return refusal.exit_code
    except ForebayError as error:
        complain(error.message, error.code, as_json=as_json, problems=problems_of(error))
        return exit_code_of(error)
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        complain(str(error), "os_error", as_json=as_json)
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def exit_code_of(error: ForebayError) -> int:
    """How the process ends after this error."""
    if isinstance(error, Denied | Unauthenticated):
        return DENIED
    if isinstance(error, NotReached | Full) and not isinstance(error, MigrationNeeded):
        return UNREACHABLE
    return USAGE


def problems_of(error: ForebayError) -> list[str]:
    """What is wrong with a workflow file, a line each."""
    return error.message.splitlines() if isinstance(error, WorkflowError) else []


def _function(arguments: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    module = import_module(f"forebay.cli.{arguments.module}")
    return getattr(module, arguments.function)
