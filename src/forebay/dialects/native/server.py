"""The routes of the server itself: health, readiness, metrics."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from forebay.core.codec import encode_json
from forebay.http.request import Request
from forebay.http.response import Answer, Response
from forebay.http.routing import Body, Route

from .errors import problem_response
from .models import Health, Ready

_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Readiness(NamedTuple):
    """Whether the server can take work, and what keeps it from some."""

    version: str
    database: str
    default_agent: str | None
    problems: list[str]
    degraded: list[str]


class Metric(NamedTuple):
    """One figure. `labels` are ready to print."""

    name: str
    kind: str
    doc: str
    value: float
    labels: str = ""


class ServerRoutes:
    """The handlers of `/health`, `/ready` and `/metrics`."""

    def __init__(
        self,
        readiness: Callable[[], Readiness],
        metrics: Callable[[], Awaitable[list[Metric]]],
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics

    async def health(self, request: Request) -> Answer:
        del request
        database = self._readiness().database
        status = "ok" if database == "ok" else "degraded"
        told = {"status": status, "service": "backend", "dask_available": False, "db": database}
        return Response(encode_json(told))

    async def ready(self, request: Request) -> Answer:
        del request
        state = self._readiness()
        told = {"ready": not state.problems, **state._asdict()}
        headers = [(b"retry-after", b"1")] if state.problems else None
        return Response(encode_json(told), 503 if state.problems else 200, headers=headers)

    async def metrics(self, request: Request) -> Answer:
        del request
        lines: list[str] = []
        seen: set[str] = set()
        for metric in await self._metrics():
            if metric.name not in seen:
                seen.add(metric.name)
                lines.append(f"# HELP {metric.name} {metric.doc}")
                lines.append(f"# TYPE {metric.name} {metric.kind}")
            labels = f"{{{metric.labels}}}" if metric.labels else ""
            lines.append(f"{metric.name}{labels} {metric.value:g}")
        return Response("\n".join([*lines, ""]).encode(), kind=_PROMETHEUS)


def server_routes(routes: ServerRoutes) -> list[Route]:
    """The rows of the server itself."""
    return [
        Route(
            method="GET",
            path="/health",
            handler=routes.health,
            access="always open",
            errors=problem_response,
            tag="server",
            summary="Whether the process lives",
            answers={200: Body("It does", Health)},
            needs_database=False,
        ),
        Route(
            method="GET",
            path="/ready",
            handler=routes.ready,
            access="always open",
            errors=problem_response,
            tag="server",
            summary="Whether the server can take work",
            answers={200: Body("It can", Ready), 503: Body("It cannot now", Ready)},
            needs_database=False,
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=routes.metrics,
            access="operator",
            errors=problem_response,
            tag="server",
            summary="Figures for Prometheus",
            answers={200: Body("The figures", kind="text/plain")},
        ),
    ]
