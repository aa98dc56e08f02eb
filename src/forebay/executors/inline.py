"""The inline executor: a task in this process, for interactive calls."""

import asyncio
from collections.abc import Coroutine


class InlineExecutor:
    """Runs each execution as a task of this event loop."""

    name = "inline"

    def launch(self, execution: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(execution)
