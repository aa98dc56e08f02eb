"""The composition root: settings in, application out. The only file that names concrete classes."""

import asyncio
import os
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
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
from forebay.settings import Settings

from .database import open_storage
from .metrics import metrics

VERSION = metadata.version("forebay")

_AGENT_THREADS = 64
_OPEN_RETRY_SECONDS = 1.0
_PING_SECONDS = 1.0
_LAST_ENTRIES_SECONDS = 0.2
_FORWARDING = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


def load_agents(settings: Settings, clock: Clock) -> Agents:
    """The agents that the settings name, and the built-in ones. Raises AgentLoadError."""
    own: list[Agent] = [agent for source in settings.agents for agent in load_source(source)]
    return Agents(own, [make_echo(clock)], settings.default_agent)


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
        server = ServerRoutes(self.readiness, self._metrics)
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
        return Readiness(VERSION, reachable, default, problems, self.storage.degraded)

    async def _metrics(self) -> list[Metric]:
        return await metrics(self.storage, self.runs, self.edge, self.streams, self._clock)

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
