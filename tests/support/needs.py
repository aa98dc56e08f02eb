"""What a test needs and a machine may lack. Missing, the test is skipped; in CI it fails."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where nothing may lack."""
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is not installed"
    if os.environ.get("FOREBAY_TEST_NEEDS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)
