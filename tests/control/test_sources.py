"""Agent sources: files, modules, and one agent of them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from forebay.control.sources import load, load_source
from forebay.core.errors import AgentLoadError

TWO = """
from forebay import agent
import forebay

@agent("shout", description="Repeats you, louder")
async def shout(ctx, text: str):
    for word in text.split():
        yield word.upper() + " "

@forebay.agent()
class quiet:
    "Says little."
    def run(self, text: str):
        return text.lower()

alias = shout
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path, modules = [*sys.path], {*sys.modules}
    yield tmp_path
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        del sys.modules[name]


def write(folder: Path, text: str, name: str = "") -> str:
    name = name or f"source_{uuid4().hex}"
    path = folder / f"{name.replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def names(source: str) -> list[str]:
    return sorted(agent.name for agent in load_source(source))


def test_a_file_is_loaded_once_for_each_of_its_agents(folder: Path):
    name = write(folder, TWO)
    assert names(f"{name}.py") == ["quiet", "shout"]
    assert names(str(folder / f"{name}.py")) == ["quiet", "shout"]


def test_a_module_is_found_in_the_current_folder(folder: Path):
    name = write(folder, TWO)
    assert names(name) == ["quiet", "shout"]


def test_a_module_of_a_package_is_found(folder: Path):
    package = f"package_{uuid4().hex}"
    write(folder, "", f"{package}.__init__")
    write(folder, TWO, f"{package}.agents")
    assert names(f"{package}.agents") == ["quiet", "shout"]


@pytest.mark.parametrize(
    ("wanted", "name"), [("shout", "shout"), ("quiet", "quiet"), ("alias", "shout")]
)
def test_one_agent_of_a_source_can_be_named(folder: Path, wanted: str, name: str):
    source = write(folder, TWO)
    assert names(f"{source}:{wanted}") == [name]
    assert names(f"{source}.py:{wanted}") == [name]


def test_a_file_may_import_its_neighbours(folder: Path):
    neighbour = write(folder, "LOUD = True")
    name = write(folder / "deep", f"from neighbour_{neighbour} import LOUD\n" + TWO)
    (folder / "deep" / f"neighbour_{neighbour}.py").write_text("LOUD = True")
    assert names(str(folder / "deep" / f"{name}.py")) == ["quiet", "shout"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_file.py", "There is no file"),
        ("no_such_module", "cannot be imported"),
        ("no.such.module", "cannot be imported"),
    ],
)
def test_a_source_that_is_not_there_is_refused(folder: Path, source: str, message: str):
    with pytest.raises(AgentLoadError, match=message):
        load_source(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "defines no agent"),
        ("def shout(ctx, text): pass", "defines no agent"),
        ("import no_such_module", "cannot be imported"),
        ("def broken(:", "cannot be imported"),
        ("1 / 0", "cannot be imported"),
        ("raise RuntimeError('at import')", "cannot be imported"),
        ("open('/no/such/file')", "cannot be imported"),
    ],
)
@pytest.mark.parametrize("form", ["{}.py", "{}"])
def test_a_source_that_cannot_be_loaded_is_refused(
    folder: Path, text: str, message: str, form: str
):
    name = write(folder, text)
    with pytest.raises(AgentLoadError, match=message):
        load_source(form.format(name))


def test_an_agent_that_a_source_does_not_have_is_refused(folder: Path):
    name = write(folder, TWO)
    with pytest.raises(AgentLoadError, match="It has: quiet, shout"):
        load_source(f"{name}:whisper")


def test_what_the_decorator_refuses_keeps_its_own_message(folder: Path):
    name = write(folder, "import forebay\n@forebay.agent('x')\nclass X: pass\n")
    with pytest.raises(AgentLoadError, match="needs a `run` method"):
        load_source(f"{name}.py")


# --- tools --------------------------------------------------------------------------------------

WITH_TOOLS = """
import forebay
from forebay.authoring import make_tool

@forebay.agent()
async def ask(ctx, text: str):
    return text

@forebay.agent()
async def other(ctx, text: str):
    return text

@forebay.tool
def weather(city: str) -> str:
    "Tells the weather."
    return city

shout = make_tool(lambda text: text, "shout")
again = weather
"""


def test_the_tools_of_a_source_come_with_its_agents(folder: Path):
    loaded = load(f"{write(folder, WITH_TOOLS)}.py")
    assert sorted(agent.name for agent in loaded.agents) == ["ask", "other"]
    assert sorted(tool.name for tool in loaded.tools) == ["shout", "weather"]


def test_one_agent_of_a_source_has_all_its_tools(folder: Path):
    loaded = load(f"{write(folder, WITH_TOOLS)}:ask")
    assert [agent.name for agent in loaded.agents] == ["ask"]
    assert sorted(tool.name for tool in loaded.tools) == ["shout", "weather"]


def test_a_source_may_be_one_tool(folder: Path):
    loaded = load(f"{write(folder, WITH_TOOLS)}:weather")
    assert loaded.agents == ()
    assert [tool.description for tool in loaded.tools] == ["Tells the weather."]


def test_a_source_of_tools_alone_is_no_source_of_agents(folder: Path):
    source = write(folder, "import forebay\n@forebay.tool\ndef weather(city: str): ...\n")
    assert [tool.name for tool in load(source).tools] == ["weather"]
    with pytest.raises(AgentLoadError, match="defines no agent"):
        load_source(source)


def test_a_tool_that_cannot_be_made_says_where_it_is(folder: Path):
    source = write(folder, "import forebay\n@forebay.tool\ndef weather(*cities): ...\n")
    with pytest.raises(AgentLoadError, match=r"cannot be imported: Tool 'weather': \*cities"):
        load(source)
