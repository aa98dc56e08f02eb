"""Whether a call that has failed is made again. Only one that has handed out nothing is."""

from forebay.core.clock import Clock
from forebay.core.errors import HttpError, ModelError

from . import failures
from .failures import Refused, Unreadable
from .source import Source

_FIRST_PAUSE_SECONDS = 0.5
_AGAIN = frozenset({500, 520, 522, 524, 529})  # others the HTTP client has tried again already


class Trying:
    """The tries of one call."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._left = source.retries
        self._pause = _FIRST_PAUSE_SECONDS

    async def go_on(
        self, error: HttpError | Refused | Unreadable | None, *, has_spoken: bool
    ) -> None:
        """Wait before the next try; None: the stream has ended too early. Raises ModelError."""
        is_worth_it = not has_spoken and self._left > 0 and _may_pass(error)
        if not is_worth_it:
            raise failed(self._source, error, has_spoken=has_spoken) from None
        self._left -= 1
        await self._clock.sleep(self._pause)
        self._pause *= 2


def failed(
    source: Source, error: HttpError | Refused | Unreadable | None, *, has_spoken: bool = False
) -> ModelError:
    """The error of ours for what went wrong on the line."""
    match error:
        case None:
            return failures.cut_off(source, has_spoken=has_spoken)
        case Refused():
            return failures.refused(source, error.refusal, has_spoken=has_spoken)
        case Unreadable():
            return failures.malformed(source, error)
        case _:
            return failures.unreachable(source, error, has_spoken=has_spoken)


def _may_pass(error: HttpError | Refused | Unreadable | None) -> bool:
    if isinstance(error, Refused):
        return error.refusal.status in _AGAIN
    return error is None
