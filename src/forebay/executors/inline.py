"""The inline executor: a task in this process, for interactive calls."""

import asyncio
from collections.abc import Coroutine


class InlineExecutor:
    """Runs each execution as a task of this event loop, and owns these tasks."""

    name = "inline"

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def launch(self, execution: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start an execution now."""
        task = asyncio.get_running_loop().create_task(execution)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Wait until every execution has ended; whoever closes us has asked them to."""
        while self._tasks:
            await asyncio.wait(self._tasks)
