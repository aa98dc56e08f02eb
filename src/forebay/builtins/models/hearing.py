"""What every provider's stream has in common: events in bytes, or an answer that comes whole."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from forebay.core.codec import decode_json
from forebay.core.messages import Reply
from forebay.ports.models import Thought

from .failures import Unreadable
from .sse import EventReader

_LARGEST_WHOLE = 64 * 1024 * 1024
_STARTS = (b"data", b"event", b"id", b"retry", b":", b"\xef\xbb\xbf")


class Hearing(Protocol):
    """Listens to one reply."""

    @property
    def has_spoken(self) -> bool:
        """Whether anything of it was handed out."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether all of the reply is there, whatever the connection does now."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the provider has said that nothing follows."""
        ...

    def hear(self, payloads: Iterable[bytes]) -> Iterator[str | Thought]:
        """The pieces in the data of some events. Raises Refused, Unreadable."""
        ...

    def reply(self) -> Reply:
        """All of it. Raises ModelError."""
        ...


class Ear:
    """Tells events from an answer that comes whole, though a stream was asked for."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._events = EventReader()
        self._whole: list[bytes] = []
        self._size = 0
        self._is_stream: bool | None = True if self._kind == "text/event-stream" else None

    def feed(self, data: bytes) -> list[bytes]:
        """What can be read now. Raises Unreadable."""
        if self._is_stream is None:
            self._is_stream = self._looks_like_events(data.lstrip())
        if self._is_stream:
            return self._events.feed(data)
        self._size += len(data)
        if self._size > _LARGEST_WHOLE:
            raise Unreadable(f"it is larger than {_LARGEST_WHOLE} bytes")
        self._whole.append(data)
        return []

    def end(self) -> list[bytes]:
        """What can be read at the end."""
        if self._whole:
            return [b"".join(self._whole)]
        return [data for data in self._events.end() if _is_whole(data)]

    def _looks_like_events(self, start: bytes) -> bool | None:
        if not start:
            return None
        if start.startswith((b"{", b"[")):
            return False
        if start.startswith(_STARTS):
            return True
        raise Unreadable(f"it is {self._kind or 'something else'}, not JSON")


def _is_whole(data: bytes) -> bool:
    """Whether an event is no mere beginning of one."""
    try:
        decode_json(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
