"""Whole applications with a workflow file. A test fails if one of its tasks dies unheard."""

from pathlib import Path

import pytest

from tests.support.strict import no_task_dies_unheard

__all__ = ["no_task_dies_unheard"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
