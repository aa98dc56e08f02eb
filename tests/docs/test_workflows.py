"""The workflow files of the documentation can be used, and what it says of them is so."""

from pathlib import Path

import pytest

from forebay.builtins import components
from forebay.control.workflow.building import build_workflow
from forebay.control.workflow.front_end import AiqApi, settings_in
from forebay.control.workflow.reading import TEXTS, read_workflow
from forebay.control.workflow.registry import Components
from forebay.control.workflow.structure import SECTIONS
from forebay.core.errors import WorkflowError
from tests.docs.pages import DOCS, Block, every_block, read, section
from tests.support.workflows import Unused

PAGE = DOCS / "workflows.md"
FILES = [block for block in every_block("yaml") if block.page == PAGE]


@pytest.fixture
def registry() -> Components:
    found = Components()
    components.register(found, {"OPENAI_API_KEY": "sk-none"})
    return found


@pytest.mark.parametrize("block", FILES, ids=lambda block: block.name)
def test_a_file_of_the_documentation_can_be_built(
    block: Block, registry: Components, tmp_path: Path
) -> None:
    (tmp_path / "w.yml").write_text(block.text)
    assert build_workflow(read_workflow(tmp_path / "w.yml", {}), registry, Unused()).workflow


def test_the_messages_that_are_shown_are_those_of_the_file(
    registry: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = FILES[0].text.replace("temperature", "temprature").replace("[sums", "[sum")
    Path("workflow.yml").write_text(text)
    with pytest.raises(WorkflowError) as raised:
        build_workflow(read_workflow(Path("workflow.yml"), {}), registry, Unused())
    shown = [line for line in read(PAGE).splitlines() if line.startswith("forebay: ")]
    assert shown == [f"forebay: {line}" for line in raised.value.message.splitlines()]


def test_every_section_suffix_and_key_is_on_the_page() -> None:
    sections = section(PAGE, "What is in a file")
    assert [name for name in SECTIONS if f"`{name}`" not in sections] == []
    assert [suffix for suffix in TEXTS if f"`{suffix}`" not in read(PAGE)] == []
    everything = AiqApi(
        host="x", port=1, workers=1, db_url="x", max_running_async_jobs=1, expiry_seconds=600
    )
    keys = {said.keys[-1] for said in settings_in(everything)}
    table = section(PAGE, "The front end")
    assert [key for key in keys if f"`{key}`" not in table] == []
