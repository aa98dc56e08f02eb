"""What is imported: of what is heavy or optional, nothing before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE_SECONDS

_NEVER = ("nat", "openai", "litellm", "langchain", "langchain_core", "langgraph", "tiktoken",
          "distributed", "dask", "numpy", "pandas", "aiohttp", "requests")  # fmt: skip
_HTTP = ("httpx2", "httpcore2", "httpx", "httpcore")
_MCP = ("mcp", "mcp_types")
_FILES = ("yaml",)
_PAGES = ("selectolax",)
_EVERYTHING = (*_NEVER, *_HTTP, *_MCP, *_FILES, *_PAGES)

_AGENT = """
from forebay import Context, act, agent, tool
@tool()
def add(a: int, b: int) -> int:
    return a + b
@agent("plain")
async def plain(ctx: Context, text: str):
    return f"{text} {await ctx.use('add', {'a': 1, 'b': 2})}"
"""

_SERVE = """
import asyncio, json, sys
from forebay.app.application import Application
from forebay.settings import Settings
from tests.support.asgi import client_of
async def main():
    app = Application(Settings(db_url="memory:", **json.loads(sys.argv[1])))
    app.start()
    await app.usable.wait()
    async with client_of(app.edge) as client:
        for text in sys.argv[2:]:
            done = await client.post("/api/runs", {"input": text})
            assert done.json()["status"] == "success", done.text
            print(done.json()["output"], file=sys.stderr)
        assert (await client.get("/ready")).json()["degraded"] == []
        await client.get("/openapi.json")
    await app.aclose()
asyncio.run(main())
"""

_SCRIPTED = """
llms: {main: {_type: scripted, repeat: true, script: [{call: {sums: {expression: 2 + 2}}}, Four.]}}
functions:
  sums: {_type: calculator}
  clock: {_type: current_datetime}
workflow: {_type: tool_calling_agent, llm_name: main, tool_names: [sums, clock]}
"""

_OTHERS = """
llms:
  main: {_type: scripted}
  openai: {_type: openai, model_name: m, api_key: x, base_url: "http://127.0.0.1:9/v1"}
  claude: {_type: anthropic, model_name: m}
functions:
  search: {_type: web_search}
  page: {_type: fetch_page}
workflow: {_type: chat_completion, llm_name: main}
"""

_GROUP = """
function_groups:
  files: {_type: mcp_client, server: {transport: stdio, command: nothing}}
"""


def imported(code: str, folder: Path, *arguments: str) -> set[str]:
    """The packages that an interpreter has imported after this code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    return {part for name in found for part in (name, name.partition(".")[0])}


@pytest.mark.parametrize(
    "code",
    [
        "import forebay",
        f"import forebay\n{_AGENT}",
        "import forebay.app.application",
        "import forebay.cli.serve, forebay.cli.server, forebay.cli.worker, forebay.cli.working",
        "import forebay.app.worker",
        "import forebay.settings",
    ],
)
def test_nothing_heavy_is_imported_by(code: str, tmp_path: Path) -> None:
    found = imported(code, tmp_path)
    assert "forebay" in found
    assert found.isdisjoint(_EVERYTHING), found & set(_EVERYTHING)


def test_the_front_door_imports_no_server(tmp_path: Path) -> None:
    found = imported("import forebay", tmp_path)
    below = ("app", "builtins", "control", "desk", "dialects", "http", "runs", "storage", "cli")
    assert found.isdisjoint({f"forebay.{name}" for name in below})


def test_a_server_of_plain_agents_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(_AGENT)
    found = imported(_SERVE, tmp_path, '{"agents": ["mine.py"]}', "hello", "again")
    assert "forebay.app.application" in found
    assert found.isdisjoint(_EVERYTHING), found & set(_EVERYTHING)


def test_a_workflow_with_a_scripted_model_speaks_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(_SCRIPTED)
    found = imported(_SERVE, tmp_path, '{"config_file": "w.yml"}', "what is it", "again")
    others = {*_NEVER, *_HTTP, *_MCP, *_PAGES}
    assert "forebay.control.workflow.building" in found
    assert found.isdisjoint(others), found & others


def test_models_and_tools_that_nobody_uses_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(_OTHERS)
    build = (
        "from forebay.app.application import Application\n"
        "from forebay.settings import Settings\n"
        "app = Application(Settings(db_url='memory:', config_file='w.yml'))\n"
        "assert app.described is not None"
    )
    found = imported(build, tmp_path)
    others = {*_NEVER, *_HTTP, *_MCP, *_PAGES}
    assert found.isdisjoint(others), found & others


def test_the_group_of_an_mcp_server_imports_nothing_before_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(_SCRIPTED + _GROUP)
    found = imported(_SERVE, tmp_path, '{"config_file": "w.yml"}', "what is it")
    assert "forebay.builtins.tools.mcp.group" in found
    assert found.isdisjoint({*_NEVER, *_MCP}), found & {*_NEVER, *_MCP}
