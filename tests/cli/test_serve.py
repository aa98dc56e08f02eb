"""The server as a process: how it begins, what it says, how it ends."""

import json
import signal
import socket
import sqlite3
import subprocess
from typing import Any

import pytest

from forebay.client import Client, Run
from tests.cli.processes import PATIENCE_SECONDS, Place, Server, until

pytestmark = pytest.mark.system

SEVERAL = """
from pydantic import BaseModel
from forebay import agent

class Question(BaseModel):
    text: str
    depth: int
    tags: list[str] = []

@agent("deep")
async def deep(question: Question):
    return {"depth": question.depth}

@agent("flat")
async def flat(text: str):
    return text
"""

STUBBORN = """
import asyncio, time
from pathlib import Path
from forebay import agent

@agent("late")
async def late(text: str):
    yield "begun"
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(1.0)  # it has to put its things away first
        raise

@agent("block")
async def block(text: str):
    yield "begun"
    await asyncio.sleep(0.3)  # until that is written
    Path("blocked").touch()
    time.sleep(60)

@agent("thread")
def thread(text: str):
    yield "begun"
    time.sleep(60)
"""


def sh(command: str) -> str:
    """Run a line as it is printed."""
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    return done.stdout


def frames(stream: str) -> list[dict[str, Any]]:
    """The data of the frames of a stream."""
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]


def ids(stream: str) -> list[int]:
    """The ids of the frames of a stream."""
    return [int(line[4:]) for line in stream.splitlines() if line.startswith("id: ")]


class Stream:
    """A stream that somebody reads with curl."""

    def __init__(self, server: Server, run: Run) -> None:
        url = f"{server.url}/api/runs/{run.id}/events"
        self._curl = subprocess.Popen(["curl", "-sN", url], stdout=subprocess.PIPE, text=True)
        self._text = ""

    def until(self, word: str) -> "Stream":
        """Read until a line has this word."""
        assert self._curl.stdout
        while word not in (line := self._curl.stdout.readline()):
            assert line, self._text
            self._text += line
        self._text += line
        return self

    def rest(self) -> str:
        """Everything that came, when the stream has ended."""
        with self._curl:
            assert self._curl.stdout
            self._text += self._curl.stdout.read()
        return self._text


def begin(server: Server, agent: str) -> Stream:
    """Start a run of an agent that says `begun`, and read until it has said so."""
    with Client(server.url) as client:
        return Stream(server, client.submit("x", agent=agent)).until("begun")


# --- the banner ---------------------------------------------------------------------------------


def test_the_three_curl_lines_work_as_printed(place: Place) -> None:
    wait, stream, background = place.serve().commands
    answer = json.loads(sh(wait))
    assert (answer["status"], answer["output"]) == ("success", "Hello from Forebay")
    for command in (stream, background):
        told = sh(command)
        assert frames(told)[-1]["type"] == "run.succeeded"
        assert ids(told) == list(range(1, len(frames(told)) + 1))


def test_the_curl_lines_name_an_agent_and_send_what_it_takes(place: Place) -> None:
    place.write("several.py", SEVERAL)
    wait, stream, background = place.serve("several.py").commands
    assert json.loads(sh(wait))["output"] == {"depth": 1}
    assert frames(sh(stream))[-1]["type"] == "run.succeeded"
    assert frames(sh(background))[-1]["type"] == "run.succeeded"


def test_people_are_told_where_everything_is(place: Place) -> None:
    process = place.begin("serve", "--port", "0", "--db", "data/mine.db")
    lines = [process.line() for _ in range(3)]
    url = lines[0].rpartition(" ")[2]
    assert lines == [
        f"Forebay is at {url}",
        f"  docs      {url}/docs",
        f"  database  {place.folder.resolve()}/data/mine.db",
    ]
    assert process.stop() == 0
    printed = [line for line in process.rest() if line.startswith("  curl ")]
    assert len(printed) == 3


def test_a_server_for_other_machines_warns_that_everybody_may_use_it(place: Place) -> None:
    server = place.serve("--host", "0.0.0.0")
    assert server.url.startswith("http://127.0.0.1:")
    assert "authentication is off" in server.banner["warnings"][0]
    assert json.loads(sh(server.commands[0]))["status"] == "success"


