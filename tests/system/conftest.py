"""Places to run commands in, and a provider of models to ask."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from forebay.testing.provider import LoopbackProvider
from tests.cli.processes import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder of its own; what is begun there ends with the test."""
    place = Place(tmp_path)
    yield place
    place.close()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[LoopbackProvider]:
    """A provider that does what the test says."""
    async with LoopbackProvider() as provider:
        yield provider
