"""The processes of a server, and what becomes of runs when one of them dies, hangs or stops."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import httpx2
import pytest

from forebay.client import Client, Entry, Run
from forebay.core.events import OutputChunk, RunRequeued, RunStarted
from tests.cli.processes import (
    PATIENCE_SECONDS,
    Place,
    Server,
    children_of,
    is_alive,
    until,
)

pytestmark = pytest.mark.system

SLOWLY = "chunks=200 delay=10"
QUICKLY = "chunks=200"

TROUBLE = """
import asyncio, time
from pathlib import Path
from forebay import agent

first = not Path("seen").exists()

@agent("spin")
async def spin(text: str):
    "Holds the event loop, and works."
    Path("seen").touch()
    end = time.monotonic() + 6
    while time.monotonic() < end:
        pass
    return "done"

@agent("hang")
async def hang(text: str):
    "Holds the event loop, and waits; the next attempt does not."
    if first:
        Path("seen").touch()
        await asyncio.sleep(0.3)  # until its start is written
        time.sleep(60)
    return "done"

@agent("eat")
async def eat(text: str):
    "Takes memory, and keeps it."
    food = b"x" * (400 << 20)
    await asyncio.sleep(60)
    return str(len(food))
"""

ONE_AGENT = """
from forebay import agent

@agent("{name}")
async def body(text: str):
    return "{name}"
"""

SABOTEUR = """
import asyncio
from pathlib import Path
from forebay import agent

