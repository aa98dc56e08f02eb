"""Places to run commands in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder of its own; what is begun there ends with the test."""
    place = Place(tmp_path)
    yield place
    place.close()
