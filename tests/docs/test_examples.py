"""The examples of the documentation do what the page says."""

import asyncio
import contextlib
import io
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from forebay.cli.parser import build_parser
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks, curls, every_block, prose, read
from tests.support.listening import listening
from tests.support.server import Server, serving
from tests.support.waiting import settle

EXAMPLES = every_block("python")
SHELL = every_block("sh")
JSON = every_block("json")

AGENT_EXAMPLES = [block for block in EXAMPLES if block.kind == "example"]
CLIENT_EXAMPLES = [block for block in EXAMPLES if block.kind == "client"]
COMMANDS = [
    *(
        (block.name, line)
        for block in SHELL
        for line in block.text.splitlines()
        if line.startswith("forebay ") and block.page.name != "cli.md"  # it is made of the parser
    ),
    *(
        (page.name, command)
        for page in PAGES
        if page.name != "cli.md"
        for command in re.findall(r"`(forebay [a-z][^`]*)`", prose(page))
        if command not in ("forebay runs", "forebay run")
    ),
]
CURLS = [(block, command) for block in SHELL for command in curls(block)]


def test_every_python_example_says_what_it_does() -> None:
    assert len(AGENT_EXAMPLES) >= 6
    assert not [block.name for block in EXAMPLES if block.kind is None]


@pytest.mark.parametrize("block", AGENT_EXAMPLES, ids=lambda block: block.name)
async def test_an_agent_of_the_documentation_answers_as_told(block: Block, tmp_path: Path) -> None:
    async with serving(*things_in(block), **models_of(block, tmp_path)) as server:
        body = {name: block.told[name] for name in ("agent", "input") if name in block.told}
        run = (await server.client.post("/api/runs", body)).json()
        for answer in block.told.get("answers", ()):
            (question,) = run["questions"]
            path = f"/api/runs/{run['id']}/answers/{question['id']}"
            assert (await server.client.post(path, {"answer": answer})).status == 200
            run = await waiting_or_ended(server, run["id"])
        assert run["status"] == "success", run
        assert run["output"] == block.told["output"], run["error"]
        if "types" in block.told:
            told = await server.entries(run["id"])
            assert [entry["type"] for entry in told] == block.told["types"]


def models_of(block: Block, folder: Path) -> dict[str, Any]:
    """The settings with which a server has the scripted models that an example is told of."""
    if "models" not in block.told:
        return {}
    scripts = block.told["models"].items()
    llms = {name: {"_type": "scripted", "script": script} for name, script in scripts}
    path = folder / "models.json"
    path.write_text(json.dumps({"llms": llms}))  # which is YAML too
    return {"config_file": str(path)}


@pytest.mark.parametrize("block", CLIENT_EXAMPLES, ids=lambda block: block.name)
async def test_a_client_of_the_documentation_prints_what_is_told(block: Block) -> None:
    example, *_ = [each for each in blocks(DOCS / "tutorial.md") if each.kind == "example"]
    async with listening(*things_in(example)) as url:
        code = block.text.replace("http://127.0.0.1:8000", url)
        assert code != block.text
        printed = await asyncio.to_thread(_printed_by, code, block.name)
    assert printed == block.told["prints"]


@pytest.mark.parametrize(("block", "command"), CURLS, ids=[block.name for block, _ in CURLS])
async def test_a_curl_of_the_documentation_asks_for_what_there_is(
    block: Block, command: str
) -> None:
    words = shlex.split(command.replace("\\\n", " ").partition(" | ")[0].partition(" #")[0])
    url = next(word for word in words if word.startswith("http"))
    body = words[words.index("-d") + 1] if "-d" in words else None
    async with serving() as server:
        path = re.sub(r"\$RUN", "01a1f962-e390-70ec-964d-f4a9c47afbd7", urlsplit(url).path)
        route, _ = server.app.router.find("GET" if body is None else "POST", path)
    if body is not None:
        assert "content-type: application/json" in command
        assert route.body is not None
        route.body.model_validate_json(body)


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.name)
def test_json_in_the_documentation_is_json(block: Block) -> None:
    json.loads(block.text)


def test_what_is_shown_of_a_run_is_what_a_run_has() -> None:
    (shown,) = [
        json.loads(block.text)
        for block in JSON
        if block.page.name == "native.md" and '"created_at"' in block.text
    ]
    assert set(shown) == {
        "id", "agent", "status", "reason", "durable", "events", "attempt", "session", "metadata",
        "created_at", "started_at", "finished_at", "expires_at", "output", "error", "usage",
        "questions", "position", "cost_usd",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_what_is_shown_of_the_server_has_its_fields(path: str) -> None:
    async with serving() as server:
        told: dict[str, Any] = (await server.client.get(path)).json()
    page = [json.loads(block.text) for block in JSON if block.page.name == "operations.md"]
    assert any(set(shown) == set(told) for shown in page)


async def test_what_is_shown_of_a_log_line_is_what_one_has() -> None:
    async with serving() as server:
        await server.run("hello")
    line = json.loads(server.log.getvalue().splitlines()[0])
    shown = [json.loads(block.text) for block in JSON if block.page.name == "operations.md"]
    assert any(list(each) == list(line) for each in shown)


@pytest.mark.parametrize(("where", "command"), COMMANDS, ids=[where for where, _ in COMMANDS])
def test_a_command_of_the_documentation_is_one(where: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    assert words[0] == "forebay"
    try:
        build_parser().parse_args(words[1:])
    except SystemExit as exit:
        raise AssertionError(f"{where}: {command}") from exit


def test_what_is_made_in_the_documentation_can_be_made() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {name for page in PAGES for name in re.findall(r"(?:^|`)make (\w+)", read(page), re.M)}
    assert told
    assert told <= targets


async def waiting_or_ended(server: Server, run: str) -> dict[str, Any]:
    """A run, as soon as it asks something or has ended."""
    while True:
        shown = await server.show(run)
        if shown["questions"] or shown["finished_at"]:
            return shown
        await settle()


def things_in(block: Block) -> list[object]:
    """What a module with this code defines."""
    module = ModuleType("example")
    exec(compile(block.text, block.name, "exec"), module.__dict__)
    return list(vars(module).values())


def _printed_by(code: str, name: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    return printed.getvalue()
