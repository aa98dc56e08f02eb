"""Types of components, and the plugins that bring them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pydantic
import pytest

from forebay.control.sources import code_of, import_modules
from forebay.control.workflow.registry import Components, add_plugins
from forebay.core.errors import AgentLoadError, WorkflowError
from forebay.ports.components import Parts
from tests.support.models import LengthEmbedder, PlayedModel


class Nothing(pydantic.BaseModel):
    pass


def make_model(name: str, config: Nothing, parts: Parts) -> PlayedModel:
    return PlayedModel(name, [])


def make_embedder(name: str, config: Nothing, parts: Parts) -> LengthEmbedder:
    return LengthEmbedder(name)


def test_a_type_is_known_in_its_section_only() -> None:
    components = Components()
    components.add_model("openai", Nothing, make_model)
    components.add_embedder("other", Nothing, make_embedder)
    assert components.knows("llms", "openai")
    assert not components.knows("embedders", "openai")
    assert not components.knows("retrievers", "openai")
    assert (components.types("llms"), components.types("memory")) == (["openai"], [])


def test_a_type_may_be_of_two_sections_but_not_twice_of_one() -> None:
    components = Components()
    components.add_model("openai", Nothing, make_model)
    components.add_embedder("openai", Nothing, make_embedder)
    with pytest.raises(WorkflowError, match=r"Two components bring the type 'openai' of `llms`\."):
        components.add_model("openai", Nothing, make_model)


# --- plugins ------------------------------------------------------------------------------------

PLUGIN = """
import pydantic

class Nothing(pydantic.BaseModel):
    pass

def register(registry):
    registry.add_group("mine", Nothing, lambda name, config, parts: None)

def fails(registry):
    raise ValueError("it is broken")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are installed in, with one package."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    (tmp_path / "plugged_in.py").write_text(PLUGIN)
    (tmp_path / "plugged_in-1.0.dist-info").mkdir()
    (tmp_path / "plugged_in-1.0.dist-info" / "METADATA").write_text("Name: plugged-in\n")
    yield tmp_path


def plug_in(installed: Path, value: str) -> None:
    """Let the package name this as its plugin."""
    entry = f"[forebay]\nmine = {value}\n"
    (installed / "plugged_in-1.0.dist-info" / "entry_points.txt").write_text(entry)


def test_a_plugin_adds_its_types(installed: Path) -> None:
    plug_in(installed, "plugged_in:register")
    components = Components()
    add_plugins(components)
    assert components.knows("function_groups", "mine")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("plugged_in:fails", "ValueError: it is broken"),
        ("plugged_in:missing", "AttributeError"),
        ("plugged_out:register", "ModuleNotFoundError: No module named 'plugged_out'"),
    ],
)
def test_a_plugin_that_fails_is_named(installed: Path, value: str, told: str) -> None:
    plug_in(installed, value)
    with pytest.raises(WorkflowError) as raised:
        add_plugins(Components())
    assert raised.value.message.startswith(f"The plugin mine ({value}, of plugged-in) fails: ")
    assert told in raised.value.message


# --- modules that register something ------------------------------------------------------------


def test_modules_are_imported_for_what_they_do(installed: Path) -> None:
    mark = "from pathlib import Path\nPath(__file__).with_suffix('.done').touch()\n"
    (installed / "imported_one.py").write_text(mark)
    (installed / "imported_two.py").write_text(mark)
    import_modules(["imported_one", str(installed / "imported_two.py")])
    assert (installed / "imported_one.done").exists()
    assert (installed / "imported_two.done").exists()


def test_a_module_that_fails_is_named(installed: Path) -> None:
    (installed / "imported_bad.py").write_text("raise ValueError('it is broken')")
    with pytest.raises(AgentLoadError, match=r"imported_bad cannot be imported: ValueError: it is"):
        import_modules(["imported_bad"])


def test_files_are_code_too(installed: Path) -> None:
    file = installed / "w.yml"
    file.write_text("a: 1")
    before = code_of([], [file])
    assert before == code_of([], [file]) != ""
    file.write_text("a: 2")
    assert code_of([], [file]) != before
    assert code_of([]) == ""
