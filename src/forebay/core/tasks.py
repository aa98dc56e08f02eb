"""Tasks that go on for as long as their process: nobody waits for them, or would see one die.

The event loop's exception handler is told, with `essential` in its context. A server then ends
itself: without that task it would go on answering and leave its runs and streams hanging.
"""

import asyncio
from collections.abc import Coroutine


def start_essential(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    """Start a task that must not end before it is cancelled."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        told = {"message": f"the task {task.get_name()!r} died", "exception": error, "task": task}
        task.get_loop().call_exception_handler({**told, "essential": True})
