"""Bridge: how code in a thread reaches the event loop, and is let go when its run has ended."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import ParamSpec, Protocol, TypeVar

from forebay.core.errors import RunFinished

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Cancellable(Protocol):
    def cancel(self) -> bool: ...


class Bridge:
    """The way from the threads of one attempt to its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[_Cancellable] = set()

    def call(self, coroutine: Coroutine[object, object, _T]) -> _T:
        """Run this on the event loop, and wait for it. Raises RunFinished when let go."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._waiting.add(future)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RunFinished("The run was ended from outside.") from None
        finally:
            self._waiting.discard(future)

    def tell(self, call: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Have this called on the event loop, if it still runs."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: call(*args, **kwargs))

    def release(self) -> None:
        """Let go of all who wait."""
        for future in tuple(self._waiting):
            future.cancel()
