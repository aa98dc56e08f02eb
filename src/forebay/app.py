"""The composition root: settings in, application out. The only file that names concrete classes."""

import asyncio
import os
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Literal, TextIO

from forebay.access.callers import Callers
from forebay.builtins.agents.echo import make_echo
from forebay.control.agents import Agents
from forebay.control.sources import load_source
from forebay.core.clock import Clock, SystemClock, boot_id
from forebay.core.errors import (
    DatabaseUnavailable,
    Full,
    MigrationNeeded,
    NoDefaultAgent,
    StartError,
    Starting,
    TokenRequired,
)
from forebay.desk.desk import Desk
from forebay.dialects.native.agents import AgentRoutes, agent_routes
from forebay.dialects.native.docs import DocsRoutes, docs_routes
from forebay.dialects.native.errors import problem_response
from forebay.dialects.native.runs import RunRoutes, run_routes
from forebay.dialects.native.server import Metric, Readiness, ServerRoutes, server_routes
from forebay.executors.inline import InlineExecutor
from forebay.http.asgi import Receive, Send
from forebay.http.edge import Edge, Gate
from forebay.http.origin import OriginPolicy
from forebay.http.request import Request
from forebay.http.routing import Route, Router
from forebay.http.sse import Streams
from forebay.ports.agent import Agent
from forebay.ports.storage import Storage
from forebay.runs.execute import Execution
from forebay.runs.lines import RunLines
from forebay.runs.recover import Recovery
from forebay.runs.retention import Retention
from forebay.runs.service import Runs
from forebay.settings import Settings, database

VERSION = metadata.version("forebay")

_AGENT_THREADS = 64
_OPEN_RETRY_SECONDS = 1.0
_PING_SECONDS = 1.0
_LAST_ENTRIES_SECONDS = 0.2
_FORWARDING = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


def open_storage(settings: Settings, clock: Clock) -> Storage:
    """The database that the settings name, not opened yet."""
    where = database(settings.db_url)
    match where.engine:
        case "postgres":
            from forebay.storage.postgres.storage import PostgresStorage

            assert where.url is not None
            return PostgresStorage(
                where.url,
                direct_url=_direct_url(settings),
                prepare=settings.db_prepared_statements,
                auto_migrate=settings.auto_migrate,
            )
        case "sqlite":
            from forebay.storage.sqlite.storage import SqliteStorage

            assert where.path is not None
            return SqliteStorage(where.path, clock)
        case _:
            from forebay.storage.memory import MemoryStorage

            return MemoryStorage(clock)


def load_agents(settings: Settings, clock: Clock) -> Agents:
    """The agents that the settings name, and the built-in ones. Raises AgentLoadError."""
    own: list[Agent] = [agent for source in settings.agents for agent in load_source(source)]
    return Agents(own, [make_echo(clock)], settings.default_agent)


# --- what is done to a database without serving it ------------------------------------------------


async def migrate(settings: Settings, clock: Clock) -> list[str]:
    """Bring the schema up to date; tells what changed. Raises StartError, DatabaseUnavailable."""
    where = database(settings.db_url)
    if where.url is not None:
        from forebay.storage.postgres.migrate import migrate as migrate_postgres

        applied = await migrate_postgres(_direct_url(settings) or where.url)
    elif where.path is not None:
        from forebay.storage.sqlite.backup import bring_up_to_date

        applied = bring_up_to_date(where.path, clock.now())
    else:
        applied = []
    return [f"{change.number:04d} {change.name}" for change in applied]


def back_up(settings: Settings, file: Path, *, force: bool) -> int:
    """Copy the database as it is now to a file, and tell its size. Raises StartError."""
    from forebay.storage.sqlite.backup import back_up as back_up_sqlite

    return back_up_sqlite(_sqlite_file(settings), file, force=force).size_bytes


