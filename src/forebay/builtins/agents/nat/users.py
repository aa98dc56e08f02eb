"""Users: what was built for each of them, until he stays away for too long."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from forebay.core.clock import Clock, Millis

from .owned import Owned

_Key = TypeVar("_Key")
_T = TypeVar("_T")


class _Kept(Generic[_T]):
    def __init__(self, owned: Owned[_T]) -> None:
        self.owned = owned
        self.borrowers = 0
        self.since = Millis(0)
        """When it was given back."""


class Users(Generic[_Key, _T]):
    """A bounded number of things of users, of which those in use stay."""

    def __init__(self, idle_seconds: float, most_idle: int, clock: Clock) -> None:
        self._idle_seconds = idle_seconds
        self._most_idle = most_idle
        self._clock = clock
        self._kept: dict[_Key, _Kept[_T]] = {}
        """Those that were given back last stand last."""
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: _Key, make: Callable[[], Owned[_T]]) -> Owned[_T]:
        """What this user has, or gets now. To be given back."""
        kept = self._kept.get(key)
        if kept is None or kept.owned.is_over:
            kept = self._kept[key] = _Kept(make())
        kept.borrowers += 1
        return kept.owned

    def give_back(self, key: _Key, owned: Owned[_T]) -> None:
        """It is not needed any more, for now."""
        kept = self._kept.get(key)
        if kept is None or kept.owned is not owned:
            return  # it had failed, and somebody else has made another
        kept.borrowers -= 1
        if kept.borrowers == 0:
            kept.since = self._clock.boot()
            self._kept[key] = self._kept.pop(key)
            self._dismiss_those_too_many()

    def dismiss_idle(self) -> None:
        """Let go of what nobody has used for too long."""
        before = self._clock.boot() - self._idle_seconds * 1000
        for key, kept in list(self._kept.items()):
            if kept.borrowers == 0 and kept.since < before:
                self._dismiss(key)

    async def aclose(self) -> None:
        """Let go of everything."""
        for key in list(self._kept):
            self._dismiss(key)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _dismiss_those_too_many(self) -> None:
        idle = [key for key, kept in self._kept.items() if kept.borrowers == 0]
        for key in idle[: max(0, len(idle) - self._most_idle)]:
            self._dismiss(key)

    def _dismiss(self, key: _Key) -> None:
        task = asyncio.create_task(self._kept.pop(key).owned.aclose(), name="nat-user-leaves")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
