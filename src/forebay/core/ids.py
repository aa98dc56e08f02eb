"""Ids: a run is named by 128 time-ordered bits; every text form of them is a rendering.

The bits are laid out as a UUID of version 7, so that runs sort by the time of their admission in
any database and in any of their forms.
"""

import os
import secrets
from functools import lru_cache
from itertools import count
from typing import NewType
from uuid import UUID

from .clock import Millis
from .errors import MalformedId

RunId = NewType("RunId", bytes)
"""The 16 bytes of a run's name."""

RunNumber = NewType("RunNumber", int)
"""The small number a database knows a run by. It never leaves the server."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FROM_CROCKFORD = {letter: value for value, letter in enumerate(_CROCKFORD)} | {
    "O": 0,
    "I": 1,
    "L": 1,
}


class _Random:
    """Random bytes of the system, fetched many at a time: asking costs more than they do."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self) -> bytes:
        """The next ten bytes, which nobody else gets."""
        at = self._at
        if at + 10 > len(self._bytes):
            self._bytes, at = os.urandom(2000), 0
        self._at = at + 10
        return self._bytes[at : at + 10]


_random = _Random()


def new_run_id(now: Millis) -> RunId:
    """Make a name that sorts after every name made in an earlier millisecond.

    For the event loop's thread alone, like all that starts runs.
    """
    bits = (now & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(_random.take(), "big")
    return RunId(((bits & ~_UUID_MASK) | _UUID_BITS).to_bytes(16, "big"))


_UUID_MASK = 0xF << 76 | 0x3 << 62
_UUID_BITS = 0x7 << 76 | 0x2 << 62


def created_at(run: RunId) -> Millis:
    """Read the admission time out of a run's name."""
    return Millis(int.from_bytes(run[:6], "big"))


def as_uuid(run: RunId) -> str:
    """Render as a UUID, the native form."""
    text = run.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def as_ulid(run: RunId) -> str:
    """Render as a ULID (26 letters of Crockford's alphabet)."""
    bits = int.from_bytes(run, "big")
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


def with_prefix(prefix: str, run: RunId) -> str:
    """Render as a prefixed form such as `resp_…`."""
    return f"{prefix}_{run.hex()}"


@lru_cache(maxsize=1024)
def parse_run_id(text: str) -> RunId:
    """Read any rendering. Raises MalformedId."""
    plain = text.rpartition("_")[2]
    if len(text) > _LONGEST or not text.isascii():
        raise MalformedId(f"{text[:80]!r} is not a run id.")
    if len(plain) == 26:
        return _from_ulid(plain)
    if len(plain) == 36 and all(plain[at] == "-" for at in (8, 13, 18, 23)):
        plain = plain.replace("-", "")
    if len(plain) != 32 or not set(plain) <= _HEX:
        raise MalformedId(f"{text[:80]!r} is not a run id.")
    return RunId(bytes.fromhex(plain))


_HEX = frozenset("0123456789abcdefABCDEF")
_LONGEST = 100  # readings are remembered


def _from_ulid(text: str) -> RunId:
    bits = 0
    for letter in text.upper():
        if letter not in _FROM_CROCKFORD:
            raise MalformedId(f"{text!r} is not a run id.")
        bits = bits << 5 | _FROM_CROCKFORD[letter]
    if bits >> 128:
        raise MalformedId(f"{text!r} is not a run id.")
    return RunId(bits.to_bytes(16, "big"))


def random_uuid() -> str:
    """A random UUID, of version 4."""
    return str(UUID(bytes=os.urandom(16), version=4))


class Names:
    """Cheap unique names for what is not a run: requests, and the traces they begin."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(12).encode()
        self._numbers = count(1)

    def request(self) -> bytes:
        """Name a request: 32 hexadecimal digits, usable as a W3C trace id."""
        return b"%b%08x" % (self._prefix, next(self._numbers) & 0xFFFF_FFFF)
