"""An HTTP edge with the routes of a test."""

from typing import Any, Literal

from forebay.core.errors import ForebayError
from forebay.core.gate import Gate
from forebay.dialects.native.errors import problem_response
from forebay.http.asgi import Receive, Send
from forebay.http.edge import Edge
from forebay.http.origin import OriginPolicy
from forebay.http.request import Request
from forebay.http.response import Response
from forebay.http.routing import Handler, Route, Router

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


async def say_hello(request: Request) -> Response:
    del request
    return Response(b'"hello"')


def route(method: Method, path: str, handler: Handler = say_hello, **rest: Any) -> Route:
    """A row of a table."""
    return Route(
        method=method,
        path=path,
        handler=handler,
        access="always open",
        errors=problem_response,
        summary="For a test",
        **rest,
    )


def edge_of(
    *routes: Route,
    closed_by: ForebayError | None = None,
    origins: OriginPolicy | None = None,
    body_limit: int = 1000,
) -> Edge:
    """An edge with these routes."""

    def admit_all(route: Route, request: Request) -> None:
        del route, request

    async def no_lifespan(receive: Receive, send: Send) -> None:
        del receive, send

    return Edge(
        Router(routes),
        errors=problem_response,
        gate=Gate(closed_by),
        origins=origins or OriginPolicy(),
        body_limit=body_limit,
        guard=admit_all,
        lifespan=no_lifespan,
    )
