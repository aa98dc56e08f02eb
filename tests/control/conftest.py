"""Tests of this folder fail if one of their tasks dies unheard."""

from pathlib import Path

import pytest

from tests.support.strict import no_task_dies_unheard
from tests.support.workflows import Files

__all__ = ["no_task_dies_unheard"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """The current folder, for workflow files."""
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)
