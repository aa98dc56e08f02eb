"""A worker process: from its start to the last run it has handed back."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from forebay.app.worker import Worker
from forebay.core.json import Json
from forebay.settings import Settings, database_name, log_form

from .interpreter import tune_interpreter
from .launch import AsChild
from .leaving import leave_blocked_threads, leave_when_the_essential_dies
from .lifeline import Lifeline
from .logs import set_up_logging
from .outcome import DONE
from .output import tell
from .waiting import first_of, within
from .workflow import lines_of, told

_SLOW_SECONDS = 3.0

log = logging.getLogger("forebay.worker")


def execute_runs(settings: Settings, as_child: AsChild, *, as_json: bool) -> int:
    """Do so until a signal comes; tells the exit code. Raises StartError, MigrationNeeded."""
    lifeline = Lifeline(as_child.line)
    os.nice(settings.worker_nice)
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))

    async def main() -> None:
        leave_when_the_essential_dies()
        worker = Worker(settings)
        lifeline.say_holder(worker.holder)
        lifeline.beat()
        tune_interpreter()
        stopping = _stopping()
        worker.start()
        await _until_usable(worker, stopping)
        if worker.fatal is not None:
            raise worker.fatal
        if not stopping.is_set():
            if as_child.announces:
                _announce(settings, worker, as_json=as_json)
            lifeline.say_ready()
            await stopping.wait()
        await worker.drain()
        await worker.aclose()

    uvloop.run(main())
    leave_blocked_threads(DONE)
    return DONE


def _stopping() -> asyncio.Event:
    stopping = asyncio.Event()

    def obey(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, obey, number)
    return stopping


async def _until_usable(worker: Worker, stopping: asyncio.Event) -> None:
    if not await within(_SLOW_SECONDS, worker.settled, stopping):
        log.warning("%s Trying again.", worker.gate.closed_by)
        await first_of(worker.settled, stopping)
    await first_of(worker.usable, stopping)


def _announce(settings: Settings, worker: Worker, *, as_json: bool) -> None:
    name, names = database_name(settings), [agent.name for agent in worker.agents.here()]
    lines = [
        "Forebay executes queued runs",
        f"  database  {name}",
        f"  agents    {', '.join(names)}",
    ]
    said: Json = {
        "database": name,
        "agents": list[Json](names),
        "workflow": told(worker.described),
        "workers": settings.run_workers,
    }
    tell("\n".join([*lines, *lines_of(worker.described)]), said, as_json=as_json)
    sys.stdout.flush()
