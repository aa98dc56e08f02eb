"""When to send a request again, and how long to wait before: back-off with full jitter.

What was refused for now may be sent again, and what never got through. A request that changes
something is not, once it may have been read.
"""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpcore2

from forebay.core.clock import Clock

from .connection import Unanswered, UnansweredInTime, Unconnected
from .dialling import NameUnknown

_REFUSALS = frozenset({429, 502, 503, 504})
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0
_LONGEST_WISH_SECONDS = 20.0


class Retries:
    """The retries of one call."""

    def __init__(self, left: int, clock: Clock, chance: Callable[[], float]) -> None:
        self._left = left
        self._clock = clock
        self._chance = chance
        self._pause = _FIRST_PAUSE_SECONDS

    def after_answer(self, status: int, retry_after: str | None) -> float | None:
        """How long to wait before the next try. None: this is the answer."""
        if status not in _REFUSALS:
            return None
        wish = self._wish(retry_after)
        if wish > _LONGEST_WISH_SECONDS:  # to come back sooner would only be refused again
            return None
        return self._next(wish)

    def after_failure(self, error: Exception, method: str) -> float | None:
        """How long to wait before the next try. None: it has failed."""
        return self._next(0.0) if _may_repeat(error, method) else None

    def _next(self, wish: float) -> float | None:
        if self._left <= 0:
            return None
        self._left -= 1
        pause = self._chance() * self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        return wish + pause

    def _wish(self, retry_after: str | None) -> float:
        """The seconds the other side asks for, as a number or as a date."""
        text = (retry_after or "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - self._clock.now() / 1000)


def _may_repeat(error: Exception, method: str) -> bool:
    match error:
        case httpcore2.ConnectTimeout():
            return True
        case NameUnknown(reason=reason):
            return isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_AGAIN
        case Unconnected(reason=reason):
            return not isinstance(reason, ssl.SSLError)
        case Unanswered(was_reused=True):
            return True
        case Unanswered() | UnansweredInTime() | httpcore2.WriteTimeout():
            return method in _REPEATABLE
        case _:
            return False
