"""Where settings come from, as `forebay check` tells it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from forebay.cli.main import main

Checked: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in, with an environment that names nothing."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> Checked:
    """Run `forebay check`; tells each setting by its name."""
    del folder

    def check(*arguments: str) -> dict[str, Any]:
        assert main(["check", "--json", *arguments]) == 0
        told = json.loads(capsys.readouterr().out)
        return {each["name"]: (each["value"], each["source"]) for each in told["settings"]}

    return check


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is refused; tells its one line."""
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("forebay: ")
    assert told.err.count("\n") == 1
    return told.err


def test_without_anything_every_setting_is_the_default(checked: Checked) -> None:
    assert {source for _, source in checked().values()} == {"default"}


def test_the_command_line_comes_first_then_the_environment_then_the_file(
    checked: Checked, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("FOREBAY_PORT=1\nexport FOREBAY_HOST='::1'\n# FOREBAY_DEV=true\n")
    assert checked()["port"] == (1, "FOREBAY_PORT (.env)")
    monkeypatch.setenv("FOREBAY_PORT", "2")
    assert checked()["port"] == (2, "FOREBAY_PORT (environment)")
    assert checked("--port", "3")["port"] == (3, "command line")
    assert checked("--port", "0")["port"] == (0, "command line")
    assert checked()["host"] == ("::1", "FOREBAY_HOST (.env)")
    assert checked()["dev"] == (False, "default")


def test_names_of_other_systems_come_after_our_own(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAT_JOB_STORE_DB_URL", "sqlite+aiosqlite:///theirs.db")
    assert checked()["db_url"][1] == "NAT_JOB_STORE_DB_URL (environment)"
    monkeypatch.setenv("FOREBAY_DB_URL", "ours.db")
    assert checked()["db_url"] == ("ours.db", "FOREBAY_DB_URL (environment)")


def test_a_value_may_stand_in_a_file(
    checked: Checked, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = folder / "url"
    secret.write_text("postgresql://me:hush@db/forebay\n")
    monkeypatch.setenv("FOREBAY_DB_URL_FILE", str(secret))
    value, source = checked()["db_url"]
    assert value == "postgresql://me:***@db/forebay"
    assert source.startswith("FOREBAY_DB_URL")


def test_a_file_that_is_missing_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOREBAY_DB_URL_FILE", str(folder / "nowhere"))
    assert "FOREBAY_DB_URL_FILE" in refused(capsys, "check")


@pytest.mark.parametrize("name", ["FOREBAY_PROT", "FOREBAY_PORTT"])
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    monkeypatch.setenv(name, "1")
    assert "Did you mean FOREBAY_PORT?" in refused(capsys, "check")


@pytest.mark.parametrize("name", ["FOREBAY_SERVER", "FOREBAY_TOKEN", "FOREBAY_TOKEN_FILE"])
def test_the_variables_of_a_client_are_known_to_every_command(
    checked: Checked, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://elsewhere:1")
    assert checked()["port"] == (8000, "default")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--port", "70000"], "port"),
        (["--db", "mysql://x"], "db_url"),
        (["nowhere.py"], "nowhere.py"),
        (["--default-agent", "nobody"], "nobody"),
        (["--workers", "0"], "workers=0: at least 1"),
        (["--workers", "2", "--db", "memory:"], "cannot share"),
        (["--run-workers", "-1"], "run_workers=-1: at least 0"),
        (["--concurrency", "0"], "concurrency=0: at least 1"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    folder: Path, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    assert word in refused(capsys, "check", *arguments)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("FOREBAY_SILENT_SECONDS", "1", "at least 3"),
        ("FOREBAY_DRAIN_SECONDS", "nan", "at least 0"),
        ("FOREBAY_MAX_ATTEMPTS", "0", "at least 1"),
        ("FOREBAY_WORKER_NICE", "20", "at most 19"),
    ],
)
def test_a_number_that_cannot_be_used_is_told_in_one_line(
    folder: Path,
    name: str,
    value: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del folder
    monkeypatch.setenv(name, value)
    assert word in refused(capsys, "check")


def test_a_default_model_that_nobody_has_is_told_with_a_right_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    monkeypatch.setenv("FOREBAY_DEFAULT_MODEL", "gpt-4.1-mini")
    told = refused(capsys, "check")
    assert "No model is called 'gpt-4.1-mini'" in told
    assert "for instance openai/gpt-4.1-mini" in told


def test_no_worker_is_a_choice_too(checked: Checked) -> None:
    assert checked("--run-workers", "0")["run_workers"] == (0, "command line")


def test_with_json_a_refusal_is_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del folder
    assert main(["check", "--json", "nowhere.py"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "agent_load_error"
    assert "nowhere.py" in error["message"]


def test_people_see_a_table_and_the_agents(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "SOURCE"]
    assert any(line.split() == ["port", "8000", "default"] for line in lines)
    assert lines[-1] == "agents: echo, extractive"
