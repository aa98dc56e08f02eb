"""Websites on 127.0.0.1 for tests: pages that were put there, and search engines in their forms."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from forebay.core.clock import Clock, SystemClock
from forebay.core.codec import decode_json, encode_json
from forebay.core.json import Json

from .provider_http import HttpCall, LoopbackServer, Wire


class WebPage(msgspec.Struct, frozen=True):
    """What a path answers."""

    body: bytes = b""
    content_type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = {}
    gate: asyncio.Event | None = None
    """Waited for before the answer begins."""
    pieces: Sequence[bytes] = ()
    """More of the body, which comes bit by bit; after it `held` is waited for."""
    held: asyncio.Event | None = None


PageMaker: TypeAlias = Callable[[HttpCall], WebPage | Awaitable[WebPage]]


class Website:
    """A website to call in tests: `async with Website() as site:`."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._server = LoopbackServer(self._answer, clock or SystemClock())
        self._pages: dict[str, WebPage | PageMaker] = {}
        self._left = asyncio.Event()
        self.calls: list[HttpCall] = []
        """Every request so far, the oldest first."""

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.aclose()

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def host(self) -> str:
        """As it is allowed by name."""
        return f"127.0.0.1:{self._server.port}"

    def put(self, path: str, page: WebPage | PageMaker | str | bytes) -> str:
        """Put a page there; a text is HTML. Returns its URL."""
        if isinstance(page, str):
            page = page.encode()
        self._pages[path] = WebPage(page) if isinstance(page, bytes) else page
        return f"{self.url}{path}"

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        """Lead from a path to somewhere else. Returns its URL."""
        return self.put(path, WebPage(status=status, headers={"location": location}))

    async def left(self) -> None:
        """Wait until somebody has left before the end of an answer."""
        await self._left.wait()

    async def _answer(self, call: HttpCall, wire: Wire) -> None:
        self.calls.append(call)
        page = self._pages.get(call.path, WebPage(b"There is nothing.", status=404))
        if not isinstance(page, WebPage):
            made = page(call)
            page = made if isinstance(made, WebPage) else await made
        if page.gate is not None and not await wire.wait(page.gate):
            self._leave(wire)
            return
        headers = {"content-type": page.content_type} if page.content_type is not None else {}
        if page.pieces or page.held is not None:
            await self._answer_in_pieces(page, wire, {**headers, **page.headers})
        else:
            await wire.answer(page.status, page.body, {**headers, **page.headers})

    async def _answer_in_pieces(
        self, page: WebPage, wire: Wire, headers: Mapping[str, str]
    ) -> None:
        try:
            await wire.begin(page.status, headers)
            for piece in (page.body, *page.pieces):
                if piece:
                    await wire.send(piece)
            if page.held is not None and not await wire.wait(page.held):
                self._leave(wire)
                return
            await wire.end()
        except ConnectionError:
            self._leave(wire)

    def _leave(self, wire: Wire) -> None:
        self._left.set()
        wire.cut()


class LoopbackSearxng(Website):
    """A SearXNG server that finds what it was told to."""

    def __init__(self, *results: Mapping[str, Json]) -> None:
        super().__init__()
        self.results: Sequence[Mapping[str, Json]] = results
        self.silent_engines: list[tuple[str, str]] = []
        """Engines behind it that did not answer, and why."""
        self.gives_json = True
        self.put("/search", self._search)

    @property
    def searches(self) -> list[dict[str, str]]:
        """What was looked for, field by field."""
        return [dict(parse_qsl(call.query)) for call in self.calls]

    def _search(self, call: HttpCall) -> WebPage:
        fields = dict(parse_qsl(call.query))
        if fields.get("format") == "json" and not self.gives_json:
            return WebPage(b"<h1>Forbidden</h1>", status=403)
        if fields.get("format") != "json":
            return WebPage(b"<h1>Results</h1>")
        found = {
            "query": fields.get("q", ""),
            "number_of_results": 0,
            "results": self.results,
            "answers": [],
            "corrections": [],
            "infoboxes": [],
            "suggestions": [],
            "unresponsive_engines": self.silent_engines,
        }
        return WebPage(encode_json(found), "application/json")


class LoopbackTavily(Website):
    """A Tavily that finds what it was told to, for whoever has its key."""

    def __init__(self, *results: Mapping[str, Json], key: str = "tvly-test") -> None:
        super().__init__()
        self.results: Sequence[Mapping[str, Json]] = results
        self.key = key
        self.summary: str | None = None
        """What it answers if a summary is asked for."""
        self.refusals: list[tuple[int, Json]] = []
        """Statuses and bodies of the next answers."""
        self.put("/search", self._search)

    @property
    def searches(self) -> list[Json]:
        """The bodies of the requests."""
        return [decode_json(call.body) for call in self.calls]

    def _search(self, call: HttpCall) -> WebPage:
        if self.refusals:
            status, told = self.refusals.pop(0)
            return WebPage(encode_json(told), "application/json", status)
        if call.headers.get("authorization") != f"Bearer {self.key}":
            told = {"detail": {"error": "Unauthorized: missing or invalid API key."}}
            return WebPage(encode_json(told), "application/json", 401)
        asked = decode_json(call.body)
        wanted = asked if isinstance(asked, dict) else {}
        most = wanted.get("max_results")
        found = {
            "query": wanted.get("query"),
            "answer": self.summary if wanted.get("include_answer") else None,
            "results": self.results[: most if isinstance(most, int) else 5],
            "response_time": 0.5,
        }
        return WebPage(encode_json(found), "application/json")
