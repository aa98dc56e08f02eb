"""Executor: where runs are executed. It decides only that; how is the business of `runs`."""

import asyncio
from collections.abc import Coroutine
from typing import Protocol


class Executor(Protocol):
    """A place for executions."""

    name: str
    """How `run.started` calls it."""

    def launch(self, execution: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start an execution now. Whoever asked holds on to the task."""
        ...
