"""Workflow files on the command line: what is typed, and what is said of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from forebay.app.workflow import Described
from forebay.cli.banner import Banner
from forebay.cli.main import main
from forebay.cli.parser import build_parser, given
from forebay.cli.workflow import lines_of, told
from forebay.testing.provider import LoopbackProvider


def typed(*arguments: str) -> dict[str, Any]:
    """The settings that a command line names."""
    return given(build_parser().parse_args(arguments))


def test_a_workflow_file_has_two_spellings() -> None:
    assert typed("serve", "--config_file", "w.yml")["config_file"] == "w.yml"
    assert typed("worker", "--config-file", "w.yml")["config_file"] == "w.yml"
    assert typed("check", "--db_url", "x.db")["db_url"] == "x.db"


def test_overrides_and_modules_may_be_given_again_and_again() -> None:
    found = typed(
        *("run", "--input", "x", "--import", "one", "--import", "two"),
        *("--override", "llms.main.seed", "1", "--override", "a.b", "c=d e"),
    )
    assert found == {"imports": ("one", "two"), "overrides": ("llms.main.seed=1", "a.b=c=d e")}


def test_options_of_nat_stand_in_for_keys_of_the_file() -> None:
    found = typed(
        *("serve", "--config_file", "w.yml", "--override", "a.b", "1", "--root_path", "/x"),
        *("--max_running_async_jobs", "4", "--workflow-runtime", "native"),
    )
    assert found == {
        "config_file": "w.yml",
        "workflow_runtime": "native",
        "overrides": (
            "a.b=1",
            "general.front_end.root_path=/x",
            "general.front_end.max_running_async_jobs=4",
        ),
    }


# --- what is said -------------------------------------------------------------------------------


def described(*unused: str, runtime: Any = "native") -> Described:
    return Described(Path("w.yml"), runtime, [], [], None, unused=unused)


def test_the_banner_names_the_file_who_runs_it_and_what_has_no_effect() -> None:
    banner = Banner("http://x", "y.db", {}, [], described("eval", "general.telemetry"))
    assert banner.text().splitlines()[2:5] == [
        "  database  y.db",
        "  workflow  w.yml, run by Forebay itself",
        "            without effect here: eval, general.telemetry",
    ]
    said: Any = banner.json()
    assert said["workflow"] == {
        "file": "w.yml",
        "runtime": "native",
        "without_effect": ["eval", "general.telemetry"],
    }


def test_a_file_that_nat_runs_says_so() -> None:
    assert lines_of(described(runtime="nat")) == [
        "  workflow  w.yml, run by NVIDIA NeMo Agent Toolkit"
    ]


def test_without_a_file_nothing_is_said() -> None:
    assert (lines_of(None), told(None)) == ([], None)
    assert "workflow" not in Banner("http://x", "y.db", {}, []).text()


# --- what is wrong ------------------------------------------------------------------------------

WRONG = """
general:
  front_end:
    prot: 1
llms:
  main: {_type: openay}
workflow: {_type: react_agent, llm_name: man, tool_names: [x]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_tells_all_that_is_wrong_a_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "w.yml").write_text(WRONG)
    command = ["check", "--config_file", "w.yml", "--workflow-runtime", "native"]
    assert main(command) == 2
    lines = capsys.readouterr().err.splitlines()
    places = [":".join(line.split(":")[:4]) for line in lines]
    assert places == [
        "forebay: w.yml:4: general.front_end.prot",
        "forebay: w.yml:6: llms.main._type",
        "forebay: w.yml:7: workflow.llm_name",
        "forebay: w.yml:7: workflow.tool_names[0]",
    ]


def test_with_json_each_is_a_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yml").write_text(WRONG)
    assert main(["serve", "--json", "--config_file", "w.yml"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "workflow_error"
    assert error["problems"] == [
        "w.yml:4: general.front_end.prot: there is no such key. Did you mean port?"
    ]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["check", "--config_file", "nowhere.yml"], "there is no file nowhere.yml."),
        (["check", "--override", "a.b", "1"], "--config_file"),
        (["check", "--root_path", "/x"], "--config_file"),
        (["check", "--import", "no_such_module"], "no_such_module cannot be imported"),
        (["run"], "What is the input?"),
        (["run", "echo"], "What is the input?"),
        (["run", "echo", "text", "--input", "more"], "TEXT, or stands in --input"),
        (["run", "--input_file", "nowhere.txt"], "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    folder: Path, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


# --- what is right ------------------------------------------------------------------------------

RIGHT = """
general:
  telemetry: {logging: {console: {_type: console, level: INFO}}}
  front_end: {port: 8123}
llms:
  main: {_type: scripted, script: ["Four."], repeat: true}
functions:
  sums: {_type: calculator}
workflow:
  _type: tool_calling_agent
  llm_name: main
  tool_names: [sums]
"""


def test_check_shows_what_a_file_describes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "w.yml").write_text(RIGHT)
    assert main(["check", "--config_file", "w.yml", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["workflow"] == {
        "file": "w.yml",
        "runtime": "native",
        "without_effect": ["general.telemetry"],
    }
    assert said["components"] == [
        {"section": "functions", "name": "sums", "type": "calculator"},
        {"section": "llms", "name": "main", "type": "scripted"},
        {"section": "workflow", "name": "workflow", "type": "tool_calling_agent"},
    ]
    assert "workflow" in said["agents"]
    assert {"name": "port", "value": 8123, "source": "w.yml:4"} in said["settings"]
    assert said["models"] == []


def test_check_shows_it_to_people_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yml").write_text(RIGHT)
    assert main(["check", "--config_file", "w.yml"]) == 0
    out = capsys.readouterr().out
    assert "\nworkflow: w.yml, run by Forebay itself\n" in out
    assert "\nllms       main      scripted\n" in out
    assert out.endswith("without effect here: general.telemetry\n")


def test_check_asks_each_model_if_it_may(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yml").write_text(RIGHT)
    assert main(["check", "--config_file", "w.yml", "--online", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert {each["name"] for each in models} == {"main"}
    assert all(each["is_ok"] for each in models)


async def test_check_asks_the_default_model_that_no_file_describes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    async with LoopbackProvider(models=["m"]) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("FOREBAY_DEFAULT_MODEL", "openai/m")
        assert await asyncio.to_thread(main, ["check", "--online", "--json"]) == 0
        monkeypatch.setenv("FOREBAY_DEFAULT_MODEL", "openai/other")
        assert await asyncio.to_thread(main, ["check", "--online", "--json"]) == 1
    right, wrong = map(json.loads, capsys.readouterr().out.splitlines())
    assert {each["name"] for each in right["models"]} == {"openai/m"}
    assert not all(each["is_ok"] for each in wrong["models"])


def test_the_doctor_looks_at_it_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yml").write_text(RIGHT)
    assert main(["doctor", "--port", "0", "--config_file", "w.yml"]) == 0
    assert "ok       workflow: w.yml, run by Forebay itself\n" in capsys.readouterr().out
    (folder / "w.yml").write_text(WRONG)
    command = ["doctor", "--port", "0", "--config_file", "w.yml", "--workflow-runtime", "native"]
    assert main(command) == 1
    assert capsys.readouterr().out.count("wrong    workflow: w.yml:") == 4
