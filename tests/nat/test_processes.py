"""A NAT workflow file under real commands: unchanged, in one environment and in two."""

import json
import os
import signal
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from forebay.client import Client
from tests.cli.processes import PATIENCE_SECONDS, Place, Process, Server, until

from .conftest import CONFIGS, ROOT

pytestmark = pytest.mark.system

SOURCES = str(ROOT / "src")
NAT = ("--workflow-runtime", "nat", "--import", "nat_echo.register")
_OF_NAT = ("nat", "nvidia_nat")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture(scope="session")
def without_nat(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with everything that this one has, but not NAT."""
    folder = tmp_path_factory.mktemp("without-nat")
    venv.create(folder, symlinks=True)
    (there,) = folder.glob("lib/python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(_OF_NAT):
            (there / package.name).symlink_to(package)
    return str(folder / "bin" / "python")


class Commands:
    """Starts commands of one interpreter in a folder."""

    def __init__(self, place: Place, python: str) -> None:
        self._place = place
        self._python = python

    def begin(self, *arguments: str) -> Process:
        return self._place.begin_with(
            [self._python, "-m", "forebay", *arguments], PYTHONPATH=SOURCES
        )

    def serve(self, config: str, *arguments: str) -> Server:
        file = str(CONFIGS / config)
        return Server(
            self.begin("serve", "--json", "--port", "0", "--config_file", file, *arguments)
        )


def ready(server: Server) -> dict[str, Any]:
    return httpx2.get(f"{server.url}/ready").json()


def test_a_nat_file_is_served_unchanged_with_a_plugin_that_is_imported(place: Place):
    server = Commands(place, sys.executable).serve("main.yml", *NAT)
    with Client(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        assert client.run("hello").output == "tok0 tok1 tok2 "
        assert client.run("x", agent="singleonly").output == "single: x"
        run = client.submit("text", agent="hitl")
        until(lambda: bool(client.get(run).questions))
        client.answer(run, client.get(run).questions[0], "Bob")
        assert client.wait(run).output == 'before answered: {"type":"text","text":"Bob"}'
    assert server.process.stop() in (0, -signal.SIGTERM)


def test_a_plugin_is_found_by_its_entry_point(place: Place):
    info = place.folder / "plugins" / "nat_echo-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nat-echo\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[nat.components]\nnat_echo = nat_echo.register\n")
    command = [sys.executable, "-m", "forebay", "run", "--config_file", str(CONFIGS / "eval.yml")]
    path = os.pathsep.join([str(info.parent), SOURCES])
    process = place.begin_with([*command, "--input", "hi"], PYTHONPATH=path)
    assert process.ended() == 0
    assert "tok0 tok1 tok2" in "".join(process.rest())


def test_who_asks_can_be_told_on_the_command_line(place: Place):
    config = ("--config_file", str(CONFIGS / "peruser.yml"), *NAT)
    process = Commands(place, sys.executable).begin(
        "run", "--input", "one", "--input", "two", "--user_id", "ada", *config
    )
    assert process.ended() == 0
    told = "".join(process.rest())
    assert "user=ada call=1 one" in told
    assert "user=ada call=2 two" in told


def test_a_file_that_nat_refuses_ends_the_start_with_what_nat_says(place: Place):
    place.write("w.yml", "workflow:\n  _type: echo_flow\n  chunks: many\n")
    process = Commands(place, sys.executable).begin(
        "serve", "--port", "0", "--config_file", "w.yml", *NAT
    )
    assert process.ended() != 0
    assert "workflow.echo_flow.chunks: Input should be a valid integer" in process.errors()
    assert "Traceback" not in process.errors()


def test_a_check_says_what_nat_would_refuse(place: Place):
    place.write("w.yml", "workflow:\n  _type: react_agent\n  llm_name: nope\n  tool_names: []\n")
    commands = Commands(place, sys.executable)
    refused = commands.begin("check", "--config_file", "w.yml", *NAT)
    assert refused.ended() != 0
    assert "NAT cannot build w.yml: " in refused.errors()
    assert "nope" in refused.errors()
    assert "Traceback" not in refused.errors()
    fine = commands.begin("check", "--config_file", str(CONFIGS / "main.yml"), *NAT)
    assert fine.ended() == 0


def test_runs_wait_for_a_worker_of_another_interpreter_that_has_nat(place: Place, without_nat: str):
    commands = Commands(place, without_nat)
    server = commands.serve("main.yml", "--run-workers", "0", *NAT)
    (note,) = ready(server)["degraded"]
    assert "has no nvidia-nat-core" in note
    with Client(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        assert client.run("here", agent="echo").output == "here"
        queued = client.submit("hello")
        assert client.get(queued).status == "submitted"

        file = str(CONFIGS / "main.yml")
        worker = commands.begin(
            "worker", "--json", "--python", sys.executable, "--config_file", file, *NAT
        )
        assert "workflow" in json.loads(worker.line())["agents"]
        assert client.wait(queued).output == "tok0 tok1 tok2 "
        waited = client.run("x", agent="headers")
        assert f"'run_id': '{waited.id}'" in str(waited.output)
    assert worker.stop() == 0


def test_without_nat_what_has_to_be_executed_here_and_now_is_refused(
    place: Place, without_nat: str
):
    commands = Commands(place, without_nat)
    config = ("--config_file", str(CONFIGS / "main.yml"))
    run = commands.begin("run", "--input", "hi", *config, *NAT)
    assert run.ended() != 0
    assert "'workflow' cannot be executed here" in run.errors()
    serve = commands.begin("serve", "--db", "memory:", "--port", "0", *config, *NAT)
    assert serve.ended() != 0
    assert "It needs a database that is shared." in serve.errors()


def test_a_check_without_nat_says_who_has_to_execute_the_file(place: Place, without_nat: str):
    file = str(CONFIGS / "main.yml")
    check = Commands(place, without_nat).begin("check", "--config_file", file, *NAT)
    assert check.ended() == 0
    assert "has no nvidia-nat-core: runs of " in "".join(check.rest())


def test_a_worker_without_nat_leaves_these_runs_to_others(place: Place, without_nat: str):
    file = str(CONFIGS / "main.yml")
    worker = Commands(place, without_nat).begin("worker", "--json", "--config_file", file, *NAT)
    assert json.loads(worker.line())["agents"] == ["echo", "extractive"]
    assert "has no nvidia-nat-core" in worker.errors()
    assert worker.stop() == 0
