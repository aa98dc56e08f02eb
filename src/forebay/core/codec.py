"""Bytes: how events stand in the log, how entries stand on the native wire, how a log is packed.

An event is encoded once. What is stored is what is sent: the entry's own fields are put in front
of the stored bytes, so that replay never decodes (`{"number":7,…` + `"type":"output.chunk",…}`).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from .clock import Millis, rfc3339
from .errors import EventTooLarge
from .events import TYPES, AnyEvent, Event, ObjectRef
from .json import Json

MAX_EVENT_BYTES = 256 * 1024

encode_json = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(AnyEvent).decode
_decode_any = msgspec.json.Decoder().decode


def encode_event(event: Event) -> bytes:
    """The bytes an event is stored and sent as."""
    return encode_json(event)


def decode_event(data: bytes) -> Event:
    """Read an event. Raises msgspec.ValidationError for a type this version does not know."""
    return _decode_event(data)


def decode_json(data: bytes | str) -> Json:
    """Read JSON of unknown shape. Raises msgspec.DecodeError."""
    return _decode_any(data)


def canonical(value: Json) -> bytes:
    """Equal bytes for equal JSON, whatever the order of its keys."""
    return msgspec.json.encode(value, order="sorted")


def fingerprint(value: Json) -> bytes:
    """A short digest of JSON, to compare requests by."""
    return sha256(canonical(value)).digest()[:16]


class Entry:
    """An event with its number, attempt and time. Encodes or decodes its event when first asked."""

    __slots__ = ("_data", "_event", "attempt", "number", "time", "type")

    def __init__(
        self,
        number: int,
        attempt: int,
        time: Millis,
        *,
        event: Event | None = None,
        data: bytes = b"",
    ) -> None:
        self.number = number
        self.attempt = attempt
        self.time = time
        self._event = event
        self._data = data
        self.type = TYPES[type(event)] if event is not None else type_in(data)

    @property
    def event(self) -> Event:
        if self._event is None:
            self._event = _decode_event(self._data)
        return self._event

    @property
    def data(self) -> bytes:
        if not self._data and self._event is not None:
            self._data = encode_json(self._event)
        return self._data

    def line(self) -> bytes:
        """The entry as one line of JSON, as the native dialect shows it."""
        return b'{"number":%d,"attempt":%d,"time":"%b",%b' % (
            self.number,
            self.attempt,
            rfc3339(self.time).encode(),
            self.data[1:],
        )

    def __repr__(self) -> str:
        return f"<Entry {self.number} {self.type}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entry):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, int, Millis, bytes]:
        return (self.number, self.attempt, self.time, self.data)


_TYPE_AT = len(b'{"type":"')


def type_in(data: bytes) -> str:
    """Read an encoded event's type without decoding the event."""
    return data[_TYPE_AT : data.index(b'"', _TYPE_AT)].decode()


# --- a whole log in one value -------------------------------------------------------------------


class Said(msgspec.Struct, frozen=True, array_like=True):
    """An entry of a light run before anybody has asked for it: its number is its place."""

    attempt: int
    time: Millis
    event: Event


class _PackedEntry(NamedTuple):
    attempt: int
    time: Millis
    event: msgspec.Raw


def pack(log: Sequence[Said]) -> bytes:
    """One value for a log that starts at entry 1 and never grows again."""
    return encode_json(log)


_decode_packed = msgspec.json.Decoder(list[_PackedEntry]).decode


def unpack(packed: bytes) -> list[Entry]:
    """The entries of a packed log."""
    return [
        Entry(number, attempt, time, data=bytes(event))
        for number, (attempt, time, event) in enumerate(_decode_packed(packed), 1)
    ]


# --- values beside the log ----------------------------------------------------------------------


class Object(NamedTuple):
    """A value that stands beside the log of its run, as JSON bytes."""

    id: str
    data: bytes


def offload(event: Event) -> tuple[Event, Object]:
    """Move an event's large field to an object. Raises EventTooLarge if that does not do."""
    field = type(event).large
    if field is None:
        raise EventTooLarge(f"A {TYPES[type(event)]} event is larger than {MAX_EVENT_BYTES} bytes.")
    value: Json = getattr(event, field)
    data = encode_json(value)
    stored = Object(sha256(data).hexdigest()[:32], data)
    empty: Json = "" if isinstance(value, str) else None
    changes: dict[str, object] = {field: empty, "stored": ObjectRef(stored.id, len(data))}
    smaller = msgspec.structs.replace(event, **changes)
    if len(encode_json(smaller)) > MAX_EVENT_BYTES:
        raise EventTooLarge(
            f"A {TYPES[type(event)]} event without its {field} is larger than "
            f"{MAX_EVENT_BYTES} bytes."
        )
    return smaller, stored


def restore(event: Event, stored: Object) -> Event:
    """Put an object's value back into the event it was moved out of."""
    field = type(event).large
    assert field is not None, "only an event with a large field names an object"
    changes: dict[str, object] = {field: decode_json(stored.data), "stored": None}
    return msgspec.structs.replace(event, **changes)
