"""A client that drives an ASGI application in this process, and holds it to the rules of ASGI.

Nothing in between makes a bad request good: what is not valid HTTP can be sent too.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from forebay.core.codec import encode_json
from forebay.http.asgi import WHEN_LOST, Message, Receive, Scope, Send

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PATIENCE_SECONDS = 10.0
"""How long anything may take before a test fails."""

_NO_JSON: Any = object()


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event, or a comment."""

    event: str = ""
    id: str | None = None
    data: str = ""
    comment: str | None = None

    def json(self) -> Any:
        return json.loads(self.data)

    @classmethod
    def read(cls, text: str) -> "Frame":
        if text.startswith(":"):
            return cls(comment=text[1:].strip())
        fields = dict(line.split(": ", 1) for line in text.split("\n"))
        return cls(fields.get("event", ""), fields.get("id"), fields.get("data", ""))


@dataclass(slots=True)
class Exchange:
    """A request under way, and what has come back of its answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    sends: int = 0
    is_complete: bool = False
    is_over: bool = False
    broken: BaseException | None = None
    """What the application raised, if it did: a server would answer a plain 500 or hang up."""
    when_lost: set[Callable[[], None]] = field(default_factory=set[Callable[[], None]])
    """Whom our own server would tell that the client has left."""
    late: list[Message] = field(default_factory=list[Message])
    """What was sent after the end. A server raises and writes it to its log."""
    on_start: Callable[[], None] | None = None
    """Called when the answer begins, before the application goes on."""
    _body: bytearray = field(default_factory=bytearray)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    # --- what the client does -------------------------------------------------------------------

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()
        for tell in tuple(self.when_lost):
            tell()

    def stop_reading(self) -> None:
        """Read nothing more: the application's next send waits."""
        self._flows.clear()

    def read_again(self) -> None:
        """Read on."""
        self._flows.set()

    @property
    def body(self) -> bytes:
        """What has come so far."""
        return bytes(self._body)

    def json(self) -> Any:
        return json.loads(self._body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def frames(self) -> list[Frame]:
        """The server-sent events that have come completely."""
        return [Frame.read(part) for part in self.text.split("\n\n")[:-1]]

    @property
    def events(self) -> list[Frame]:
        """The same without comments."""
        return [frame for frame in self.frames if frame.comment is None]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries that the events carry."""
        return [frame.json() for frame in self.events]

    async def until(self, condition: Callable[["Exchange"], bool]) -> "Exchange":
        """Wait until enough of the answer has come. Fails if it never comes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(self):
                assert not self.is_over, f"the answer ended too soon: {self.status} {self.body!r}"
                self._changed.clear()
                await self._changed.wait()
        return self

    async def until_answered(self) -> "Exchange":
        """Wait for the end of the answer. The application may go on after it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (self.is_complete or self.is_over):
                self._changed.clear()
                await self._changed.wait()
        return self

    async def until_over(self) -> "Exchange":
        """Wait until the application has nothing more to do."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.is_over:
                self._changed.clear()
                await self._changed.wait()
        return self

    # --- what the application sees --------------------------------------------------------------

    async def run(self, app: App, scope: Scope, parts: list[bytes]) -> None:
        """Let the application answer."""
        messages = self._messages(parts)
        await app(scope, lambda: anext(messages), self._send)

    def end(self, task: asyncio.Task[None]) -> None:
        """The application has nothing more to do."""
        self.broken = asyncio.CancelledError() if task.cancelled() else task.exception()
        self.is_over = True
        self._changed.set()

    async def _messages(self, parts: list[bytes]) -> AsyncGenerator[Message]:
        for at, part in enumerate(parts):
            more = at < len(parts) - 1
            yield {"type": "http.request", "body": part, "more_body": more}
        await self._left.wait()
        while True:
            yield {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.is_complete:
            self.late.append(message)
            raise RuntimeError("something was sent after the answer's end")
        if message["type"] == "http.response.start":
            assert not self.status, "the answer began twice"
            self.status = message["status"]
            self.headers = _headers(message["headers"])
            if self.on_start is not None:
                self.on_start()
        else:
            assert self.status, "a body came before the answer's start"
            self._body += message.get("body", b"")
            self.sends += 1
            self.is_complete = not message.get("more_body", False)
        self._changed.set()
        await self._flows.wait()


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    for name, value in pairs:
        assert isinstance(name, bytes) and isinstance(value, bytes), f"{name!r}: {value!r}"
        assert name == name.lower(), f"{name!r}: ASGI wants header names in lower case"
        assert not set(b"\r\n\0") & set(name + value), f"{name!r}: {value!r} splits the answer"
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


class Client:
    """Sends requests to an ASGI application."""

    def __init__(self, app: App, *, host: str = "127.0.0.1:8000", tells_loss: bool = False) -> None:
        self._app = app
        self._tells_loss = tells_loss
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: list[Exchange] = []

    def begin(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: object = _NO_JSON,
        raw: bytes | list[bytes] = b"",
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Exchange:
        """Send a request; its answer comes in by and by. `body` is sent as JSON, `raw` as it is."""
        given = {"host": self._host, **(headers or {})}
        if body is not _NO_JSON:
            raw = encode_json(body)
            given = {"content-type": "application/json", **given}
        exchange = Exchange()
        exchange.read_again()
        self._begun.append(exchange)
        parts = raw if isinstance(raw, list) else [raw]
        scope = _scope(method, path, query, cast(Mapping[str, str | bytes], given))
        if self._tells_loss:
            scope["extensions"] = {WHEN_LOST: exchange.when_lost}
        task = asyncio.create_task(exchange.run(self._app, scope, parts))
        self._tasks.add(task)
        task.add_done_callback(exchange.end)
        task.add_done_callback(self._tasks.discard)
        return exchange

    async def send(self, method: str, path: str, **rest: Any) -> Exchange:
        """Send a request and wait for the whole answer. Fails if the application raises."""
        exchange = self.begin(method, path, **rest)
        await exchange.until_answered()
        if exchange.broken is not None:
            raise AssertionError(f"{method} {path} was not answered") from exchange.broken
        assert exchange.is_complete, f"{method} {path}: the answer has no end"
        return exchange

    async def get(self, path: str, **rest: Any) -> Exchange:
        return await self.send("GET", path, **rest)

    async def post(self, path: str, body: object = _NO_JSON, **rest: Any) -> Exchange:
        return await self.send("POST", path, body=body, **rest)

    async def delete(self, path: str, **rest: Any) -> Exchange:
        return await self.send("DELETE", path, **rest)

    async def aclose(self) -> None:
        """Give up what is still under way. Fails if the application raised after an answer."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE_SECONDS)
        raised = [each.broken for each in self._begun if each.is_complete]
        assert not [error for error in raised if isinstance(error, Exception)], raised


def _scope(
    method: str, path: str, query: str, headers: Mapping[str, str | bytes]
) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1"))
            for name, value in headers.items()
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


@asynccontextmanager
async def client_of(app: App, **options: Any) -> AsyncGenerator[Client]:
    """A client for as long as it is needed."""
    client = Client(app, **options)
    try:
        yield client
    finally:
        await client.aclose()
