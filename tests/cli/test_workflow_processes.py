"""Workflow files in real processes: run, serve and worker."""

import subprocess
import sys

import pytest

from forebay.client import Client
from tests.cli.processes import PATIENCE_SECONDS, Place, until

pytestmark = pytest.mark.system

FILE = """
general:
  front_end: {_type: aiq_api, db_url: "sqlite+aiosqlite:///./theirs.db", dask_workers: threads}
llms:
  main:
    _type: scripted
    repeat: true
    script:
      - {call: {sums: {expression: "2 + 2"}}}
      - "It is {tool}."
  parrot: {_type: scripted}
functions:
  sums: {_type: calculator}
  again: {_type: chat_completion, llm_name: parrot}
workflow:
  _type: tool_calling_agent
  llm_name: main
  tool_names: [sums]
"""


@pytest.fixture
def workflow(place: Place) -> Place:
    """A folder with a workflow file."""
    place.write("w.yml", FILE)
    return place


def test_the_workflow_is_run_for_each_input(workflow: Place) -> None:
    ended = workflow.run("run", "--config_file", "w.yml", "--input", "a", "--input", "b")
    assert (ended.code, ended.out, ended.err) == (0, "It is 4.\nIt is 4.\n", "")
    assert (workflow.folder / "theirs.db").exists()


def test_a_function_can_be_run_by_its_name(workflow: Place) -> None:
    ended = workflow.run("run", "again", "hello you", "--config_file", "w.yml")
    assert (ended.code, ended.out, ended.err) == (0, "hello you\n", "")


def test_an_input_may_stand_in_a_file(workflow: Place) -> None:
    workflow.write("question.txt", "what is it")
    ended = workflow.run(
        *("run", "again", "--input_file", "question.txt", "--json"), NAT_CONFIG_FILE="w.yml"
    )
    assert (ended.code, ended.json()["output"]) == (0, "what is it")


def test_an_override_changes_what_is_run(workflow: Place) -> None:
    script = '["Something else."]'
    ended = workflow.run(
        *("run", "--config_file", "w.yml", "--input", "a"),
        *("--override", "llms.main.script", script),
    )
    assert (ended.code, ended.out, ended.err) == (0, "Something else.\n", "")


def test_the_first_input_that_fails_lets_the_others_be_run(workflow: Place) -> None:
    workflow.write("w.yml", FILE.replace('"It is {tool}."', "{fail: rate_limited}"))
    ended = workflow.run("run", "--config_file", "w.yml", "--input", "a", "--input", "b")
    assert ended.code == 1
    assert ended.err.count("the run did not succeed") == 2


def test_a_server_runs_the_workflow_in_all_its_processes(workflow: Place) -> None:
    server = workflow.serve("--config_file", "w.yml", "--run-workers", "1")
    assert server.banner["workflow"] == {
        "file": "w.yml",
        "runtime": "native",
        "without_effect": ["general.front_end.dask_workers"],
    }
    assert server.banner["database"].endswith("theirs.db")
    with Client(server.url) as client:
        assert client.run("in the server").output == "It is 4."
        assert client.wait(client.submit("in a worker")).output == "It is 4."


def test_a_worker_says_what_it_runs(workflow: Place) -> None:
    worker = workflow.begin("worker", "--config_file", "w.yml")
    lines = [worker.line() for _ in range(5)]
    assert lines[0] == "Forebay executes queued runs"
    assert lines[3] == "  workflow  w.yml, run by Forebay itself"
    assert lines[4] == "            without effect here: general.front_end.dask_workers"


def test_a_server_that_cannot_use_its_file_says_why_and_ends(workflow: Place) -> None:
    workflow.write("w.yml", FILE.replace("llm_name: main", "llm_name: mian"))
    ended = workflow.run("serve", "--port", "0", "--config_file", "w.yml")
    assert ended.code == 2
    assert ended.err == (
        "forebay: w.yml:17: workflow.llm_name: `llms` has no 'mian'. Did you mean main? It has: "
        "main, parrot.\n"
    )


def test_a_changed_file_is_run_as_it_is_then(workflow: Place) -> None:
    server = workflow.serve("--config_file", "w.yml", "--reload", "--run-workers", "0")
    with Client(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        assert client.run("x").output == "It is 4."
        workflow.write("w.yml", FILE.replace("It is", "Now it is"))
        until(lambda: client.run("x").output == "Now it is 4.")


def test_check_lets_nat_build_what_nat_runs(workflow: Place) -> None:
    workflow.write("w.yml", UNDER_NAT)
    ended = workflow.run("check", "--config_file", "w.yml", "--workflow-runtime", "nat")
    assert ended.code == 0, ended.err
    assert "workflow: w.yml, run by NVIDIA NeMo Agent Toolkit" in ended.out
    workflow.write("w.yml", UNDER_NAT.replace("react_agent", "reactor_agent"))
    ended = workflow.run("check", "--config_file", "w.yml")
    assert ended.code == 2
    assert "reactor_agent" in ended.err


UNDER_NAT = """
llms:
  main: {_type: openai, model_name: x, api_key: sk-none, base_url: "http://127.0.0.1:1/v1"}
functions:
  now: {_type: current_datetime}
workflow: {_type: react_agent, llm_name: main, tool_names: [now]}
"""


def test_who_has_no_workflow_file_reads_no_yaml() -> None:
    loaded = (
        "import sys, forebay.cli.serve, forebay.app.application as a, forebay.settings as s\n"
        "a.Application(s.Settings(db_url='memory:'))\n"
        "print(*sys.modules)"
    )
    names = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "forebay.app.application" in names
    assert [name for name in names if name.partition(".")[0] == "yaml"] == []
    assert "forebay.control.workflow.structure" not in names