def restore(settings: Settings, file: Path, *, force: bool) -> Path | None:
    """Make the database what a backup holds; tells where the old one is kept. Raises StartError."""
    from forebay.storage.sqlite.backup import restore as restore_sqlite

    return restore_sqlite(file, _sqlite_file(settings), force=force)


async def look_at_database(settings: Settings, clock: Clock) -> str:
    """In what state the database is. Raises StartError, MigrationNeeded, DatabaseUnavailable."""
    where = database(settings.db_url)
    if where.path is None:
        storage = open_storage(replace(settings, auto_migrate=False), clock)
        await storage.open()
        await storage.aclose()
        return "up to date"
    if not where.path.exists():
        return "does not exist yet; serve creates it"
    from forebay.storage.sqlite.backup import look_at

    found = look_at(where.path)
    if found.version < found.newest:
        return f"schema {found.version} of {found.newest}; serve brings it up to date"
    return f"schema {found.version}, {found.size_bytes / 2**20:.1f} MiB"


def sqlite_version() -> str:
    """The version of the SQLite that Forebay brings."""
    from forebay.storage.sqlite.backup import library_version

    return library_version()


def _direct_url(settings: Settings) -> str | None:
    return database(settings.db_direct_url).url if settings.db_direct_url else None


def _sqlite_file(settings: Settings) -> Path:
    where = database(settings.db_url)
    if where.path is None:
        advice = "use pg_dump and pg_restore" if where.url else "this one keeps nothing"
        raise StartError(f"Forebay backs up and restores SQLite databases; {advice}.")
    return where.path


