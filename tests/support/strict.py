"""A fixture for whole folders: no task of a test may die without anybody hearing of it."""

import logging
from collections.abc import Iterator

import pytest


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_task_dies_unheard() -> Iterator[None]:
    """asyncio logs what a task raised if nobody asks for it; here that is a failure."""
    heard = _Records()
    logger = logging.getLogger("asyncio")
    logger.addHandler(heard)
    try:
        yield
    finally:
        logger.removeHandler(heard)
    said = [(record.getMessage(), record.exc_info) for record in heard.records]
    said = [each for each in said if "asynchronous generator" not in each[0]]  # an agent's own
    assert not said, said
