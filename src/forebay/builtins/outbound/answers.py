"""An answer whose body is still coming: unpacked and counted while it comes."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from typing import cast

import httpcore2
import httpx2

from forebay.core.errors import AnswerTooLarge, HttpError, Unreachable

from .failures import FAILURES, typed
from .hops import Hop


class Answer:
    """Implements ports.http.HttpStream."""

    def __init__(
        self, response: httpcore2.Response, hop: Hop, seconds: float, max_bytes: int | None
    ) -> None:
        self._response = response
        self._hop = hop
        self._seconds = seconds
        self._max_bytes = max_bytes
        self.headers: Mapping[str, str] = _headers(response)
        self._source = self._unpacked()
        self._body = self._pieces()

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def url(self) -> str:
        """Where it came from."""
        return str(self._hop.url)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, unpacked, as it comes. Raises Unreachable, TookTooLong, AnswerTooLarge."""
        return self._body

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([piece async for piece in self._body])

    async def aclose(self) -> None:
        """Let go of the connection; it is kept if the answer was read to its end."""
        await self._body.aclose()
        await self._source.aclose()
        await self._response.aclose()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        most, count = self._max_bytes, 0
        try:
            async for piece in self._source:
                count += len(piece)
                if most is not None and count > most:
                    raise self._too_large(most)
                yield piece
        except FAILURES as error:
            raise typed(error, self._hop.where, self._seconds, in_body=True) from None
        except httpx2.DecodingError:
            raise Unreachable(f"The answer of {self._hop.where} cannot be unpacked.") from None
        await self._response.aclose()

    def _unpacked(self) -> AsyncGenerator[bytes]:
        stream = cast(AsyncIterable[bytes], self._response.stream)
        if self.headers.get("content-encoding", "identity") == "identity":
            return cast(AsyncGenerator[bytes], aiter(stream))
        packed = httpx2.Response(200, headers=self._response.headers, stream=Body(stream))
        return packed.aiter_bytes()

    def _too_large(self, most: int) -> HttpError:
        return AnswerTooLarge(f"{self._hop.where} answers with more than {most} bytes.")


class Body(httpx2.AsyncByteStream):
    """What the library's lower half reads, for its upper half."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        async for piece in self._stream:
            yield piece


def _headers(response: httpcore2.Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii").lower(), _text(raw_value)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