class Application:
    """Everything of one server process. `edge` is the ASGI application."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        storage: Storage | None = None,
        log_to: TextIO | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.settings = settings
        self.storage = storage or open_storage(settings, clock)
        self.agents = load_agents(settings, clock)
        self.gate = Gate()
        self.fatal: StartError | MigrationNeeded | None = None
        self.settled = asyncio.Event()
        """The database is open, or it is known that it never will be (`fatal`)."""
        self.stopped = asyncio.Event()
        self._clock = clock
        holder = f"{boot_id()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._threads = ThreadPoolExecutor(_AGENT_THREADS, "forebay-agent")
        self._lines = RunLines(log_to or sys.stderr, log_form(settings, log_to or sys.stderr))
        self.runs = Runs(
            self.storage,
            InlineExecutor(),
            Execution(clock, self._threads, settings.dev),
            clock=clock,
            holder=holder,
            keep_light=settings.keep_light_runs,
            on_end=self._lines.ended if settings.log_level in ("debug", "info") else None,
        )
        self._recovery = Recovery(self.runs, self.storage, clock, holder)
        self._retention = Retention(self.storage, clock)
        self.streams = Streams(clock)
        self.desk = Desk(Callers(), self.agents, self.runs, clock)
        self.router = Router(self._routes())
        self.edge = Edge(
            self.router,
            errors=problem_response,
            gate=self.gate,
            origins=OriginPolicy(
                allowed=settings.cors_origins,
                check_origin=not settings.require_auth,
                loopback_only=is_loopback(settings.host),
                hosts=settings.allowed_hosts,
            ),
            body_limit=settings.body_limit_bytes,
            guard=self._guard,
            lifespan=self._lifespan,
        )
        self._watching: asyncio.Task[None] | None = None

    def _routes(self) -> list[Route]:
        server = ServerRoutes(self.readiness, self.metrics)
        routes = [
            *run_routes(RunRoutes(self.desk, self.streams, self.settings.expiry_seconds)),
            *agent_routes(AgentRoutes(self.desk)),
            *server_routes(server),
            *docs_routes(DocsRoutes(lambda: self.router.routes, self.desk, VERSION)),
        ]
        return routes

    # --- its life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open what is heavy; until it is open, most routes answer 503."""
        self._watching = asyncio.create_task(self._watch(), name="database-watch")

    async def aclose(self) -> None:
        """End what is under way, write everything down, let go."""
        self.stop()
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self.gate.closed_by is None or not isinstance(self.gate.closed_by, Starting):
            await self._retention.aclose()
            await self._recovery.aclose()
            await self.runs.aclose()
            await self.streams.aclose()
        await self.storage.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._lines.flush()

    def stop(self) -> None:
        """Take no more runs; end those under way, then the streams that are still open."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.runs.stop()
            asyncio.get_running_loop().call_later(_LAST_ENTRIES_SECONDS, self.streams.stop)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _watch(self) -> None:
        try:
            await self._open()
        except (StartError, MigrationNeeded) as error:
            self.fatal = error
            self.settled.set()
            self.stopped.set()
            return
        while True:
            await self._clock.sleep(_PING_SECONDS)
            try:
                await self.storage.ping()
            except DatabaseUnavailable as error:
                self.gate.closed_by = error
            except Full as error:
                self.runs.closed_by = error
            else:
                self.gate.closed_by = None
                if isinstance(self.runs.closed_by, Full):
                    self.runs.closed_by = None

    async def _open(self) -> None:
        while True:
            try:
                await self.storage.open()
            except MigrationNeeded:
                raise
            except DatabaseUnavailable as error:
                self.gate.closed_by = Starting(
                    f"The database cannot be reached yet. {error.message}"
                )
                await self._clock.sleep(_OPEN_RETRY_SECONDS)
            else:
                break
        self.runs.open()
        self._recovery.start()
        self._retention.start()
        self.streams.start()
        self.gate.closed_by = None
        self.settled.set()

    # --- what it says of itself -----------------------------------------------------------------

    def readiness(self) -> Readiness:
        """Whether this server can take work."""
        problems = [str(reason) for reason in (self.gate.closed_by, self.runs.closed_by) if reason]
        default = None
        try:
            default = self.desk.default_agent().name
        except NoDefaultAgent as error:
            problems.append(error.message)
        closed = self.gate.closed_by
        reachable = "ok" if closed is None else "unreachable"
        return Readiness(VERSION, reachable, default, problems, [])

    async def metrics(self) -> list[Metric]:
        """Figures of this process and its database."""
        stats = await self.storage.stats()
        committer = self.runs.committer
        age = 0.0 if stats.oldest_run is None else (self._clock.now() - stats.oldest_run) / 1000
        return [
            *(
                Metric("forebay_answers_total", "counter", "HTTP answers", count, f'status="{code}"')
                for code, count in sorted(self.edge.answers.items())
            ),
            *(
                Metric("forebay_runs_ended_total", "counter", "Ended runs", count, f'status="{name}"')
                for name, count in sorted(self.runs.ended.items())
            ),
            Metric("forebay_runs_under_way", "gauge", "Runs executed here", self.runs.under_way),
            Metric("forebay_streams_open", "gauge", "Open event streams", len(self.streams)),
            Metric("forebay_commits_total", "counter", "Batches committed", committer.commits),
            Metric("forebay_page_reads_total", "counter", "Reads of the log for followers",
                   self.runs.follower.page_reads),
            Metric("forebay_log_backlog", "gauge", "Light runs not written yet", committer.backlog),
            Metric("forebay_log_dropped_total", "counter", "Light runs never written",
                   committer.keeps_dropped),
            Metric("forebay_database_bytes", "gauge", "Size of the database", stats.size_bytes),
            Metric("forebay_oldest_run_seconds", "gauge", "Age of the oldest run", age),
        ]  # fmt: skip

    def _guard(self, route: Route, request: Request) -> None:
        if route.access != "operator":
            return
        forwarded = any(name in request.headers for name in _FORWARDING)
        if forwarded or not is_loopback(self.settings.host):
            raise TokenRequired


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def log_form(settings: Settings, out: TextIO) -> Literal["text", "json"]:
    """How log lines are written to this stream."""
    if settings.log_format == "auto":
        return "text" if out.isatty() else "json"
    return "json" if settings.log_format == "json" else "text"
