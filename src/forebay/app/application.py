"""The composition root: settings in, application out. The only file that names concrete classes."""

import asyncio
from contextlib import suppress
from importlib import metadata
from typing import TextIO, cast

from forebay.access.callers import Callers
from forebay.control.providers import ProviderWatch
from forebay.core.clock import Clock, SystemClock
from forebay.core.errors import (
    MigrationNeeded,
    NoDefaultAgent,
    StartError,
    TokenRequired,
)
from forebay.core.turns import SessionPolicy
from forebay.desk.desk import Desk
from forebay.dialects.native.agents import AgentRoutes, agent_routes
from forebay.dialects.native.docs import DocsRoutes, docs_routes
from forebay.dialects.native.errors import problem_response
from forebay.dialects.native.runs import RunRoutes, run_routes
from forebay.dialects.native.server import Metric, Readiness, ServerRoutes, server_routes
from forebay.http.asgi import Receive, Send
from forebay.http.edge import Edge
from forebay.http.origin import OriginPolicy
from forebay.http.request import Request
from forebay.http.routing import Route, Router
from forebay.http.sse import Streams
from forebay.ports.storage import Storage
from forebay.runs.retention import Retention
from forebay.settings import Settings, is_loopback

from .engine import Duties, Engine
from .metrics import metrics
from .workflow import Described

VERSION = metadata.version("forebay")

_LAST_ENTRIES_SECONDS = 0.2
_OPENING_SECONDS = 1.0
_FORWARDING = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


class Application:
    """Everything of one server process. `edge` is the ASGI application."""

    def __init__(
        self,
        settings: Settings,
        duties: Duties = Duties(),  # noqa: B008 -- it cannot be changed
        *,
        clock: Clock | None = None,
        storage: Storage | None = None,
        log_to: TextIO | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.settings = settings
        self.stopped = asyncio.Event()
        self._live_workers: int | None = None
        self._clock = clock
        self._engine = Engine(settings, clock, duties, storage=storage, log_to=log_to)
        self.storage = self._engine.storage
        self.agents = self._engine.agents
        self.gate = self._engine.gate
        self.settled = self._engine.settled
        self.usable = self._engine.usable
        self.runs = self._engine.runs
        self._retention = Retention(self.storage, clock)
        self._providers = ProviderWatch(self._engine.configured_models, clock)
        self._serves = duties.serves
        self.streams = Streams(clock)
        self.desk = Desk(
            Callers(),
            self.agents,
            self.runs,
            clock,
            session_policy=cast(SessionPolicy, settings.session_policy),
        )
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
                pattern=settings.cors_origin_regex or "",
            ),
            body_limit=settings.body_limit_bytes,
            guard=self._guard,
            lifespan=self._lifespan,
        )
        self._opening: asyncio.Task[None] | None = None

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

    @property
    def fatal(self) -> StartError | MigrationNeeded | None:
        """Why this server will never be usable."""
        return self._engine.fatal

    def start(self) -> None:
        """Begin to open what is heavy; until it is open, most routes answer 503."""
        self._engine.start()
        self._opening = asyncio.create_task(self._open(), name="open")

    async def aclose(self) -> None:
        """End what is under way, write everything down, let go."""
        self.stop()
        if self._opening:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._retention.aclose()
        await self._providers.aclose()
        await self._engine.end_runs()
        await self.streams.aclose()
        await self._engine.aclose()

    def stop(self) -> None:
        """Take no more runs; end those under way, then the streams that are still open."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.runs.stop()
            asyncio.get_running_loop().call_later(_LAST_ENTRIES_SECONDS, self.streams.stop)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.start()
        # Who comes meanwhile waits in the queue of the socket, which is kinder than a refusal.
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPENING_SECONDS):
                await self.settled.wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        await self.settled.wait()
        if self.fatal is not None:
            self.stopped.set()
            return
        self._retention.start()
        if self._serves:
            self._providers.start()
        self.streams.start()
        await self.usable.wait()
        if self.fatal is not None:
            self.stopped.set()

    # --- what it says of itself -----------------------------------------------------------------

    def hear_of_workers(self, count: int) -> None:
        """So many worker processes execute queued runs for us now."""
        self._live_workers = count

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
        return Readiness(VERSION, reachable, default, problems, self._degraded())

    def _degraded(self) -> list[str]:
        nobody = ["No run worker is alive: queued runs wait."] if self._live_workers == 0 else []
        return [*self._engine.degraded, *self._providers.problems, *nobody]

    @property
    def described(self) -> Described | None:
        """What the workflow file describes, if there is one."""
        return self._engine.described

    async def _metrics(self) -> list[Metric]:
        return await metrics(self.storage, self.runs, self.edge, self.streams, self._clock)

    def _guard(self, route: Route, request: Request) -> None:
        if route.access != "operator":
            return
        forwarded = any(name in request.headers for name in _FORWARDING)
        if forwarded or not is_loopback(self.settings.host):
            raise TokenRequired
