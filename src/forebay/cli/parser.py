"""Every command and every option. An option that has a setting is named as the setting is.

`docs/cli.md` is written from this parser.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Protocol

from forebay.settings import Value

EXIT_CODES = """\
exit codes: 0 done; 1 the run failed, or doctor found something wrong; 2 wrong usage, settings,
agents, ids or files; 3 the server or database cannot be reached; 4 access denied."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that complains in one line."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(allow_abbrev=False, **rest)
        self.formatter_class = argparse.RawDescriptionHelpFormatter

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


class Commands(Protocol):
    """What commands are added to."""

    def add_parser(self, name: str, *, help: str, description: str) -> Parser: ...


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"forebay {version('forebay')}")
        raise SystemExit(0)


def build_parser() -> Parser:
    """The parser of `forebay`."""
    parser = Parser(
        prog="forebay",
        description="Forebay: the server in front of your agents.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for add in (
        _serve,
        _worker,
        _run,
        _migrate,
        _check,
        _doctor,
        _backup,
        _restore,
        _agents,
        _runs,
    ):
        add(commands)
    return parser


def given(arguments: argparse.Namespace) -> dict[str, Value]:
    """The settings that the command line names."""
    named: Mapping[str, Any] = vars(arguments)
    wanted = [dest for dest in _SETTINGS if named.get(dest) not in (None, "")]
    found: dict[str, Value] = {dest: named[dest] for dest in wanted}
    sources: Iterable[str] = [*(named.get("sources") or ()), *(named.get("agents") or ())]
    if agents := tuple(sources):
        found["agents"] = agents
    for dest in ("cors_origins", "imports"):
        if values := named.get(dest):
            found[dest] = tuple(values)
    overrides: Iterable[tuple[str, str]] = named.get("overrides") or ()
    if pairs := tuple(f"{key}={value}" for key, value in overrides):
        found["overrides"] = pairs
    return found


_SETTINGS = (
    *("db_url", "host", "port", "default_agent", "dev", "log_level", "log_format"),
    *("workers", "run_workers", "concurrency", "config_file", "workflow_runtime"),
)

_FRONT_END = (
    *("root_path", "scheduler_address", "max_running_async_jobs", "dask_workers"),
    *("dask_log_level", "dask_worker_memory_limit", "dask_threads_per_worker"),
    *("oauth2_callback_path", "use_gunicorn", "runner_class", "object_store"),
    *("disable_legacy_routes", "enable_interactive_extensions"),
)
"""What `nat serve` has options for and we have none: they stand in for keys of a workflow file."""


class _FrontEndOption(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        pair = (f"general.front_end.{self.dest}", values)
        namespace.overrides = [*(namespace.overrides or ()), pair]


# --- commands -----------------------------------------------------------------------------------


def _command(commands: Commands, name: str, module: str, doc: str, more: str = "") -> Parser:
    parser = commands.add_parser(name, help=doc, description=f"{doc}. {more}".strip())
    parser.set_defaults(module=module, function=name)
    parser.add_argument("--json", action="store_true", help="print JSON, errors too")
    return parser


def _serve(commands: Commands) -> None:
    parser = _command(commands, "serve", "serve", "Start the server")
    _server_settings(parser)
    parser.add_argument(
        "--reload", action="store_true", help="start again when the files of the agents change"
    )
    _as_child(parser)


def _worker(commands: Commands) -> None:
    more = "On any machine that reaches the database; beside any server."
    parser = _command(commands, "worker", "worker", "Execute queued runs", more)
    _sources(parser)
    _workflow(parser)
    _database(parser)
    _agents_option(parser)
    _run_workers(parser)
    parser.add_argument(
        "--python", metavar="PATH", help="the interpreter of the processes; default: this one"
    )
    _dev(parser)
    _logs(parser)
    _as_child(parser)


def _as_child(parser: Parser) -> None:
    # For the processes that these commands start: what to do, and what they inherit.
    parser.add_argument("--as-child", help=argparse.SUPPRESS)


def _run(commands: Commands) -> None:
    more = "The run stands in the database like any other."
    parser = _command(commands, "run", "run", "Run an agent here, without a server", more)
    parser.add_argument(
        "agent", metavar="AGENT", nargs="?", help="the agent's name; with --input the default one"
    )
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        help="its input; JSON if it takes no text; - reads standard input",
    )
    parser.add_argument(
        "--input",
        action="append",
        dest="inputs",
        metavar="TEXT",
        help="an input; for each a run, one after the other (repeatable)",
    )
    parser.add_argument("--input_file", "--input-file", metavar="FILE", help="a file with an input")
    parser.add_argument(
        "--conversation_id", "--session", dest="session", metavar="ID", help="the conversation"
    )
    parser.add_argument(
        "--user_id", metavar="ID", help="who asks, for what NAT keeps for each user"
    )
    _workflow(parser)
    _agents_option(parser)
    _database(parser)
    _dev(parser)


def _migrate(commands: Commands) -> None:
    more = "For PostgreSQL; serve does it itself for SQLite."
    _database(_command(commands, "migrate", "database", "Bring the schema up to date", more))


def _check(commands: Commands) -> None:
    doc = "Print each setting with its source, and load the agents and the workflow file"
    parser = _command(commands, "check", "check", doc)
    _server_settings(parser)
    parser.add_argument("--online", action="store_true", help="ask each model whether it answers")


def _doctor(commands: Commands) -> None:
    doc = "Look for what could keep the server from working"
    parser = _command(commands, "doctor", "doctor", doc)
    _server_settings(parser)


