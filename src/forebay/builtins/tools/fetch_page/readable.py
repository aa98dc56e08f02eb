"""The text of a web page as a person reads it, in the form of Markdown: no menus, nothing hidden.

The tree is walked without recursion.
"""

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from .markup import readable_markup

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_FRAME = frozenset(("header", "footer"))  # of the page; those of an article belong to its text
_MENUS = frozenset(("nav", "aside"))
_CONTENT = frozenset(("article", "main"))
_MAIN = "main:not([hidden]), [role=main]:not([hidden])"
_PARTS = "td table, td h1, td h2, td h3, td h4, td pre, td blockquote"
_MAX_INDENT = 6
_ENOUGH = 1000  # characters of a main part, that nothing else is looked at
_LEAST_SHARE = 0.25  # of the text of a page, for a short main part to be all that counts
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_SPACES = re.compile(r"\s+")


class Page(NamedTuple):
    """What is to be read."""

    title: str
    text: str


def read_page(markup: str, *, links_from: str | None = None) -> Page:
    """The title and the text of an HTML page.

    With `links_from`, the page's URL, each link is written with its address.
    """
    from selectolax.lexbor import LexborHTMLParser

    plain = readable_markup(markup)
    base = _joined(links_from, plain.base) if links_from else None
    tree = LexborHTMLParser(plain.body)
    text = _text(tree, base)
    heading = tree.css_first("h1")
    return Page(plain.title or (_plain(heading.text()) if heading else ""), text)


def _text(tree: "LexborHTMLParser", base: str | None) -> str:
    body = tree.body
    if body is None:
        return ""
    main = tree.css_first(_MAIN)
    articles = tree.css("article") if main is None else []
    if main is None and len(articles) == 1:
        main = articles[0]
    part = "" if main is None else _Writer(base).read(main)
    if len(part) >= _ENOUGH:
        return part
    whole = _Writer(base).read(body)
    if part and len(part) >= len(whole) * _LEAST_SHARE:
        return part
    return whole or _Writer(base, keeps_menus=True).read(body)


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address.strip())
    except ValueError:
        return base


def _plain(text: str) -> str:
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


class _Block(NamedTuple):
    text: str
    is_tight: bool
    """Whether it stands right below one of its kind: items of a list, rows of a table."""


class _Link(NamedTuple):
    block: int
    start: int


