"""Server-sent events as they come in. An event may be split anywhere, also inside a character."""

from .failures import Unreadable

_LARGEST = 8 * 1024 * 1024
_MARK = b"\xef\xbb\xbf"


class EventReader:
    """Takes the bytes of a stream as they come and gives the data of each event that is whole."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that end in these bytes. Raises Unreadable."""
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            return []
        if self._parts:
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        if b"\r" in data:
            data = _unified(data)
        *events, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        return _data_of(events)

    def end(self) -> list[bytes]:
        """The data of an event whose end never came."""
        rest = _unified(b"".join(self._parts)).rstrip(b"\r\n")
        self._parts.clear()
        return _data_of(rest.split(b"\n\n"))

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > _LARGEST:
            raise Unreadable(f"an event of its stream is larger than {_LARGEST} bytes")


def _unified(data: bytes) -> bytes:
    """Every line ends with a line feed. A carriage return at the end may be half of one."""
    held = b"\r" if data.endswith(b"\r") else b""
    whole = data[: len(data) - len(held)]
    return whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held


def _data_of(events: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for event in events:
        plain = event[:6] == b"data: " and b"\n" not in event  # nearly always
        if data := event[6:] if plain else _data_in(event):
            found.append(data)  # an event without data is none
    return found


def _data_in(event: bytes) -> bytes:
    lines = [
        line[5:].removeprefix(b" ")
        for line in event.removeprefix(_MARK).split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines)
