"""`forebay serve`: take the port, then everything else."""

import argparse
import gc
import sys
from dataclasses import replace

from forebay.settings import Settings, load

from .leaving import leave_blocked_threads
from .listen import Listening, inherited, listen
from .outcome import DONE
from .parser import given


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes; tells the exit code."""
    settings, _ = load(given(arguments))
    if arguments.as_child:
        return _serve_as_child(settings, arguments)
    listening = listen(settings.host, settings.port)
    if arguments.reload:
        from .reload import supervise

        return supervise(settings, listening, sys.argv[1:])
    return _serve(settings, listening, as_json=arguments.json)


def _serve_as_child(settings: Settings, arguments: argparse.Namespace) -> int:
    first, pipe, *sockets = (int(part) for part in arguments.as_child.split(","))
    return _serve(
        settings,
        inherited(sockets, settings.host),
        as_json=arguments.json,
        parent=pipe,
        quiet=not first,
    )


def _serve(
    settings: Settings,
    listening: Listening,
    *,
    as_json: bool,
    parent: int | None = None,
    quiet: bool = False,
) -> int:
    import uvloop

    from forebay.app import Application, log_form

    from .logs import set_up_logging
    from .server import Announcement, Server

    settings = replace(settings, port=listening.port)
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))

    async def main() -> None:
        application = Application(settings)
        server = Server(application)
        if parent is not None:
            server.leave_with(parent)
        _tune_interpreter()
        await server.run_until_stopped(
            listening, Announcement(application, listening, as_json=as_json, quiet=quiet)
        )

    uvloop.run(main())
    leave_blocked_threads(DONE)
    return DONE


def _tune_interpreter() -> None:
    # What was made so far stays: the collector need not look at it again and again. What requests
    # make is mostly freed without it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # A thread that commits gives up the interpreter lock at every statement, and beside a busy
    # event loop it waits this long each time to get it back.
    sys.setswitchinterval(0.0005)