@agent("saboteur")
async def saboteur(text: str):
    if not Path("done").exists():
        Path("done").touch()
        (queue,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue"]
        queue.get_coro().close()
        queue.cancel()  # what has been closed cannot be told, which is an error
        await asyncio.sleep(60)
    return "done"
"""

PARENT = """
import asyncio
from forebay import agent

@agent("parent")
async def parent(text: str):
    child = await asyncio.create_subprocess_exec("sleep", "600")
    yield str(child.pid)
    await child.wait()
"""

FRAGILE = """
from pathlib import Path
from forebay import agent

if Path("broken").exists():
    raise RuntimeError("broken")

@agent("fragile")
async def fragile(text: str):
    return text
"""


@contextmanager
def asking(server: Server) -> Generator[Client]:
    """A client that goes on whatever is killed."""
    with Client(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        yield client


def until_it_speaks(client: Client, run: Run) -> None:
    """Wait until a run has said something."""
    for entry in client.events(run):
        if entry.type == "output.chunk":
            return


def the_worker(server: Server) -> int:
    """The worker, when there is one."""
    until(lambda: bool(server.workers))
    return server.workers[0]


def executors(entries: Sequence[Entry]) -> list[str]:
    """Where each attempt of a run was executed."""
    return [entry.event.executor for entry in entries if isinstance(entry.event, RunStarted)]


def reasons(entries: Sequence[Entry]) -> list[str]:
    """Why attempts of a run were over before it was."""
    return [entry.event.message for entry in entries if isinstance(entry.event, RunRequeued)]


def is_lost_once(entries: Sequence[Entry], why: str) -> bool:
    """Whether only the first attempt was lost, and for this reason."""
    # A sweep that comes between a kill and what follows it sees only that the process is gone.
    expected = [f"attempt 1 was lost: {each}" for each in (why, "its process was gone")]
    (reason,) = reasons(entries)
    return reason in expected


def whole_log(client: Client, run: Run) -> list[Entry]:
    """Every entry, to the last one: each once, in order."""
    entries = list(client.events(run))
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    return entries


# --- one of them dies ---------------------------------------------------------------------------


def test_the_run_of_a_killed_worker_goes_on_in_another(place: Place) -> None:
    server = place.serve()
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
        killed = the_worker(server)
        os.kill(killed, signal.SIGKILL)
        entries = whole_log(client, run)
        assert client.get(run).output == client.run(QUICKLY).output
    assert executors(entries) == ["local", "local"]
    assert is_lost_once(entries, "its process ended with -9")
    assert the_worker(server) != killed


def test_while_the_api_process_is_replaced_nobody_is_refused_and_its_run_goes_on(
    place: Place,
) -> None:
    server = place.serve()
    answers: list[Run] = []
    with asking(server) as client, asking(server) as another:
        waiting = threading.Thread(target=lambda: answers.append(client.run(SLOWLY)))
        waiting.start()
        until(lambda: bool(another.list().runs))
        run = another.list().runs[0]
        until_it_speaks(another, run)
        (killed,) = server.api
        os.kill(killed, signal.SIGKILL)
        assert another.agents(), "the port answers"
        entries = whole_log(another, run)
        waiting.join(PATIENCE_SECONDS)
        assert answers[0].output == another.run(QUICKLY).output
    assert answers[0].id == run.id, "whoever asked again has joined it"
    assert executors(entries) == ["inline", "local"]
    assert killed not in server.api


def test_no_child_outlives_a_killed_supervisor(place: Place) -> None:
    server = place.serve("--workers", "2", "--run-workers", "2")
    until(lambda: len(children_of(server.process)) == 4)
    children = children_of(server.process)
    server.process.kill()
    until(lambda: not any(map(is_alive, children)))


def test_after_everything_was_killed_the_run_goes_on_with_the_next_start(place: Place) -> None:
    server = place.serve()
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
    server.process.kill()
    with asking(place.serve()) as client:
        entries = whole_log(client, run)
        assert client.get(run).succeeded
    assert is_lost_once(entries, "its process was gone")


def test_without_resuming_the_run_of_a_killed_worker_ends(place: Place) -> None:
    server = place.serve(FOREBAY_RESUME="false")
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
        os.kill(the_worker(server), signal.SIGKILL)
        whole_log(client, run)
        ended = client.get(run)
    assert (ended.status, ended.reason) == ("interrupted", "server_lost")


# --- one of them hangs --------------------------------------------------------------------------


def test_a_stopped_worker_is_killed_and_its_run_goes_on(place: Place) -> None:
    server = place.serve(FOREBAY_SILENT_SECONDS="3")
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
        stopped = the_worker(server)
        os.kill(stopped, signal.SIGSTOP)
        entries = whole_log(client, run)
        assert client.get(run).output == client.run(QUICKLY).output
    assert is_lost_once(entries, "it was stopped for 3 s")
    until(lambda: not is_alive(stopped))


def test_a_worker_that_goes_on_in_time_keeps_its_run(place: Place) -> None:
    server = place.serve(FOREBAY_SILENT_SECONDS="60")
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
        stopped = the_worker(server)
        os.kill(stopped, signal.SIGSTOP)
        assert client.run("hello").output == "hello", "the others go on"
        os.kill(stopped, signal.SIGCONT)
        assert executors(whole_log(client, run)) == ["local"]


def test_a_supervisor_that_slept_gives_its_children_time_to_speak(place: Place) -> None:
    server = place.serve(FOREBAY_SILENT_SECONDS="3")
    with asking(server) as client:
        run = client.submit("chunks=1000 delay=10")
        until_it_speaks(client, run)
        worker = the_worker(server)
        os.kill(server.process.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGSTOP)
        client.run("time sleep=4500")  # passes, without either of them
        os.kill(server.process.pid, signal.SIGCONT)
        client.run("time sleep=1500")  # passes, and the worker has not spoken yet
        os.kill(worker, signal.SIGCONT)
        assert executors(whole_log(client, run)) == ["local"]
        assert server.workers == [worker]


def test_a_worker_that_neither_speaks_nor_works_is_killed(place: Place) -> None:
    place.write("trouble.py", TROUBLE)
    server = place.serve("trouble.py", FOREBAY_SILENT_SECONDS="3")
    with asking(server) as client:
        run = client.submit("x", agent="hang")
        entries = whole_log(client, run)
        assert client.get(run).output == "done"
    assert is_lost_once(entries, "it said nothing and used no CPU for 3 s")


def test_a_busy_worker_is_left_alone_however_long_it_is_silent(place: Place) -> None:
    place.write("trouble.py", TROUBLE)
    server = place.serve("trouble.py", FOREBAY_SILENT_SECONDS="3")
    with asking(server) as client:
        run = client.submit("x", agent="spin")
        entries = whole_log(client, run)
        assert client.get(run).output == "done"
    assert executors(entries) == ["local"], reasons(entries)


def test_a_worker_that_takes_too_much_memory_is_killed_as_often_as_attempts_allow(
    place: Place,
) -> None:
    place.write("trouble.py", TROUBLE)
    server = place.serve("trouble.py", FOREBAY_WORKER_MEMORY_MB="300", FOREBAY_MAX_ATTEMPTS="2")
    with asking(server) as client:
        run = client.submit("x", agent="eat")
        entries = whole_log(client, run)
        ended = client.get(run)
    assert (ended.status, ended.reason) == ("failure", "attempts_spent")
    assert executors(entries) == ["local", "local"]
    assert len(reasons(entries)) == 1
    assert "MiB of memory, and may use 300); " in server.process.errors()


def test_a_process_that_has_lost_an_essential_part_is_replaced(place: Place) -> None:
    place.write("saboteur.py", SABOTEUR)
    server = place.serve("saboteur.py")
    with asking(server) as client:
        run = client.submit("x")
        entries = whole_log(client, run)
        assert client.get(run).output == "done"
    assert executors(entries) == ["local", "local"]
    assert "the task 'queue' died" in server.process.errors()


# --- they stop ----------------------------------------------------------------------------------


def test_a_stop_leaves_nothing_running(place: Place) -> None:
    server = place.serve("--workers", "2", "--run-workers", "2")
    until(lambda: len(children_of(server.process)) == 4)
    children = children_of(server.process)
    assert server.process.stop() == 0
    assert not any(map(is_alive, children))


def test_a_worker_that_stops_lets_its_runs_end(place: Place) -> None:
    server = place.serve(FOREBAY_DRAIN_SECONDS="15")
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
    assert server.process.stop() == 0
    with asking(place.serve()) as client:
        assert client.get(run).succeeded
        assert executors(whole_log(client, run)) == ["local"]


def test_a_worker_that_stops_hands_back_what_takes_too_long(place: Place) -> None:
    server = place.serve(FOREBAY_DRAIN_SECONDS="0")
    with asking(server) as client:
        run = client.submit(SLOWLY)
        until_it_speaks(client, run)
    assert server.process.stop() == 0
    with asking(place.serve()) as client:
        entries = whole_log(client, run)
        assert client.get(run).output == client.run(QUICKLY).output
    assert reasons(entries) == ["the process that executed it was stopped"]


# --- several of them ----------------------------------------------------------------------------


def test_four_api_processes_answer_on_one_port(place: Place) -> None:
    server = place.serve("--workers", "4", "--run-workers", "0", FOREBAY_SILENT_SECONDS="600")
    until(lambda: len(server.api) == 4)
    with asking(server) as client:
        run = client.run("hello")
    for one in server.api:
        others = [pid for pid in server.api if pid != one]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        with asking(server) as client:
            assert client.get(run).output == "hello", "a run is everybody's"
        for pid in others:
            os.kill(pid, signal.SIGCONT)
    assert server.process.stop() == 0


def test_a_worker_beside_a_server_takes_part_of_its_runs(place: Place) -> None:
    place.write("mine.py", ONE_AGENT.format(name="mine"))
    server = place.serve("mine.py", "--run-workers", "0", FOREBAY_CONCURRENCY="1")
    worker = place.begin("worker", "--json", "--run-workers", "2", "mine.py")
    told = json.loads(worker.line())
    assert told["workers"] == 2
    assert "mine" in told["agents"]
    until(lambda: len(children_of(worker, "worker")) == 2)
    with asking(server) as client:
        runs = [client.submit(f"{SLOWLY} {number}", agent="echo") for number in range(4)]
        places = {executors(whole_log(client, run))[0] for run in runs}
    assert "local" in places
    assert worker.stop() == 0


def test_a_worker_may_have_another_interpreter(place: Place) -> None:
    other = place.write("other", f'#!/bin/sh\ntouch other-was-used\nexec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    worker = place.begin("worker", "--json", "--python", str(other))
    worker.line()
    assert (place.folder / "other-was-used").exists()
    assert worker.stop() == 0


def test_workers_may_yield_the_cpu_to_others(place: Place) -> None:
    server = place.serve(FOREBAY_WORKER_NICE="7")
    command = ["ps", "-o", "nice=", "-p", str(the_worker(server))]
    until(lambda: subprocess.run(command, capture_output=True, check=True).stdout.strip() == b"7")


def test_a_worker_does_not_leave_behind_what_its_agents_have_started(place: Place) -> None:
    place.write("parent.py", PARENT)
    server = place.serve("parent.py", FOREBAY_SILENT_SECONDS="3", FOREBAY_MAX_ATTEMPTS="1")
    with asking(server) as client:
        run = client.submit("x")
        started = next(entry for entry in client.events(run) if entry.type == "output.chunk")
        assert isinstance(started.event, OutputChunk)
        pid = int(started.event.text)
        os.kill(the_worker(server), signal.SIGSTOP)
        until(lambda: not is_alive(pid))


def test_a_changed_file_changes_the_workers_too(place: Place) -> None:
    path = place.write("mine.py", ONE_AGENT.format(name="first"))
    server = place.serve("mine.py", "--reload")
    with asking(server) as client:
        assert client.wait(client.submit("x", agent="first")).output == "first"
        path.write_text(ONE_AGENT.format(name="second"))
        until(lambda: "second" in [agent.name for agent in client.agents()])
        assert client.wait(client.submit("x", agent="second")).output == "second"
    assert server.process.stop() == 0


def test_readiness_tells_when_no_worker_is_left(place: Place) -> None:
    place.write("fragile.py", FRAGILE)
    server = place.serve("fragile.py")
    broken = place.write("broken", "")
    os.kill(the_worker(server), signal.SIGKILL)
    until(lambda: "No run worker is alive" in str(ready(server)["degraded"]))
    assert ready(server)["ready"] is True
    broken.unlink()
    until(lambda: ready(server)["degraded"] == [])


def ready(server: Server) -> dict[str, object]:
    """What `/ready` says."""
    return httpx2.get(f"{server.url}/ready").json()


# --- how they refuse to begin -------------------------------------------------------------------


def test_in_memory_there_is_one_process_that_does_it_all(place: Place) -> None:
    server = place.serve("--db", "memory:")
    with asking(server) as client:
        assert executors(whole_log(client, client.submit("hello"))) == ["inline"]
    assert server.workers == []
    refused = place.run("serve", "--db", "memory:", "--port", "0", "--workers", "2")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "cannot share a database in memory" in refused.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.py"], "There is no file"),
        (["--db", "memory:"], "cannot share"),
        (["--run-workers", "0"], "at least one"),
        (["--run-workers", "-1"], "at least 0"),
    ],
)
def test_a_worker_that_cannot_begin_is_told_in_one_line(
    place: Place, arguments: list[str], reason: str
) -> None:
    ended = place.run("worker", *arguments)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert reason in ended.err
