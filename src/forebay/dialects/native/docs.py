"""The routes of the documentation: the OpenAPI document, and a page that needs no network.

What the page needs stands in `static/`. Its policy lets it load nothing from anywhere else.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files

from forebay.core.codec import encode_json
from forebay.desk.desk import Desk
from forebay.http.asgi import Headers
from forebay.http.errors import PathNotFound
from forebay.http.openapi import About, document
from forebay.http.request import Request
from forebay.http.response import Answer, Response, empty
from forebay.http.routing import Body, Route

from .errors import PROBLEM, problem_response
from .models import Problem
from .schemas import agents_told, event_schemas

_TAG = "documentation"
_STATIC = files("forebay.dialects.native") / "static"
_FILES = {
    "docs.css": _STATIC / "docs.css",
    "docs.js": _STATIC / "docs.js",
    "icon.svg": _STATIC / "icon.svg",
    "swagger-ui-bundle.js": _STATIC / "swagger-ui" / "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt": _STATIC / "swagger-ui" / "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.css": _STATIC / "swagger-ui" / "swagger-ui.css",
}
_KINDS = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}
_HTML = b"text/html; charset=utf-8"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_FOR_EVER = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"

_ABOUT = """\
The server in front of your agents.

A **run** is one execution of an agent. Its **log** holds numbered **events** that never change;
status and answer are what the log adds up to. Errors are problem details (RFC 9457) with a stable
`code`. Every answer bears `x-request-id` and `traceparent`.

"""


class DocsRoutes:
    """The handlers of `/openapi.json` and `/docs`."""

    def __init__(self, routes: Callable[[], Sequence[Route]], desk: Desk, version: str) -> None:
        self._routes = routes
        self._desk = desk
        self._version = version

    async def openapi(self, request: Request) -> Answer:
        body, digest = self._document
        return _answer(request, b"application/json", digest, lambda: body)

    async def page(self, request: Request) -> Answer:
        body = _page()
        policy = (b"content-security-policy", _POLICY)
        return _answer(request, _HTML, _digest(body), lambda: body, [policy])

    async def file(self, request: Request) -> Answer:
        name = request.path["file"]
        if name not in _FILES:
            raise PathNotFound
        kind = _KINDS[name[name.rindex(".") :]]
        return _answer(request, kind, _digest_of_file(name), _FILES[name].read_bytes)

    @cached_property
    def _document(self) -> tuple[bytes, str]:
        about = About(
            title="Forebay",
            version=self._version,
            description=_ABOUT + agents_told(self._desk.agents(self._desk.identify(None))),
            errors={problem_response: Body("An error", Problem, PROBLEM.decode())},
            schemas=event_schemas(),
        )
        body = encode_json(document(self._routes(), about))
        return body, _digest(body)


def _answer(
    request: Request,
    kind: bytes,
    digest: str,
    read: Callable[[], bytes],
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Response:
    """What a browser may keep: for ever under a URL that names the content, else after asking."""
    tag = f'"{digest}"'.encode()
    keep = _FOR_EVER if request.scope["query_string"] == digest.encode() else _ASK_AGAIN
    told = [*_SAFE, *headers, (b"etag", tag), (b"cache-control", keep)]
    if tag in request.headers.get(b"if-none-match", b""):
        return empty(304, told)
    return Response(read(), kind=kind, headers=told)


@cache
def _page() -> bytes:
    template = (_STATIC / "docs.html").read_text("utf-8")
    return re.sub(r"\{(.+?)\}", lambda found: _digest_of_file(found[1]), template).encode()


@cache
def _digest_of_file(name: str) -> str:
    return _digest(_FILES[name].read_bytes())


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]


def docs_routes(routes: DocsRoutes) -> list[Route]:
    """The rows of the documentation."""
    return [
        Route(
            method="GET",
            path="/openapi.json",
            handler=routes.openapi,
            access="always open",
            errors=problem_response,
            tag=_TAG,
            summary="This document",
            answers={200: Body("An OpenAPI 3.1 document")},
            needs_database=False,
        ),
        Route(
            method="GET",
            path="/docs",
            handler=routes.page,
            access="always open",
            errors=problem_response,
            tag=_TAG,
            summary="A page that shows this document",
            answers={200: Body("The page", kind="text/html")},
            needs_database=False,
        ),
        Route(
            method="GET",
            path="/docs/{file}",
            handler=routes.file,
            access="always open",
            errors=problem_response,
            tag=_TAG,
            summary="What the page is made of",
            path_values={"file": "One of: " + ", ".join(f"`{name}`" for name in _FILES)},
            answers={
                200: Body(
                    "The file",
                    kind="text/javascript",
                    also=("text/css", "image/svg+xml", "text/plain"),
                )
            },
            raises=(PathNotFound,),
            needs_database=False,
        ),
    ]
