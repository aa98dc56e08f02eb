"""The pages of the documentation, read: links, headings, tables, code and what to do with it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>example|client): (?P<told>.*?) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_CURL = re.compile(r"curl (?:[^\n\\]|\\\n|\\.)*")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of code in a page. `told` says what a test should see of it."""

    page: Path
    number: int
    language: str
    text: str
    kind: str | None
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.number}"


def read(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path) -> Iterator[Block]:
    """The pieces of code in a page."""
    text = read(page)
    for found in _BLOCK.finditer(text):
        number = text.count("\n", 0, found.start("text"))
        told = json.loads(found["told"] or "{}")
        yield Block(page, number, found["language"], found["text"], found["kind"], told)


def every_block(language: str) -> list[Block]:
    """The pieces of code in this language, in all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """A page without its code."""
    return _BLOCK.sub("", read(page))


def links(page: Path) -> list[str]:
    """Where a page leads to."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be reached."""
    headings = (found[2].strip() for found in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next one that is not below it."""
    text = read(page)
    for found in _HEADING.finditer(text):
        if found[2] == heading:
            rest = text[found.end() :]
            after = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
            return rest[: after.start()] if after else rest
    raise AssertionError(f"{page.name} has no heading {heading!r}")


def headings(page: Path) -> list[str]:
    """The headings of a page, in order."""
    return [found[2] for found in _HEADING.finditer(prose(page))]


def first_column(text: str) -> list[str]:
    """What stands in backticks in the first cell of each row of the tables in a text."""
    return re.findall(r"^\| `([^`|]+)` \|", text, re.MULTILINE)


def curls(block: Block) -> list[str]:
    """The curl commands of a piece of shell."""
    return _CURL.findall(block.text)
