"""Log lines."""

import json
import logging
import sys

import pytest

from forebay.cli.logs import JsonLines, TextLines


def record(message: str, *, failed: bool = False, **extra: object) -> logging.LogRecord:
    """A record as a logger makes it."""
    trace = None
    if failed:
        try:
            raise ValueError("bad")
        except ValueError:
            trace = sys.exc_info()
    made = logging.LogRecord("forebay.x", logging.WARNING, "x.py", 1, message, (1,), trace)
    made.created = 1_767_225_600.25
    vars(made).update(extra)
    return made


def test_a_line_for_programs_is_one_json_object() -> None:
    line = JsonLines().format(record("it is %d\nlines", failed=True, run="r1", other="no"))
    assert "\n" not in line
    told = json.loads(line)
    assert "ValueError: bad" in told.pop("traceback")
    assert told == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "warning",
        "message": "it is 1\nlines",
        "logger": "forebay.x",
        "run": "r1",
    }


@pytest.mark.parametrize("failed", [True, False])
def test_a_line_for_people_has_its_traceback_below(failed: bool) -> None:
    first, *more = TextLines().format(record("it is %d", failed=failed)).splitlines()
    assert first == "2026-01-01T00:00:00.250Z warning it is 1"
    assert bool(more) is failed