class _Writer:
    """Goes through a part of the page, and writes its text down block by block."""

    def __init__(self, base: str | None, *, keeps_menus: bool = False) -> None:
        self._base = base
        self._keeps_menus = keeps_menus
        self._blocks: list[_Block] = []
        self._line: list[str] = []
        self._prefix = ""
        self._lists: list[int | None] = []  # the number of the next item, where they have one
        self._tables: list[bool] = []  # whether its cells are written in rows
        self._cells: list[str] | None = None
        self._links: list[_Link] = []
        self._quotes = 0
        self._content = 0
        self._headings = 0
        self._preformatted = 0

    def read(self, root: "LexborNode") -> str:
        """The text of this part of the page."""
        waiting: list[tuple[LexborNode, bool]] = [(root, False)]
        while waiting:
            node, is_done = waiting.pop()
            if is_done:
                self._leave(node.tag or "", node)
            elif self._enter(node.tag or "", node):
                waiting.append((node, True))
                child = node.last_child
                while child is not None:
                    waiting.append((child, False))
                    child = child.prev
        self._end_block()
        return self._joined()

    def _joined(self) -> str:
        text: list[str] = []
        for number, block in enumerate(self._blocks):
            is_tight = number > 0 and block.is_tight and self._blocks[number - 1].is_tight
            text += ["" if number == 0 else "\n" if is_tight else "\n\n", block.text]
        return "".join(text)

    # --- going through --------------------------------------------------------------------------

    def _enter(self, tag: str, node: "LexborNode") -> bool:
        """Whether to go on with what is in it."""
        if tag == "-text":
            self._add(node.text_content or "")
            return False
        if tag in ("br", "hr"):
            self._break(is_rule=tag == "hr")
            return False
        if self._is_dropped(tag, node):
            return False
        if tag == "span":
            if self._href(node):
                self._links.append(_Link(len(self._blocks), len(self._line)))
            return True
        self._begin(tag, node)
        return True

    def _is_dropped(self, tag: str, node: "LexborNode") -> bool:
        if tag.startswith("-") or "hidden" in node.attributes:
            return True
        if tag == "button":  # but a heading may be one, that opens what is below it
            return not self._headings
        if self._keeps_menus:
            return False
        return tag in _MENUS or (tag in _FRAME and not self._content)

    def _begin(self, tag: str, node: "LexborNode") -> None:
        self._count(tag, 1)
        if tag in ("td", "th") and self._cells is not None:
            return
        self._end_block()
        match tag:
            case "ul" | "dl":
                self._lists.append(None)
            case "ol":
                self._lists.append(int(node.attributes.get("start") or 1))
            case "li":
                self._prefix = self._item()
            case "table":
                self._tables.append(self._cells is None and not self._arranges(node))
            case "tr" if self._tables and self._tables[-1]:
                self._cells = []
            case _ if tag in _HEADINGS:
                self._prefix = f"{'#' * _HEADINGS[tag]} "
            case _:
                pass

    def _arranges(self, table: "LexborNode") -> bool:
        """Whether a table has parts of the page in its cells."""
        if len(self._tables) >= _MAX_INDENT:
            return True
        return any(found.mem_id != table.mem_id for found in table.css(_PARTS))

    def _leave(self, tag: str, node: "LexborNode") -> None:
        if tag == "span":
            if self._href(node):
                self._end_link(self._links.pop(), self._href(node))
            return
        if tag in ("td", "th") and self._cells is not None:
            self._cells.append(_plain("".join(self._line)))
            self._line.clear()
            return
        if tag == "tr" and self._cells is not None:
            self._end_row(self._cells)
        self._end_block()
        self._count(tag, -1)
        match tag:
            case "ul" | "dl" | "ol":
                self._lists.pop()
            case "table":
                self._tables.pop()
            case _ if tag in _HEADINGS or tag == "li":
                self._prefix = ""
            case _:
                pass

    def _count(self, tag: str, step: int) -> None:
        self._quotes += step * (tag == "blockquote")
        self._content += step * (tag in _CONTENT)
        self._headings += step * (tag in _HEADINGS)
        self._preformatted += step * (tag == "pre")

    # --- writing --------------------------------------------------------------------------------

    def _add(self, text: str) -> None:
        text = _INVISIBLE.sub("", text)
        if not self._preformatted or self._cells is not None:
            text = _SPACES.sub(" ", text)
            if not self._line or self._line[-1].endswith((" ", "\n")):
                text = text.lstrip()
        if text:
            self._line.append(text)

    def _break(self, *, is_rule: bool) -> None:
        if self._cells is not None:
            self._line.append(" ")
        elif is_rule:
            self._end_block()
        elif self._line:
            self._line.append("\n")

    def _item(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        self._lists[-1] += 1
        return f"{self._lists[-1] - 1}. "

    def _end_block(self) -> None:
        if self._cells is not None:
            self._line.append(" ")
            return
        if not self._line:
            return
        text = "".join(self._line)
        self._line.clear()
        text = text.strip("\n").rstrip() if self._preformatted else _lines(text)
        if not text:
            return
        if self._preformatted:
            text = f"```\n{text}\n```"
        indent = "  " * min(len(self._lists) - 1, _MAX_INDENT)
        further = indent + " " * len(self._prefix) if self._lists else ""
        lines = text.split("\n")
        written = [f"{indent}{self._prefix}{lines[0]}", *(further + line for line in lines[1:])]
        quote = "> " * min(self._quotes, _MAX_INDENT)
        self._blocks.append(_Block("\n".join(quote + line for line in written), bool(self._lists)))
        self._prefix = " " * len(self._prefix) if self._lists else ""

    def _end_row(self, cells: list[str]) -> None:
        self._cells = None
        self._line.clear()
        if any(cells):
            quote = "> " * min(self._quotes, _MAX_INDENT)
            self._blocks.append(_Block(quote + " | ".join(cells), is_tight=True))

    # --- links ----------------------------------------------------------------------------------

    def _href(self, node: "LexborNode") -> str:
        return (node.attributes.get("href") or "") if self._base else ""

    def _end_link(self, link: _Link, href: str) -> None:
        address = _joined(self._base or "", href)
        is_here = link.block == len(self._blocks) and link.start <= len(self._line)
        text = "".join(self._line[link.start :]).strip() if is_here else ""
        if text and not href.startswith("#") and address.startswith(("http://", "https://")):
            self._line[link.start :] = [f"[{text}]({address})"]


def _lines(text: str) -> str:
    return "\n".join(line for each in text.split("\n") if (line := each.strip()))
