"""The command line itself: usage, versions, exit codes."""

import socket
from importlib.metadata import version

import pytest

from forebay.cli.main import exit_code_of, main
from forebay.cli.outcome import DENIED, UNREACHABLE, USAGE
from forebay.core.errors import (
    AgentNotFound,
    DatabaseUnavailable,
    DiskFull,
    ForebayError,
    ForeignOrigin,
    MigrationNeeded,
    SettingError,
    TokenRequired,
)


def ended(*arguments: str) -> int:
    """Run a command that argparse ends."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"forebay {version('forebay')}\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["sevre"], ["serve", "--prot", "1"], ["runs"], ["serve", "--po", "1"]],
)
def test_wrong_usage_is_told_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*arguments) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "--help" in told.err


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["runs", "list", "--help"]])
def test_help_is_no_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*arguments) == 0
    assert capsys.readouterr().out.startswith("usage: forebay")


def test_a_server_that_is_not_there_is_unreachable(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for command in (["agents"], ["runs", "list"], ["runs", "follow", "x"]):
            assert main([*command, "--server", url]) == UNREACHABLE
            told = capsys.readouterr()
            assert url in told.err
            assert told.err.count("\n") == 1


def test_a_server_that_is_no_url_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "--server", "localhost"]) == USAGE
    assert "http://127.0.0.1:8000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingError(), USAGE),
        (AgentNotFound(), USAGE),
        (MigrationNeeded(), USAGE),
        (DatabaseUnavailable(), UNREACHABLE),
        (DiskFull(), UNREACHABLE),
        (TokenRequired(), DENIED),
        (ForeignOrigin(), DENIED),
    ],
)
def test_each_error_has_its_exit_code(error: ForebayError, code: int) -> None:
    assert exit_code_of(error) == code
