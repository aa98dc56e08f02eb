"""`forebay run`: one run in this process, its answer as it comes."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

from forebay.app import Application, log_form
from forebay.core.caller import ANONYMOUS
from forebay.core.codec import decode_json
from forebay.core.errors import RunFinished
from forebay.core.events import Event, OutputChunk, OutputValue
from forebay.core.json import Json
from forebay.core.run import Failure
from forebay.desk.desk import Submission
from forebay.desk.started import Started
from forebay.dialects.native.show import run_model
from forebay.ports.agent import Agent
from forebay.settings import Settings, load

from .leaving import leave_blocked_threads
from .logs import set_up_logging
from .outcome import DONE, FAILED
from .output import complain
from .parser import given

_DIALECT = "cli"
_OPEN_SECONDS = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Run an agent; tells whether it succeeded."""
    settings, _ = load(given(arguments))
    settings = replace(settings, log_level="error")
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    logging.getLogger("forebay.runs").disabled = True  # what a run raises is told below
    text: str = sys.stdin.read() if arguments.text == "-" else arguments.text
    running = _Running(settings, as_json=arguments.json)
    failure = asyncio.run(running.run(arguments.agent, text))
    if failure is not None:
        if failure.traceback:
            print(failure.traceback, file=sys.stderr)
        message = f"the run did not succeed: {failure.message} ({failure.reason})"
        complain(message, failure.reason, as_json=arguments.json)
    leave_blocked_threads(FAILED if failure else DONE)
    return FAILED if failure else DONE


class _Running:
    def __init__(self, settings: Settings, *, as_json: bool) -> None:
        self._settings = settings
        self._as_json = as_json
        self._cancelling: asyncio.Task[None] | None = None

    async def run(self, name: str, text: str) -> Failure | None:
        """Run it and print its answer; tells why it did not succeed."""
        async with _opened(self._settings) as application:
            agent = application.agents.get(name)
            submission = Submission(
                dialect=_DIALECT,
                operation="runs",
                input=_input(agent, text),
                durable=True,
                expiry_seconds=self._settings.expiry_seconds,
                agent=name,
            )
            started = await application.desk.start(submission, ANONYMOUS)
            self._cancel_on_signals(application, started)
            await self._print(application, started)
            view = await started.view()
            if self._as_json:
                print(json.dumps(run_model(view.run, view.fold), ensure_ascii=False))
            return view.fold.failure

    def _cancel_on_signals(self, application: Application, started: Started) -> None:
        loop = asyncio.get_running_loop()

        async def cancel() -> None:
            with suppress(RunFinished):
                await application.desk.cancel(started.run_id, ANONYMOUS)

        def on_signal() -> None:
            if self._cancelling is None:
                self._cancelling = asyncio.create_task(cancel())

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)

    async def _print(self, application: Application, started: Started) -> None:
        ends_line = True
        async with aclosing(await started.follow()) as pages:
            async for page in pages:
                for entry in page.entries:
                    text = await self._text(application, started, entry.event)
                    if text and not self._as_json:
                        print(text, end="", flush=True)
                        ends_line = text.endswith("\n")
        if not ends_line:
            print()

    async def _text(self, application: Application, started: Started, event: Event) -> str:
        match event:
            case OutputChunk(text):
                return text
            case OutputValue(value):
                if event.stored is not None:
                    run = await started.run()
                    data = await application.desk.read_object(run, event.stored.object)
                    value = decode_json(data)
                return json.dumps(value, ensure_ascii=False) + "\n"
            case _:
                return ""


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Application]:
    """An application without a server. Raises StartError, MigrationNeeded, DatabaseUnavailable."""
    application = Application(settings)
    application.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_SECONDS):
                await application.settled.wait()
        problem = application.fatal or application.gate.closed_by
        if problem is not None:
            raise problem
        yield application
    finally:
        await application.aclose()


def _input(agent: Agent, text: str) -> Json:
    """What the agent is given: text if it takes that, else the JSON that the text is."""
    schema = agent.input_schema
    if not isinstance(schema, dict) or schema.get("type", "string") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
