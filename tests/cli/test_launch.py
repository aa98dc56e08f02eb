"""How children are started, and what a supervisor needs for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from forebay.cli.launch import AsChild, Launcher
from forebay.cli.supervise import Falls
from tests.cli.processes import PATIENCE_SECONDS

_HEAVY = (
    *("forebay.app.application", "forebay.authoring", "forebay.builtins", "forebay.control"),
    *("forebay.http", "httpx2", "psycopg", "pydantic", "uvicorn", "uvloop"),
)


@pytest.mark.parametrize(
    "told",
    [AsChild("api", True, 7, [3, 4]), AsChild("api", False, 7, [3]), AsChild("worker", True, 5)],
)
def test_what_a_child_is_told_comes_back_as_it_was(told: AsChild) -> None:
    read = AsChild.read(str(told))
    assert (*read[:3], list(read.sockets)) == (*told[:3], list(told.sockets))


def test_one_that_lived_is_followed_at_once() -> None:
    falls = Falls()
    assert [falls.pause_seconds(60) for _ in range(5)] == [0] * 5


def test_those_that_die_at_once_are_followed_later_and_later() -> None:
    falls = Falls()
    pauses = [falls.pause_seconds(0.2) for _ in range(12)]
    assert pauses[:4] == [0, 0, 0.5, 1]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5
    falls.pause_seconds(60)
    assert falls.pause_seconds(0.2) == 0


@pytest.mark.system
def test_a_child_whose_line_is_cut_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    launched = Launcher(["worker"]).launch("worker")
    launched.line.setblocking(True)
    with launched.line.makefile("rb") as said:
        words = [said.readline().split()[0] for _ in range(3)]
    assert set(words) >= {b"holder", b"beat"}
    launched.line.close()
    assert launched.process.wait(PATIENCE_SECONDS) == 1


def test_a_supervisor_imports_nothing_that_it_does_not_need() -> None:
    loaded = "import sys, forebay.cli.serve, forebay.cli.supervise; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "forebay.cli.supervise" in told
    assert [name for name in told if name.startswith(_HEAVY)] == []


def test_the_first_child_is_on_its_way_before_the_event_loop_is_imported() -> None:
    loaded = (
        "import sys, forebay.cli.main, forebay.cli.serve, forebay.cli.worker; print(*sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "forebay.cli.launch" in told
    assert "asyncio" not in told
