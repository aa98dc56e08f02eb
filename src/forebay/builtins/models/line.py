"""The line to a provider: requests with the key, and answers that are no errors."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from forebay.ports.components import Parts
from forebay.ports.http import HttpAnswer, HttpRequest, HttpStream

from . import failures
from .failures import Refusal, Refused
from .source import Source

_LARGEST_ANSWER = 256 * 1024 * 1024
_LARGEST_COMPLAINT = 64 * 1024


class Line:
    """Calls one source."""

    def __init__(self, source: Source, parts: Parts) -> None:
        self._source = source
        self._parts = parts

    @asynccontextmanager
    async def stream(self, path: str, body: bytes) -> AsyncGenerator[HttpStream]:
        """Send a body, and have the answer as it comes. Raises KeyRefused, HttpError, Refused."""
        async with self._parts.http.stream(self._post(path, body)) as stream:
            if not _is_good(stream.status):
                raise Refused(await _refusal_in(stream))
            yield stream

    async def send(self, path: str, body: bytes) -> bytes:
        """Send a body, and have the whole answer. Raises KeyRefused, HttpError, Refused."""
        return _body_of(await self._parts.http.send(self._post(path, body)))

    async def look(self, url: str) -> bytes:
        """Read something, once. Raises KeyRefused, HttpError, Refused."""
        self._need_key()
        headers = {"accept": "application/json", **self._source.credentials()}
        asked = HttpRequest(
            url=url,
            trust="operator",
            headers=headers,
            timeout_seconds=min(self._source.timeout_seconds, 30.0),
            max_bytes=_LARGEST_ANSWER,
        )
        return _body_of(await self._parts.http.send(asked))

    def _post(self, path: str, body: bytes) -> HttpRequest:
        self._need_key()
        source = self._source
        return HttpRequest(
            url=source.address(path),
            trust="operator",
            method="POST",
            headers={"content-type": "application/json", **source.credentials()},
            body=body,
            timeout_seconds=source.timeout_seconds,
            retries=source.retries,
            max_bytes=_LARGEST_ANSWER,
        )

    def _need_key(self) -> None:
        if self._source.needs_key and self._source.key is None:
            raise failures.keyless(self._source)


def _is_good(status: int) -> bool:
    return 200 <= status < 300


def _body_of(answer: HttpAnswer) -> bytes:
    if not _is_good(answer.status):
        complaint = failures.read_complaint(answer.body)
        raise Refused(Refusal(answer.status, complaint, answer.headers.get("retry-after")))
    return answer.body


async def _refusal_in(stream: HttpStream) -> Refusal:
    body = b""
    async for piece in stream:
        body += piece
        if len(body) > _LARGEST_COMPLAINT:
            break
    return Refusal(stream.status, failures.read_complaint(body), stream.headers.get("retry-after"))
