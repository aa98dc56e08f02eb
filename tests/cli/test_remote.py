"""The commands that ask a server."""

import json
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from forebay.cli.main import main
from forebay.client import Client, Run
from forebay.core.json import Json
from tests.cli.processes import FOREBAY, PATIENCE_SECONDS, Ended, Place, Server, until

pytestmark = pytest.mark.system

AGENTS = Path(__file__).parents[2] / "examples" / "agents.py"

ASKING = """
import asyncio
from forebay import Option, agent

CITIES = [Option("a", "Rome", "rome", "In Italy"), Option("b", "Oslo", "oslo")]

@agent("asks")
async def asks(ctx, kind: str):
    options = [] if kind == "text" else CITIES
    return await ctx.ask("Which city?", kind=kind, options=options, timeout_seconds=3600)

@agent("asks both")
async def both(ctx, text: str):
    return await asyncio.gather(ctx.ask("first?"), ctx.ask("second?"))
"""

Asked: TypeAlias = Callable[..., Ended]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here."""
    place = Place(tmp_path_factory.mktemp("server"))
    place.write("asking.py", ASKING)
    yield place.serve(str(AGENTS), "asking.py", "--default-agent", "shout")
    place.close()


@pytest.fixture
def asked(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Asked:
    """Run a command that asks this server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_SERVER", server.url)

    def ask(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return ask


def test_agents_are_listed(asked: Asked) -> None:
    assert [agent["name"] for agent in asked("agents", "--json").json()] == [
        "asks",
        "asks both",
        "average",
        "count",
        "echo",
        "extractive",
        "shout",
    ]
    lines = asked("agents").out.splitlines()
    assert any(line.split()[:2] == ["shout", "default"] for line in lines)


def test_runs_are_listed_page_by_page(asked: Asked, server: Server) -> None:
    with Client(server.url) as client:
        made = [client.run("a", agent="echo", session="mine").id for _ in range(3)]
    first = asked("runs", "list", "--session", "mine", "--limit", "2", "--json").json()
    assert [run["id"] for run in first["runs"]] == [made[2], made[1]]
    second = asked("runs", "list", "--session", "mine", "--limit", "2",
                   "--cursor", first["next_cursor"], "--json").json()  # fmt: skip
    assert [run["id"] for run in second["runs"]] == [made[0]]
    text = asked("runs", "list", "--status", "success", "--agent", "echo").out
    assert text.split()[:5] == ["RUN", "AGENT", "STATUS", "EVENTS", "CREATED"]
    assert made[0] in text


def test_a_run_is_shown_with_its_answer(asked: Asked, server: Server) -> None:
    with Client(server.url) as client:
        good = client.run("hello there")
        bad = client.run("x fail=boom", agent="echo")
        value = client.run({"numbers": [1, 2]}, agent="average")
    assert asked("runs", "show", good.id).out.endswith("\n\nHELLO THERE \n")
    assert asked("runs", "show", good.id, "--json").json()["output"] == "HELLO THERE "
    shown = asked("runs", "show", bad.id).out
    assert "failure (agent_error)" in shown
    assert "boom" in shown
    assert '"average": 1.5' in asked("runs", "show", value.id).out


def test_a_run_is_cancelled(asked: Asked, server: Server) -> None:
    with Client(server.url) as client:
        run = client.submit("x sleep=60000", agent="echo")
    assert asked("runs", "cancel", run.id).out == f"{run.id} interrupted (cancelled)\n"
    again = asked("runs", "cancel", run.id)
    assert (again.code, again.err) == (2, "forebay: The run is finished.\n")


def waiting(server: Server, agent: str, value: str) -> Run:
    """A run that waits for an answer."""
    with Client(server.url) as client:
        run = client.submit(value, agent=agent)
        until(lambda: client.get(run).status == "waiting")
        return client.get(run)


def test_a_run_that_asks_is_shown_with_the_line_that_answers_it(
    asked: Asked, server: Server
) -> None:
    run = waiting(server, "asks", "radio")
    (question,) = run.questions
    shown = asked("runs", "show", run.id).out
    assert "status   waiting\n" in shown
    head, *lines = shown.partition("It asks (until ")[2].splitlines()
    assert head.endswith("): Which city?")
    assert lines == [
        "  1  Rome  In Italy",
        "  2  Oslo",
        f"  forebay runs answer {run.id} {question.id} ANSWER",
    ]
    elsewhere = asked("runs", "show", run.id, "--server", server.url).out
    assert elsewhere.endswith(f" ANSWER --server {server.url}\n")
    (told,) = asked("runs", "show", run.id, "--json").json()["questions"]
    assert (told["id"], told["options"][0]["value"]) == (question.id, "rome")


@pytest.mark.parametrize(
    ("kind", "typed", "output"),
    [
        ("text", "1", "1"),
        ("radio", "1", "rome"),
        ("dropdown", "oslo", "oslo"),
        ("binary_choice", "Rome", "rome"),
        ("checkbox", "b, a", ["oslo", "rome"]),
        ("checkbox", '["a"]', ["rome"]),
    ],
)
def test_a_run_is_answered(
    asked: Asked, server: Server, kind: str, typed: str, output: Json
) -> None:
    run = waiting(server, "asks", kind)
    told = asked("runs", "answer", run.id, typed)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"{run.id} ")
    with Client(server.url) as client:
        assert client.wait(run).output == output


