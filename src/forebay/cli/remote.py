"""The commands that ask a server: agents, and runs."""

import argparse
import json
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from forebay.client import (
    AgentInfo,
    ApiError,
    Client,
    ClientError,
    Denied,
    Question,
    Run,
    RunFilter,
    Unavailable,
)
from forebay.core.json import Json
from forebay.settings import remote

from .answers import prompt_lines, read_answer
from .outcome import DENIED, DONE, FAILED, UNREACHABLE, USAGE, Refusal
from .output import table, tell

_PATIENCE_SECONDS = 0.0  # who types a command wants to hear at once that nobody is there


def agents(arguments: argparse.Namespace) -> int:
    """List agents."""
    with _client(arguments) as client:
        found = client.agents()
    told: Json = [_plain(agent) for agent in found]
    tell(_agent_lines(found), told, as_json=arguments.json)
    return DONE


def list_runs(arguments: argparse.Namespace) -> int:
    """List runs."""
    which: RunFilter = {"limit": arguments.limit}
    if arguments.status:
        which["status"] = arguments.status
    if arguments.agent:
        which["agent"] = arguments.agent
    if arguments.session:
        which["session"] = arguments.session
    if arguments.cursor:
        which["cursor"] = arguments.cursor
    with _client(arguments) as client:
        page = client.list(**which)
    lines = _run_lines(page.runs)
    if page.next_cursor:
        lines += f"\n\nThere are more: --cursor {page.next_cursor}"
    tell(lines, _plain(page), as_json=arguments.json)
    return DONE


def show(arguments: argparse.Namespace) -> int:
    """Show a run."""
    with _client(arguments) as client:
        run = client.get(arguments.run)
    asks = [_question_lines(run, question, arguments.server) for question in run.questions]
    tell("\n\n".join([_whole_run(run), *asks]), _plain(run), as_json=arguments.json)
    return DONE


def answer(arguments: argparse.Namespace) -> int:
    """Answer a question of a run."""
    with _client(arguments) as client:
        run = client.get(arguments.run)
        name: str = arguments.question or _only_question(run).id
        asked = next((each for each in run.questions if each.id == name), None)
        value = read_answer(asked, arguments.answer) if asked else arguments.answer
        run = client.answer(run, name, value)
    tell(f"{run.id} {state_of(run)}", _plain(run), as_json=arguments.json)
    return DONE


def _only_question(run: Run) -> Question:
    match run.questions:
        case ():
            raise Refusal("The run has no open question.", "question_not_found", USAGE)
        case (only,):
            return only
        case several:
            names = ", ".join(question.id for question in several)
            message = f"The run asks several questions: name one of {names}."
            raise Refusal(message, "several_questions", USAGE)


def cancel(arguments: argparse.Namespace) -> int:
    """Ask a run to end."""
    with _client(arguments) as client:
        run = client.cancel(arguments.run)
    tell(f"{run.id} {state_of(run)}", _plain(run), as_json=arguments.json)
    return DONE


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn what the client raises into how a command ends."""
    try:
        yield
    except ApiError as error:
        raise Refusal(error.detail, error.code, _exit_code(error)) from error
    except ClientError as error:
        raise Refusal(str(error), "unreachable", UNREACHABLE) from error


def _exit_code(error: ApiError) -> int:
    if isinstance(error, Denied):
        return DENIED
    if isinstance(error, Unavailable):
        return UNREACHABLE
    return USAGE if error.status < 500 else FAILED


@contextmanager
def _client(arguments: argparse.Namespace) -> Generator[Client]:
    there = remote(arguments.server)
    with (
        translated_errors(),
        Client(there.server, token=there.token, patience_seconds=_PATIENCE_SECONDS) as client,
    ):
        yield client


# --- for people ---------------------------------------------------------------------------------


def state_of(run: Run) -> str:
    """A run's state, and why."""
    return f"{run.status} ({run.reason})" if run.reason else run.status


def _agent_lines(found: Sequence[AgentInfo]) -> str:
    rows = [(agent.name, "default" if agent.default else "", agent.description) for agent in found]
    return table([("AGENT", "", "DESCRIPTION"), *rows])


def _run_lines(runs: Sequence[Run]) -> str:
    rows = [
        (run.id, run.agent, state_of(run), str(run.events), _time(run.created_at)) for run in runs
    ]
    return table([("RUN", "AGENT", "STATUS", "EVENTS", "CREATED"), *rows])


def _whole_run(run: Run) -> str:
    rows = [
        ("run", run.id),
        ("agent", run.agent),
        ("status", state_of(run)),
        ("events", str(run.events)),
        ("session", run.session or ""),
        ("created", _time(run.created_at)),
        ("finished", _time(run.finished_at)),
    ]
    lines = table([row for row in rows if row[1]])
    if run.error:
        lines += f"\n\n{run.error.traceback or run.error.message}"
    if run.output is None:
        return lines
    output = run.output if isinstance(run.output, str) else json.dumps(run.output, indent=2)
    return f"{lines}\n\n{output}"


def _question_lines(run: Run, question: Question, server: str | None) -> str:
    lines = prompt_lines(question)
    until = f" (until {_time(question.due)})" if question.due else ""
    command = ["forebay", "runs", "answer", run.id, question.id, "ANSWER"]
    command += ["--server", server] if server else []
    head = f"It asks{until}: {lines[0]}"
    return "\n".join([head, *lines[1:], f"  {shlex.join(command)}"])


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(value: object) -> Json:
    return msgspec.to_builtins(value)
