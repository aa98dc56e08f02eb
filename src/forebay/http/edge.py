"""The edge: one ASGI application that finds the route, guards it, and gives every error a shape.

Nothing is wrapped around it: each layer of middleware would cost every request, so what would be
middleware stands here as plain lines in order.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from forebay.core.errors import Broken, ForebayError
from forebay.core.gate import Gate
from forebay.core.ids import Names

from .asgi import Headers, Receive, Scope, Send
from .origin import OriginPolicy
from .request import ErrorShape, Request
from .response import Answer, empty
from .routing import Route, Router
from .trace import trace_of, traceparent, usable_request_id

log = logging.getLogger("forebay.http")


class Edge:
    """The ASGI application."""

    def __init__(  # noqa: PLR0913 -- the parts it is made of, once
        self,
        router: Router,
        *,
        errors: ErrorShape,
        gate: Gate,
        origins: OriginPolicy,
        body_limit: int,
        guard: Callable[[Route, Request], None],
        lifespan: Callable[[Receive, Send], Awaitable[None]],
    ) -> None:
        self._router = router
        self._errors = errors
        self._gate = gate
        self._origins = origins
        self._body_limit = body_limit
        self._guard = guard
        self._lifespan = lifespan
        self._names = Names()
        self.answers: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request = Request(scope, receive, send, headers, self._body_limit)
        request.responder = self
        request.extra = self._name(request)
        await self.respond(request, self._answer(request))

    async def respond(self, request: Request, making: Awaitable[Answer]) -> None:
        """Send what is being made, or the error that comes of it; but never a second answer."""
        try:
            answer = await making
        except ForebayError as error:
            answer = (request.errors or self._errors)(error, request)
        except Exception:  # a mistake, ours or of a validator: it has a shape too
            log.exception("request %s failed", request.id, extra={"request": request.id})
            answer = (request.errors or self._errors)(Broken(), request)
        if request.is_answered:
            return
        request.is_answered = True
        if b"origin" in request.headers:
            request.extra.extend(self._origins.cors(request.headers))
        self.answers[answer.status] += 1
        await answer.send(request.send, request.extra)

    async def _answer(self, request: Request) -> Answer:
        scope = request.scope
        self._origins.check(request.headers)
        if scope["method"] == "OPTIONS":
            return empty(headers=self._origins.preflight(request.headers))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route, request.path = self._router.find(method, scope["path"])
        request.errors = route.errors
        if route.needs_database and self._gate.closed_by is not None:
            raise self._gate.closed_by
        if route.body_limit is not None:
            request.body_limit = route.body_limit
        self._guard(route, request)
        return await route.handler(request)

    def _name(self, request: Request) -> Headers:
        headers = request.headers
        own = self._names.request()
        given = headers.get(b"x-request-id")
        request.name = (usable_request_id(given) if given else None) or own
        parent = headers.get(b"traceparent")
        request.trace = (trace_of(parent) if parent else None) or own
        extra = [(b"x-request-id", request.name)]
        if parent is not None:
            extra.append((b"traceparent", traceparent(request.trace, own)))
        return extra
