"""What `--reload` looks at."""

from pathlib import Path

import pytest

from forebay.cli.reload import Watched, folders_of, snapshot, watched_of
from forebay.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a server is started in."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "package/part.py", "package/inner/deep.py", ".venv/x.py",
                 "package/__pycache__/y.py", "notes.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("mine.py", "."),
        ("mine.py:shout", "."),
        ("mine", "."),
        ("package", "package"),
        ("package.part", "package"),
        ("package.part:shout", "package"),
        ("package.inner.deep", "package/inner"),
    ],
)
def test_a_source_is_found_without_importing_it(folder: Path, source: str, where: str) -> None:
    assert folders_of([source, source]) == [(folder / where).resolve()]


def test_a_source_that_is_nowhere_has_no_folder(folder: Path) -> None:
    del folder
    assert folders_of(["no.such.module"]) == []


def test_python_files_are_looked_at_and_those_of_others_are_not(folder: Path) -> None:
    seen = {Path(path).relative_to(folder).as_posix() for path in snapshot([Watched(folder)])}
    assert seen == {"mine.py", "package/part.py", "package/inner/deep.py"}


def test_a_folder_that_has_gone_holds_nothing(folder: Path) -> None:
    assert snapshot([Watched(folder / "gone")]) == {}


def test_a_workflow_file_is_looked_at_with_all_that_it_takes_in(folder: Path) -> None:
    (folder / "w.yml").write_text("base: more/base.yaml\nworkflow: {prompt: file://p.md}")
    (folder / "more").mkdir()
    (folder / "more" / "base.yaml").write_text("general: {}")
    (folder / "p.md").write_text("x")
    watched = watched_of(Settings(config_file="w.yml", imports=("package.part",)))
    seen = {Path(path).relative_to(folder).as_posix() for path in snapshot(watched)}
    assert seen == {"w.yml", "p.md", "more/base.yaml", "package/part.py", "package/inner/deep.py"}
