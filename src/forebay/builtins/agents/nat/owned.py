"""Owned: what many need for long is entered and left in one task, as libraries often demand."""

import asyncio
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Generic, TypeVar

log = logging.getLogger("forebay.nat")

_T = TypeVar("_T")


class Owned(Generic[_T]):
    """An asynchronous context manager with a task, and with context variables of its own."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[_T]], name: str) -> None:
        self._make = make
        self._name = name
        self._leaving = asyncio.Event()
        self._value: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(), name=name, context=Context())

    async def _hold(self) -> None:
        async with self._make() as value:
            self._value.set_result(value)
            await self._leaving.wait()

    @property
    def is_over(self) -> bool:
        """It could not be entered, or was left."""
        return self._task.done()

    async def failure(self) -> BaseException | None:
        """Wait until it is entered: None, or what entering it has raised."""
        if not self._value.done():
            await asyncio.wait({self._value, self._task}, return_when=FIRST_COMPLETED)
        return None if self._value.done() else self._task.exception()

    @property
    def value(self) -> _T:
        """What it was entered for, if there was no failure."""
        return self._value.result()

    async def aclose(self) -> None:
        """Leave it. What that raises is logged."""
        self._leaving.set()
        if not self._value.done():
            self._task.cancel()
        await asyncio.wait({self._task})
        if self._value.done() and not self._task.cancelled() and self._task.exception():
            log.warning("%s did not end well: %r", self._name, self._task.exception())