def test_of_several_questions_one_has_to_be_named(asked: Asked, server: Server) -> None:
    run = waiting(server, "asks both", "x")
    first, second = run.questions
    unnamed = asked("runs", "answer", run.id, "one")
    assert unnamed.code == 2
    assert f"name one of {first.id}, {second.id}" in unnamed.err
    assert asked("runs", "answer", run.id, second.id, "two", "--json").code == 0
    assert asked("runs", "answer", run.id, first.id, "one").code == 0
    with Client(server.url) as client:
        assert client.wait(run).output == ["one", "two"]


def test_an_answer_that_is_none_is_wrong_usage(asked: Asked, server: Server) -> None:
    run = waiting(server, "asks", "radio")
    wrong = asked("runs", "answer", run.id, "Paris", "--json")
    assert wrong.code == 2
    assert json.loads(wrong.err)["error"]["code"] == "invalid_answer"
    assert asked("runs", "answer", run.id, "Oslo").code == 0
    late = asked("runs", "answer", run.id, run.questions[0].id, "rome")
    assert (late.code, late.err.count("\n")) == (2, 1)
    with Client(server.url) as client:
        client.wait(run)
    nothing = asked("runs", "answer", run.id, "rome")
    assert (nothing.code, nothing.err) == (2, "forebay: The run has no open question.\n")


def test_a_run_that_does_not_exist_is_wrong_usage(asked: Asked) -> None:
    ended = asked("runs", "show", "nonsense", "--json")
    assert ended.code == 2
    assert json.loads(ended.err)["error"]["code"] == "run_not_found"


def test_a_token_that_is_not_accepted_is_denied(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_TOKEN", "eyJhbGciOiJub25lIn0.e30.x")
    for command in (["agents"], ["runs", "list"], ["runs", "follow", "0" * 32]):
        ended = asked(*command)
        assert ended.code == 4
        assert ended.err.count("\n") == 1


def test_a_followed_run_is_told_line_by_line(asked: Asked, server: Server) -> None:
    with Client(server.url) as client:
        run = client.run("a b", agent="echo")
    told = asked("runs", "follow", run.id)
    assert told.code == 0
    lines = told.out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert lines[2].split()[3:] == ["output.chunk", 'text="a"']
    assert told.err.endswith(" s, 5 events\n")
    assert told.err.startswith("success after ")
    rest = asked("runs", "follow", run.id, "--after", "4", "--json").out.splitlines()
    assert [json.loads(line)["type"] for line in rest] == ["run.succeeded"]


def test_following_a_run_that_fails_fails(asked: Asked, server: Server) -> None:
    with Client(server.url) as client:
        run = client.run("x fail=boom", agent="echo")
    told = asked("runs", "follow", run.id)
    assert told.code == 1
    assert told.err.startswith("failure (agent_error) after ")


def test_ctrl_c_leaves_quietly(place: Place, server: Server) -> None:
    with Client(server.url) as client:
        run = client.submit("x sleep=60000", agent="echo")
        following = place.begin("runs", "follow", run.id, "--server", server.url)
        following.line()
        following.send(signal.SIGINT)
        assert following.ended() == 130
        assert following.errors() == ""
        assert client.get(run).status == "running"
        client.cancel(run)


def test_following_goes_on_when_the_server_comes_back(place: Place) -> None:
    server = place.serve(FOREBAY_DRAIN_SECONDS="0")
    with Client(server.url) as client:
        run = client.submit("a b chunks=50 delay=20")
    following = place.begin("runs", "follow", run.id, "--server", server.url, "--json")
    numbers = [json.loads(following.line())["number"] for _ in range(4)]
    server.process.stop()
    place.serve(port=server.port)
    assert following.ended() == 0
    numbers += [json.loads(line)["number"] for line in following.rest()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert following.errors().startswith("success after ")


def test_a_reader_that_leaves_is_no_error(server: Server) -> None:
    with Client(server.url) as client:
        run = client.run("chunks=20000 x", agent="echo")
    command = shlex.join([*FOREBAY, "runs", "follow", run.id, "--server", server.url])
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert done.stdout.split()[0] == "1"
    assert done.stderr == ""
