"""How long to go on trying, and how long to wait before the next try."""

import random
import time
from collections.abc import Callable

from .errors import ClientError

_FIRST_PAUSE_SECONDS = 0.1
_LAST_PAUSE_SECONDS = 5.0


class Patience:
    """Grows impatient with every failure in a row; a success restores it.

    The first try after a success follows at once. Then pauses double, each shortened by chance so
    that many clients of one server do not come back together.
    """

    def __init__(
        self,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._chance = chance
        self._since = now()
        self._failures = 0

    def restored(self) -> None:
        """The server is there."""
        self._since = self._now()

    def rewarded(self) -> None:
        """The server is there, and brought something new."""
        self.restored()
        self._failures = 0

    def after(self, error: ClientError, retry_after: float | None = None) -> float:
        """How long to pause after this failure. Raises it when there is no patience left."""
        growing = _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 16)
        pause = min(growing, _LAST_PAUSE_SECONDS) * (0.5 + self._chance() / 2)
        if self._failures == 0 and self._seconds > 0:
            pause = 0.0
        pause = max(pause, retry_after or 0.0)
        if self._now() + pause - self._since > self._seconds:
            raise error
        self._failures += 1
        return pause
