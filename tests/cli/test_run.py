"""`forebay run`: a run without a server."""

import json
import os
import pty
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.cli.processes import Place, until

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


def test_a_program_that_runs_the_command_keeps_its_own_threads(place: Place) -> None:
    process = place.begin_with([sys.executable, "-c", INSIDE])
    assert process.ended() == 0
    assert list(process.rest()) == ["hi", "back with 0"]


INSIDE = """
import threading
from forebay.cli.main import main

done = threading.Event()
threading.Thread(target=done.wait).start()
print("back with", main(["run", "echo", "hi"]))
done.set()
"""

BLOCKS = """
import time
from forebay import agent

@agent("blocks")
def blocks(text: str):
    yield "begun\\n"
    time.sleep(60)
"""


# --- runs that ask ------------------------------------------------------------------------------

ASKS = """
import asyncio
from forebay import Option, agent

CITIES = [Option("a", "Rome", "rome"), Option("b", "Oslo", "oslo")]

@agent("asks")
async def asks(ctx, text: str):
    yield "Hello. "
    yield f"You said {await ctx.ask(text, kind='radio', options=CITIES)}."

@agent("twice")
async def twice(ctx, text: str):
    first, second = await asyncio.gather(ctx.ask("First?"), ctx.ask("Second?"))
    return f"{first} and {second}"

@agent("hasty")
async def hasty(ctx, text: str):
    return await ctx.ask(text, timeout_seconds=0.2, default="nothing")
"""


class Terminal:
    """A person's keyboard, and what he is shown."""

    def __init__(self, place: Place, agent: str, text: str) -> None:
        place.write("asks.py", ASKS)
        self._keyboard, screen = pty.openpty()
        self.process = place.begin_at(screen, "run", "--agents", "asks.py", agent, text)
        os.close(screen)

    def shown(self, text: str) -> None:
        """Wait until this was shown."""
        until(lambda: text in self.process.errors())

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def close(self) -> None:
        os.close(self._keyboard)


Begin: TypeAlias = Callable[[str, str], Terminal]


@pytest.fixture
def terminal(place: Place) -> Iterator[Begin]:
    """Runs an agent at a terminal."""
    with ExitStack() as stack:
        yield lambda agent, text: stack.enter_context(closing(Terminal(place, agent, text)))


@pytest.mark.parametrize(("typed", "said"), [("2", "oslo"), ("Rome", "rome"), ("b", "oslo")])
def test_who_sits_at_a_terminal_is_asked(terminal: Begin, typed: str, said: str) -> None:
    person = terminal("asks", "Which city?")
    person.shown("Which city?\n  1  Rome\n  2  Oslo\n> ")
    person.type(f"{typed}\n")
    assert person.process.ended() == 0
    assert "".join(person.process.rest()) == f"Hello. You said {said}."


def test_a_wrong_answer_is_asked_for_again(terminal: Begin) -> None:
    person = terminal("asks", "Which city?")
    person.shown("> ")
    person.type("Paris\n")
    person.shown("takes one of its options")
    person.type("Oslo\n")
    assert person.process.ended() == 0
    assert person.process.errors().count("Which city?") == 2


def test_questions_are_asked_one_after_the_other(terminal: Begin) -> None:
    person = terminal("twice", "x")
    person.shown("First?\n> ")
    assert "Second?" not in person.process.errors()
    person.type("one\n")
    person.shown("Second?\n> ")
    person.type("two\n")
    assert person.process.ended() == 0
    assert person.process.rest() == ["one and two"]


def test_a_person_who_says_nothing_in_time_is_not_waited_for(terminal: Begin) -> None:
    person = terminal("hasty", "Well?")
    assert person.process.ended() == 0
    assert person.process.rest() == ["nothing"]


@pytest.mark.parametrize("key", ["\x04", "\x03"], ids=["ctrl-d", "ctrl-c"])
def test_a_person_who_does_not_want_to_answer_cancels_the_run(terminal: Begin, key: str) -> None:
    person = terminal("asks", "Which city?")
    person.shown("> ")
    if key == "\x03":  # the terminal is not the one that controls the process
        person.process.send(signal.SIGINT)
    person.type(key)
    assert person.process.ended() == 1
    assert "cancelled" in person.process.errors()


def test_where_nobody_sits_a_run_that_asks_is_left_to_a_server(place: Place) -> None:
    place.write("asks.py", ASKS)
    ended = place.run("run", "--agents", "asks.py", "asks", "Which city?", input="")
    assert (ended.code, ended.out) == (1, "Hello. \n")
    line = re.search(r"Which city\? \(forebay (runs answer .+) ANSWER\)\n$", ended.err)
    assert line
    server = place.serve("asks.py")
    answer = [*line[1].split(), "Rome", "--server", server.url]
    assert place.run(*answer).code == 0
    followed = place.run("runs", "follow", answer[2], "--server", server.url)
    assert followed.code == 0
    shown = place.run("runs", "show", answer[2], "--server", server.url)
    assert shown.out.endswith("\n\nHello. You said rome.\n")


def test_with_json_nobody_is_asked(place: Place) -> None:
    place.write("asks.py", ASKS)
    ended = place.run("run", "--json", "--agents", "asks.py", "asks", "Which?", input="")
    assert ended.code == 1
    assert (ended.json()["status"], ended.json()["output"]) == ("waiting", "Hello. ")
    assert json.loads(ended.err)["error"]["code"] == "waiting"


# --- runs that cannot begin ---------------------------------------------------------------------


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
