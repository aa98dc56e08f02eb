"""`forebay serve`: take the port, then everything else."""

import argparse
import sys
from dataclasses import replace

from forebay.settings import Settings, database, load, log_form

from .launch import AsChild, Launcher, Role
from .listen import inherited, listen
from .outcome import DONE
from .parser import given


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes; tells the exit code."""
    settings, _ = load(given(arguments))
    if arguments.as_child:
        as_child = AsChild.read(arguments.as_child)
        if as_child.role == "api":
            return _answer_requests(settings, as_child, as_json=arguments.json)
        from .working import execute_runs

        if arguments.reload:  # whoever has changed a file does not want to wait
            settings = replace(settings, drain_seconds=0)
        return execute_runs(settings, as_child, as_json=arguments.json)
    listening = listen(settings.host, settings.port)
    launcher = Launcher(arguments.argv, listening.sockets)
    leader = launcher.launch("api", announces=True)
    from .logs import set_up_logging
    from .reload import watched_of
    from .supervise import Crew, supervise

    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    watched = watched_of(settings) if arguments.reload else None
    return supervise(settings, Crew(launcher, _roles(settings), leader, watched))


def _roles(settings: Settings) -> list[Role]:
    api: list[Role] = ["api"]
    worker: list[Role] = ["worker"]
    return api * settings.workers + worker * _worker_count(settings)


def _worker_count(settings: Settings) -> int:
    """How many worker processes there are. What is in memory cannot be shared with any."""
    return 0 if database(settings.db_url).engine == "memory" else settings.run_workers


def _answer_requests(settings: Settings, as_child: AsChild, *, as_json: bool) -> int:
    from .lifeline import Lifeline

    lifeline = Lifeline(as_child.line)
    listening = inherited(as_child.sockets, settings.host)
    import uvloop

    from forebay.app.application import Application
    from forebay.app.engine import Duties

    from .interpreter import tune_interpreter
    from .leaving import leave_blocked_threads, leave_when_the_essential_dies
    from .logs import set_up_logging
    from .server import Announcement, Server

    settings = replace(settings, port=listening.port)
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    workers = _worker_count(settings)
    announcement = Announcement(listening, as_json=as_json) if as_child.announces else None

    async def main() -> None:
        leave_when_the_essential_dies()
        application = Application(
            settings,
            Duties(
                is_supervised=database(settings.db_url).engine != "memory",
                takes_runs=not workers,
            ),
        )
        lifeline.say_holder(application.runs.place.holder)
        lifeline.beat(on_workers=application.hear_of_workers if workers else None)
        tune_interpreter()
        server = Server(application)
        await server.run_until_stopped(listening, announcement, on_ready=lifeline.say_ready)

    uvloop.run(main())
    leave_blocked_threads(DONE)
    return DONE