def test_a_server_listens_on_ipv6_too(place: Place) -> None:
    server = place.serve("--host", "::1")
    assert server.url.startswith("http://[::1]:")
    assert json.loads(sh(server.commands[0].replace("curl", "curl -g", 1)))["status"] == "success"


# --- how it refuses to begin --------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_in_one_line(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = place.run("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 2
    assert "is in use" in ended.err
    assert ended.err.count("\n") == 1
    assert not (place.folder / "forebay.db").exists(), "the port comes before the database"


def test_a_file_of_another_program_is_not_touched(place: Place) -> None:
    path = place.folder / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("PRAGMA journal_mode = wal")
        theirs.execute("CREATE TABLE precious (it TEXT)")
    theirs.close()
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    ended = place.run("serve", "--port", "0", "--db", "theirs.db")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "not a Forebay database" in ended.err
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(each.name for each in place.folder.iterdir()) == ["theirs.db"]


def test_a_database_of_a_newer_forebay_is_refused(place: Place) -> None:
    place.run("migrate", "--db", "new.db")
    with sqlite3.connect(place.folder / "new.db") as newer:
        newer.execute("INSERT INTO migration VALUES (9999, 'later', 0)")
    newer.close()
    ended = place.run("serve", "--port", "0", "--db", "new.db")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "9999" in ended.err


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_like_this", "nothing_like_this"),
        ("1 / 0", "ZeroDivisionError: division by zero (mine.py, line 1)"),
        ("def broken(:", "line 1"),
        ("x = 1", "defines no agent"),
    ],
)
def test_agents_that_cannot_be_loaded_are_told_in_one_line(
    place: Place, source: str, reason: str
) -> None:
    place.write("mine.py", source)
    ended = place.run("serve", "--port", "0", "mine.py")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert reason in ended.err


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_hands_runs_back_and_ends_streams_cleanly(
    place: Place, number: signal.Signals
) -> None:
    server = place.serve(FOREBAY_DRAIN_SECONDS="0")
    with Client(server.url) as client:
        run = client.submit("x sleep=60000")
    stream = Stream(server, run).until("run.started")
    server.process.send(number)
    assert server.process.ended() == 0
    told = stream.rest()
    assert "event: server.stopping\n" in told or frames(told)[-1]["reason"] == "handed_back"
    assert ids(told) == list(range(1, len(ids(told)) + 1))
    again = place.serve()
    with Client(again.url) as client:
        assert not client.get(run).is_finished
        until(lambda: client.get(run).attempt == 2)
        client.cancel(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_runs_that_are_not_to_be_resumed(
    place: Place, number: signal.Signals
) -> None:
    server = place.serve(FOREBAY_DRAIN_SECONDS="0", FOREBAY_RESUME="false")
    with Client(server.url) as client:
        run = client.submit("x sleep=60000")
    stream = Stream(server, run).until("run.started")
    server.process.send(number)
    assert server.process.ended() == 0
    stream.rest()
    again = place.serve()
    with Client(again.url) as client:
        ended = client.get(run)
    assert (ended.status, ended.reason) == ("interrupted", "server_stopped")


def test_a_stream_whose_run_ends_late_is_told_that_the_server_stops(place: Place) -> None:
    place.write("stubborn.py", STUBBORN)
    server = place.serve("stubborn.py", "--default-agent", "late", FOREBAY_DRAIN_SECONDS="0")
    stream = begin(server, "late")
    assert server.process.stop() == 0
    told = stream.rest()
    assert "event: server.stopping\n" in told
    assert frames(told)[-1]["code"] == "stopping"


def test_an_agent_that_blocks_in_a_thread_holds_nobody_up(place: Place) -> None:
    place.write("stubborn.py", STUBBORN)
    server = place.serve(
        *("stubborn.py", "--default-agent", "thread"),
        FOREBAY_STOP_SECONDS="15",
        FOREBAY_DRAIN_SECONDS="0",
    )
    stream = begin(server, "thread")
    assert server.process.stop() == 0
    assert "event: server.stopping\n" in stream.rest()


@pytest.mark.parametrize("mode", ["background", "wait"])
def test_a_process_that_is_held_up_is_ended_when_its_time_is_over(place: Place, mode: str) -> None:
    place.write("stubborn.py", STUBBORN)
    server = place.serve(
        *("stubborn.py", "--default-agent", "block"),
        FOREBAY_STOP_SECONDS="1",
        FOREBAY_DRAIN_SECONDS="0",
    )
    body = json.dumps({"input": "x", "agent": "block", "mode": mode, "durable": True})
    command = ["curl", "-s", f"{server.url}/api/runs", "-H", "content-type: application/json"]
    with subprocess.Popen([*command, "-d", body], stdout=subprocess.DEVNULL):
        until((place.folder / "blocked").exists)
        assert server.process.stop() == 1
    assert "did not end in time" in server.process.errors()


def test_a_second_signal_ends_it_at_once(place: Place) -> None:
    place.write("stubborn.py", STUBBORN)
    server = place.serve("stubborn.py", "--default-agent", "late", FOREBAY_STOP_SECONDS="60")
    stream = begin(server, "block")
    until((place.folder / "blocked").exists)
    server.process.send(signal.SIGTERM)

    def insist() -> bool:
        server.process.send(signal.SIGINT)
        return not server.process.is_running

    until(insist)
    assert server.process.ended() in (-signal.SIGINT, 128 + signal.SIGINT, 128 + signal.SIGTERM)
    stream.rest()


def test_what_is_logged_is_json_unless_it_is_for_people(place: Place) -> None:
    server = place.serve()
    with Client(server.url) as client:
        client.run("hi fail=boom")
    server.process.stop()
    lines = [json.loads(line) for line in server.process.errors().splitlines()]
    failed, ended = sorted(lines, key=lambda line: line["level"])
    assert (failed["level"], ended["level"]) == ("error", "info")
    assert "boom" in failed["traceback"]
    assert failed["run"] == ended["run"]


def test_logs_can_be_text(place: Place) -> None:
    server = place.serve("--log-format", "text")
    with Client(server.url) as client:
        run = client.run("hi")
    server.process.stop()
    assert f"run {run.id} echo: success" in server.process.errors()


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- backups ------------------------------------------------------------------------------------


def test_a_backup_is_made_while_serving_and_put_back_when_stopped(place: Place) -> None:
    server = place.serve()
    with Client(server.url) as client:
        kept = client.run("kept")
        busy = client.submit("busy chunks=1000 delay=5")
        until(lambda: client.get(busy).events >= 2)
        assert place.run("backup", "copy.db").code == 0
        later = client.run("later")
        refused = place.run("restore", "copy.db", "--force")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "in use" in refused.err
        client.cancel(busy)
        assert client.get(later).succeeded
    server.process.stop()
    assert place.run("restore", "copy.db", "--force").code == 0
    again = place.serve()
    with Client(again.url, patience_seconds=PATIENCE_SECONDS) as client:
        assert client.get(kept).output == "kept"
        assert client.get(busy).events >= 2
        assert later.id not in [run.id for run in client.list().runs]


# --- reload -------------------------------------------------------------------------------------

ONE_AGENT = """
from forebay import agent

@agent("{name}")
async def body(text: str):
    return "{name}"
"""


def names(server: Server) -> list[str]:
    with Client(server.url) as client:
        return [agent.name for agent in client.agents() if agent.name not in ("echo", "extractive")]


def until_named(server: Server, name: str) -> None:
    until(lambda: name in names(server))


def test_a_changed_file_starts_the_server_again(place: Place) -> None:
    path = place.write("mine.py", ONE_AGENT.format(name="first"))
    server = place.serve("mine.py", "--reload")
    assert names(server) == ["first"]
    path.write_text(ONE_AGENT.format(name="second"))
    until_named(server, "second")
    path.write_text("def broken(:")
    until(lambda: "waiting for a change" in server.process.errors())
    path.write_text(ONE_AGENT.format(name="third"))
    until_named(server, "third")
    assert server.process.stop() == 0


def test_the_child_of_a_killed_parent_ends(place: Place) -> None:
    place.write("mine.py", ONE_AGENT.format(name="first"))
    server = place.serve("mine.py", "--reload")
    server.process.kill()
    until(lambda: not is_open(server.port))


def test_with_reload_a_first_start_that_fails_ends_it(place: Place) -> None:
    place.write("mine.py", "def broken(:")
    ended = place.run("serve", "--port", "0", "--reload", "mine.py")
    assert ended.code == 2
    assert "cannot be imported" in ended.err
