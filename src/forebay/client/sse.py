"""Server-sent events, read from bytes as they come. Knows no socket.

Chunks may end anywhere; lines end with CR, LF or both.
"""

import re
from typing import NamedTuple

from .errors import Unreadable

_MOST_BYTES = 64 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event of a stream."""

    event: str
    data: str
    id: str | None
    """The id of this very frame; not inherited from an earlier one."""


class SseParser:
    """Reads one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._is_first = True
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None
        self.retry_seconds: float | None = None
        """How long the server asks to wait before a reconnection."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take the next bytes; tells the frames they complete. Raises Unreadable."""
        self._rest += chunk
        frames: list[Frame] = []
        start = 0
        for end in _LINE_END.finditer(self._rest, self._searched):
            if end.end() == len(self._rest) and end.group() == b"\r":
                break  # the other half of this end may be in the next chunk
            frame = self._line(bytes(self._rest[start : end.start()]))
            start = end.end()
            if frame is not None:
                frames.append(frame)
        del self._rest[:start]
        # What was looked through once holds no end, but for a CR that waits for its LF.
        self._searched = len(self._rest) - self._rest.endswith(b"\r")
        if len(self._rest) > _MOST_BYTES:
            raise Unreadable("The stream has a line without an end.")
        return frames

    def _line(self, line: bytes) -> Frame | None:
        if self._is_first:
            line, self._is_first = line.removeprefix(_BYTE_ORDER_MARK), False
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_seconds = int(value) / 1000
            case _:
                pass  # a comment has an empty name
        return None

    def _dispatch(self) -> Frame | None:
        frame = Frame(self._event or "message", "\n".join(self._data), self._id)
        has_data = bool(self._data)
        self._event, self._data, self._id = "", [], None
        return frame if has_data else None