def _backup(commands: Commands) -> None:
    more = "A server may go on using it. The backup is checked, and contains no key."
    parser = _command(commands, "backup", "database", "Copy the SQLite database to a file", more)
    parser.add_argument("file", metavar="FILE", help="the backup to write")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    _database(parser)


def _restore(commands: Commands) -> None:
    more = "The server has to be stopped. The backup is checked first."
    parser = _command(commands, "restore", "database", "Put a backup back", more)
    parser.add_argument("file", metavar="FILE", help="the backup to read")
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the database if it exists; the old one is kept as ….before-restore",
    )
    _database(parser)


def _agents(commands: Commands) -> None:
    parser = _command(commands, "agents", "remote", "List the agents of a server")
    _server(parser)


def _runs(commands: Commands) -> None:
    doc = "List, show, follow, answer and cancel the runs of a server"
    parser = commands.add_parser("runs", help=doc, description=f"{doc}.")
    runs = parser.add_subparsers(title="commands", dest="of_runs", metavar="COMMAND", required=True)
    listing = _command(runs, "list", "remote", "List runs, newest first")
    listing.set_defaults(function="list_runs")
    listing.add_argument("--status", help="only runs in this state")
    listing.add_argument("--agent", help="only runs of this agent")
    listing.add_argument("--session", help="only runs of this session")
    listing.add_argument("--limit", type=int, default=20, help="how many; default: 20")
    listing.add_argument("--cursor", help="go on where a list ended")
    showing = _command(runs, "show", "remote", "Show a run with its answer")
    following = _command(runs, "follow", "follow", "Follow a run's events to the last one")
    following.add_argument(
        "--after", type=int, default=0, metavar="NUMBER", help="only events after this number"
    )
    following.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long to go on trying when the server is away; default: 120",
    )
    cancelling = _command(runs, "cancel", "remote", "Ask a run to end")
    more = "What it asks, runs show tells."
    answering = _command(runs, "answer", "remote", "Answer a question of a run", more)
    for parser in (showing, following, cancelling, answering):
        parser.add_argument("run", metavar="RUN", help="the run's id")
    answering.add_argument(
        "question",
        metavar="QUESTION",
        nargs="?",
        help="the question's id; not needed if the run has one open question",
    )
    answering.add_argument(
        "answer",
        metavar="ANSWER",
        help="text, or an option by its id, value, label or number; several with commas between",
    )
    for parser in (listing, showing, following, cancelling, answering):
        _server(parser)


# --- options that several commands have ---------------------------------------------------------


def _server_settings(parser: Parser) -> None:
    _sources(parser)
    _workflow(parser)
    for name in _FRONT_END:
        parser.add_argument(f"--{name}", action=_FrontEndOption, help=argparse.SUPPRESS)
    _database(parser)
    parser.add_argument("--host", help="the address to listen on; default: 127.0.0.1")
    parser.add_argument(
        "--port", type=int, help="the port to listen on, 0 for a free one; default: 8000"
    )
    _agents_option(parser)
    parser.add_argument(
        "--default-agent", metavar="NAME", help="the agent that answers when none is named"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that answer requests; default: 1"
    )
    _run_workers(parser)
    _dev(parser)
    _logs(parser)
    parser.add_argument(
        "--cors-origin",
        action="append",
        dest="cors_origins",
        metavar="ORIGIN",
        help="a web page's origin that may use this server, * for all (repeatable)",
    )


def _sources(parser: Parser) -> None:
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="your agents: agents.py, package.module or package.module:name",
    )


def _workflow(parser: Parser) -> None:
    parser.add_argument(
        "--config_file", "--config-file", metavar="FILE", help="a workflow file, as NAT has them"
    )
    parser.add_argument(
        "--override",
        action="append",
        dest="overrides",
        nargs=2,
        metavar=("KEY", "VALUE"),
        help="put a value into the workflow file: llms.main.temperature 0 (repeatable)",
    )
    parser.add_argument(
        "--workflow-runtime",
        choices=("auto", "native", "nat"),
        help="what runs the workflow file; default: auto, native if Forebay has its types",
    )
    parser.add_argument(
        "--import",
        action="append",
        dest="imports",
        metavar="MODULE",
        help="import this before the agents are loaded (repeatable)",
    )


def _run_workers(parser: Parser) -> None:
    parser.add_argument(
        "--run-workers", type=int, metavar="N", help="processes for queued runs; default: 1"
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="queued runs that one process executes at the same time; default: 200",
    )


def _logs(parser: Parser) -> None:
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, help="default: info")
    forms = ("auto", "text", "json")
    parser.add_argument("--log-format", choices=forms, help="default: auto, text on a terminal")


def _agents_option(parser: Parser) -> None:
    parser.add_argument(
        "--agents",
        action="append",
        metavar="SOURCE",
        help="your agents, as an option (repeatable)",
    )


def _dev(parser: Parser) -> None:
    parser.add_argument(
        "--dev", action="store_const", const=True, help="failed runs tell their traceback"
    )


def _database(parser: Parser) -> None:
    parser.add_argument(
        "--db",
        "--db_url",
        dest="db_url",
        metavar="URL",
        help="a file for SQLite, postgresql://…, or memory:; default: ./forebay.db",
    )


def _server(parser: Parser) -> None:
    parser.add_argument(
        "--server", metavar="URL", help="default: FOREBAY_SERVER, else http://127.0.0.1:8000"
    )
