"""Executor: where runs are executed. It decides only that; how is the business of `runs`."""

import asyncio
from collections.abc import Coroutine
from typing import Protocol


class Executor(Protocol):
    """A place for executions."""

    name: str
    """How `run.started` calls it."""

    def launch(self, execution: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start an execution now, and hold it until it has ended."""
        ...

    async def aclose(self) -> None:
        """Wait until every execution has ended."""
        ...
