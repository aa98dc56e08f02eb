"""Response: bytes that are ready, sent with the headers that every answer carries."""

from collections.abc import Sequence
from typing import Protocol

from .asgi import Headers, Send

JSON = b"application/json"


class Answer(Protocol):
    """What a handler returns: something that can be sent."""

    status: int

    async def send(self, send: Send, extra: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the whole answer, with these headers besides its own."""
        ...


class Response:
    """An answer that is complete."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes, status: int = 200, kind: bytes = JSON, headers: Headers | None = None
    ) -> None:
        self.body = body
        self.status = status
        self.headers: Headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            *(headers or ()),
        ]

    async def send(self, send: Send, extra: Sequence[tuple[bytes, bytes]]) -> None:
        self.headers.extend(extra)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def empty(status: int = 204, headers: Headers | None = None) -> Response:
    """An answer without a body."""
    response = Response(b"", status, headers=headers)
    response.headers = [] if headers is None else headers
    return response
