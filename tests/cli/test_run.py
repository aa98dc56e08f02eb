"""`forebay run`: a run without a server."""

import signal
from pathlib import Path

import pytest

from tests.cli.processes import Place

pytestmark = pytest.mark.system

AGENTS = str(Path(__file__).parents[2] / "examples" / "agents.py")


def test_the_answer_is_printed_as_it_is(place: Place) -> None:
    ended = place.run("run", "echo", "keeps  its   spaces ")
    assert (ended.code, ended.out, ended.err) == (0, "keeps  its   spaces \n", "")


def test_the_answer_is_streamed(place: Place) -> None:
    place.write("slow.py", SLOW)
    process = place.begin("run", "--agents", "slow.py", "slow", "go")
    assert process.line() == "first"
    assert process.is_running
    (place.folder / "go on").touch()
    assert process.ended() == 0
    assert process.rest() == ["second"]


SLOW = """
import asyncio
from pathlib import Path
from forebay import agent

@agent("slow")
async def slow(text: str):
    yield "first\\n"
    while not Path("go on").exists():
        await asyncio.sleep(0.01)
    yield "second"
"""


def test_an_agent_that_takes_an_object_reads_json(place: Place) -> None:
    ended = place.run("run", "--agents", AGENTS, "average", '{"numbers": [1, 2]}')
    assert (ended.code, ended.out) == (0, '{"average": 1.5}\n')


def test_input_may_come_from_standard_input(place: Place) -> None:
    ended = place.run("run", "--agents", AGENTS, "count", "-", input="three short words")
    assert (ended.code, ended.out) == (0, "3 words\n")


def test_a_run_that_fails_is_told_in_one_line(place: Place) -> None:
    ended = place.run("run", "echo", "hi fail=boom")
    assert (ended.code, ended.out) == (1, "hi\n")
    assert ended.err == "forebay: the run did not succeed: boom (agent_error)\n"


def test_with_dev_a_failure_brings_its_traceback(place: Place) -> None:
    ended = place.run("run", "--dev", "echo", "hi fail=boom")
    assert ended.err.startswith("Traceback ")
    assert ended.err.endswith("forebay: the run did not succeed: boom (agent_error)\n")


def test_with_json_the_whole_run_is_printed_and_stays_in_the_database(place: Place) -> None:
    run = place.run("run", "--json", "echo", "hi").json()
    assert (run["status"], run["output"], run["durable"]) == ("success", "hi", True)
    server = place.serve()
    shown = place.run("runs", "show", run["id"], "--json", "--server", server.url).json()
    assert shown["output"] == "hi"


def test_ctrl_c_cancels_the_run(place: Place) -> None:
    process = place.begin("run", "echo", "one\ntwo chunks=1000 delay=100")
    assert process.line() == "one"
    process.send(signal.SIGINT)
    assert process.ended() == 1
    assert "cancelled" in process.errors()


def test_an_agent_that_blocks_in_a_thread_can_be_left(place: Place) -> None:
    place.write("blocks.py", BLOCKS)
    process = place.begin("run", "--agents", "blocks.py", "blocks", "x")
    assert process.line() == "begun"
    process.send(signal.SIGTERM)
    assert process.ended() == 1


BLOCKS = """
import time
from forebay import agent

@agent("blocks")
def blocks(text: str):
    yield "begun\\n"
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["nobody", "hi"], 2, "nobody"),
        (["echo", "hi", "--agents", "nowhere.py"], 2, "nowhere.py"),
        (["average", "no numbers", "--agents", AGENTS], 2, "average"),
        (["echo", "hi", "--db", "."], 2, "folder"),
        (["echo", "hi", "--db", "postgresql://127.0.0.1:1/x"], 3, "cannot be reached"),
    ],
)
def test_a_run_that_cannot_begin_is_told_in_one_line(
    place: Place, arguments: list[str], code: int, word: str
) -> None:
    ended = place.run("run", *arguments)
    assert (ended.code, ended.err.count("\n")) == (code, 1)
    assert word in ended.err
