"""Links lead somewhere, and nothing in the repository names what only one machine has."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, prose

_VENDORED = "src/forebay/dialects/native/static/swagger-ui/"

# Written in pieces, so that this file does not name them either.
_FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.~}])/wor" + r"k/",
            r"(?<![\w.~}])/roo" + r"t/",
            r"py" + r"pi\.org",
            r"pythonhosted" + r"\.org",
            r"npm" + r"js\.",
            r"index-" + r"url=",
        ]
    )
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_lead_somewhere(page: Path) -> None:
    broken: list[str] = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:src|tests|docs|scripts)/[\w./-]+)`", prose(page)):
        assert (ROOT / name).exists(), name


def test_no_file_names_what_only_one_machine_has() -> None:
    found: list[str] = []
    for name in _files():
        text = (ROOT / name).read_text("utf-8", errors="ignore")
        found += [f"{name}: {match[0]}" for match in _FORBIDDEN.finditer(text)]
    assert not found


def _files() -> list[str]:
    """The files of the repository, new ones included; of an unpacked archive, all but caches."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py")]
    return [name for name in names if not name.startswith(_VENDORED) and (ROOT / name).is_file()]
