"""`forebay run`: one run in this process, its answer as it comes."""

import argparse
import asyncio
import json
import logging
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from forebay.app.application import Application
from forebay.app.engine import Duties
from forebay.core.caller import ANONYMOUS
from forebay.core.codec import Entry, decode_json
from forebay.core.errors import AgentLoadError, RunFinished
from forebay.core.events import Event, OutputChunk, OutputValue, RunWaiting
from forebay.core.ids import as_uuid
from forebay.core.json import Json
from forebay.desk.desk import Page, Submission, View
from forebay.desk.started import Started
from forebay.dialects.native.show import run_model
from forebay.ports.agent import Agent
from forebay.settings import Settings, load, log_form

from .leaving import leave_blocked_threads
from .logs import set_up_logging
from .outcome import DONE, FAILED, USAGE, Refusal
from .output import complain
from .parser import given
from .person import Person

_DIALECT = "cli"
_OPEN_SECONDS = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Run an agent, once for each input; tells whether all have succeeded."""
    before = threading.enumerate()
    texts = _texts(arguments)
    settings, _ = load(given(arguments))
    settings = replace(settings, log_level="error")
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    logging.getLogger("forebay.runs").disabled = True  # what a run raises is told below
    who = _Who(arguments.session, arguments.user_id)
    running = _Running(settings, who, as_json=arguments.json)
    code = DONE if asyncio.run(running.run(arguments.agent, texts)) else FAILED
    leave_blocked_threads(code, before=before)
    return code


def _texts(arguments: argparse.Namespace) -> list[str]:
    """The inputs that the command line gives. Raises Refusal."""
    texts: list[str] = list(arguments.inputs or ())
    if arguments.input_file is not None:
        texts.append(_read(Path(arguments.input_file)))
    if arguments.text is not None:
        texts.append(sys.stdin.read() if arguments.text == "-" else arguments.text)
        if len(texts) > 1:
            raise _refusal("The input is TEXT, or stands in --input or --input_file.")
    if not texts:
        raise _refusal("What is the input? forebay run AGENT TEXT, or forebay run --input TEXT.")
    return texts


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise _refusal(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _refusal(f"{path} is not written in UTF-8.") from error


def _refusal(message: str) -> Refusal:
    return Refusal(message, "no_input", USAGE)


def _tell_end(view: View, *, as_json: bool) -> None:
    failure = view.fold.failure
    if failure is not None:
        if failure.traceback:
            print(failure.traceback, file=sys.stderr)
        message = f"the run did not succeed: {failure.message} ({failure.reason})"
        complain(message, failure.reason, as_json=as_json)
    elif not view.run.is_finished:
        complain(_what_to_do(view), "waiting", as_json=as_json)


def _what_to_do(view: View) -> str:
    run = as_uuid(view.run.id)
    asks = [
        f"{asked.prompt.text} (forebay runs answer {run} {name} ANSWER)"
        for name, asked in view.fold.questions.items()
    ]
    return f"the run waits; answer it through a server on this database: {' '.join(asks)}"


class _Who(NamedTuple):
    session: str | None
    user: str | None
    """Who asks, for functions that NAT keeps for each user."""

    @property
    def metadata(self) -> dict[str, Json]:
        return {} if self.user is None else {"nat": {"user_id": self.user}}


class _Running:
    def __init__(self, settings: Settings, who: _Who, *, as_json: bool) -> None:
        self._settings = settings
        self._who = who
        self._as_json = as_json
        self._is_talking = sys.stdin.isatty() and not as_json
        self._cancelling: asyncio.Task[None] | None = None

    async def run(self, name: str | None, texts: Sequence[str]) -> bool:
        """Run each until it ends or waits, and print its answer; tells if all have succeeded."""
        have_succeeded = True
        async with _opened(self._settings) as application:
            agents = application.agents
            agent = agents.default() if name is None else agents.get(name)
            if agents.is_elsewhere(agent.name):
                why = " ".join(application.readiness().degraded)
                raise AgentLoadError(f"Agent {agent.name!r} cannot be executed here. {why}")
            for text in texts:
                view = await self._run(application, agent, text)
                _tell_end(view, as_json=self._as_json)
                have_succeeded = have_succeeded and view.run.status == "success"
                if self._cancelling is not None:
                    break
        return have_succeeded

    async def _run(self, application: Application, agent: Agent, text: str) -> View:
        submission = Submission(
            dialect=_DIALECT,
            operation="runs",
            input=_input(agent, text),
            durable=True,
            expiry_seconds=self._settings.expiry_seconds,
            agent=agent.name,
            session=self._who.session,
            metadata=self._who.metadata,
            stays=self._is_talking,
        )
        started = await application.desk.start(submission, ANONYMOUS)
        cancel = self._cancel_on_signals(application, started)
        await self._print(application, started, cancel)
        view = await started.view()
        if self._as_json:
            print(json.dumps(run_model(view.run, view.fold), ensure_ascii=False))
        return view

    def _cancel_on_signals(self, application: Application, started: Started) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        async def cancel() -> None:
            with suppress(RunFinished):
                await application.desk.cancel(started.run_id, ANONYMOUS)

        def on_signal() -> None:
            if self._cancelling is None:
                self._cancelling = asyncio.create_task(cancel())

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        return on_signal

    async def _print(
        self, application: Application, started: Started, cancel: Callable[[], None]
    ) -> None:
        async def answer(question: str, given: Json) -> None:
            await application.desk.answer(started.run_id, question, given, ANONYMOUS)

        person = Person(answer, cancel)
        ends_line = True
        async with aclosing(await started.follow()) as pages, aclosing(person):
            async for entry in _until_it_waits(pages):
                text = await self._text(application, started, entry.event)
                if text and not self._as_json:
                    print(text, end="", flush=True)
                    ends_line = text.endswith("\n")
                if self._is_talking:
                    person.hear(entry.event)
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


async def _until_it_waits(pages: AsyncGenerator[Page]) -> AsyncGenerator[Entry]:
    async for page in pages:
        for entry in page.entries:
            yield entry
            if isinstance(entry.event, RunWaiting):
                return  # nobody goes on with it here


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Application]:
    """An application without a server. Raises StartError, MigrationNeeded, DatabaseUnavailable."""
    application = Application(settings, Duties(takes_runs=False, serves=False))
    application.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_SECONDS):
                await application.settled.wait()
        if application.settled.is_set():
            await application.usable.wait()
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
