"""What the doctor finds."""

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from forebay.cli.main import main

Examined: TypeAlias = Callable[..., tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Examined:
    """Run `forebay doctor`; tells its exit code and what it found."""
    monkeypatch.chdir(tmp_path)

    def examine(*arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        capsys.readouterr()
        code = main(["doctor", "--json", "--port", "0", *arguments])
        found = json.loads(capsys.readouterr().out)
        return code, {each["about"]: (each["state"], each["message"]) for each in found}

    return examine


def test_a_healthy_place_is_all_right(examined: Examined) -> None:
    code, found = examined()
    assert code == 0
    assert {state for state, _ in found.values()} == {"ok"}
    assert set(found) == {"Python", "SQLite", "database", "disk", "port", "agents"}
    assert "does not exist yet" in found["database"][1]


def test_looking_creates_nothing(examined: Examined, tmp_path: Path) -> None:
    examined("--db", "data/deep/forebay.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_tells_its_schema(examined: Examined) -> None:
    main(["migrate"])
    code, found = examined()
    assert code == 0
    assert "schema" in found["database"][1]


def test_a_file_of_another_program_is_wrong(examined: Examined, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE precious (it TEXT)")
    theirs.close()
    code, found = examined("--db", "theirs.db")
    assert (code, found["database"][0]) == (1, "wrong")


def test_a_port_of_another_program_is_wrong(examined: Examined) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, found = examined("--port", str(taken.getsockname()[1]))
    assert (code, found["port"][0]) == (1, "wrong")


def test_agents_that_cannot_be_loaded_are_wrong(examined: Examined) -> None:
    code, found = examined("nowhere.py")
    assert (code, found["agents"][0]) == (1, "wrong")


def test_an_open_address_is_warned_of(examined: Examined) -> None:
    code, found = examined("--host", "0.0.0.0")
    assert (code, found["address"][0]) == (0, "warning")


def test_a_database_that_others_may_write_is_warned_of(examined: Examined, tmp_path: Path) -> None:
    main(["migrate"])
    (tmp_path / "forebay.db").chmod(0o666)
    _, found = examined()
    assert found["permissions"][0] == "warning"


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_wrong(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, found = examined("--db", "locked/forebay.db")
    assert (code, found["folder"][0]) == (1, "wrong")


def test_people_see_one_line_each(examined: Examined, capsys: pytest.CaptureFixture[str]) -> None:
    examined()
    assert main(["doctor", "--port", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 6
