"""`forebay worker`: processes that execute queued runs, anywhere with access to the database."""

import argparse
import sys

from forebay.settings import database, load, log_form

from .launch import AsChild, Launcher, Role
from .outcome import USAGE, Refusal
from .parser import given


def worker(arguments: argparse.Namespace) -> int:
    """Execute queued runs until a signal comes; tells the exit code."""
    settings, _ = load(given(arguments))
    if arguments.as_child:
        from .working import execute_runs

        as_child = AsChild.read(arguments.as_child)
        return execute_runs(settings, as_child, as_json=arguments.json)
    if database(settings.db_url).engine == "memory":
        raise _refusal("A worker cannot share a database in memory with a server.")
    if settings.run_workers < 1:
        raise _refusal(f"run_workers={settings.run_workers}: at least one worker has to work.")
    launcher = Launcher(arguments.argv, python=arguments.python or sys.executable)
    leader = launcher.launch("worker", announces=True)
    from .logs import set_up_logging
    from .supervise import Crew, supervise

    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    role: list[Role] = ["worker"]
    return supervise(settings, Crew(launcher, role * settings.run_workers, leader))


def _refusal(message: str) -> Refusal:
    return Refusal(message, "no_worker", USAGE)
