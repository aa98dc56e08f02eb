"""What the plugin of these tests has seen, for the tests that use it."""

import asyncio

reached = asyncio.Event()
opened: list[str] = []
closed: list[str] = []
ended: list[str] = []
under_way = 0
is_down = False
built = 0


def reset() -> None:
    """Begin a test."""
    global reached, is_down, built, under_way
    reached = asyncio.Event()
    is_down, built, under_way = False, 0, 0
    for seen in (opened, closed, ended):
        seen.clear()


def task_name() -> str:
    """The name of the task that asks."""
    task = asyncio.current_task()
    return task.get_name() if task else "no task"
