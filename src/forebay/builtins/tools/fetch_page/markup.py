"""What of a page's markup matters for its text, written down anew.

A parser takes minutes for two megabytes that somebody wrote for that purpose: nested endlessly, a
tag with a hundred thousand attributes, formatting that is never closed. What comes out here has
none of it: the parser then only repairs what is broken. One pass, never back, and no recursion.
"""

import re
from html import escape, unescape
from typing import NamedTuple


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = _names("br hr")
_KEPT = _names(
    """article aside blockquote button caption dd div dl dt footer h1 h2 h3 h4 h5 h6 header li main
    nav ol p pre section table tbody td tfoot th thead tr ul"""
)
_BLOCKS = _names(
    """address center details dialog fieldset figcaption figure form hgroup legend optgroup search
    summary"""
)
_IGNORED = _names(
    """area base basefont body col colgroup embed frame frameset head html img input link meta
    noframes option param picture plaintext source track wbr"""
)
_DROPPED = _names(
    """applet audio canvas datalist iframe map math noscript object script select style svg template
    textarea title video xmp"""
)
"""Dropped with all that is in them."""

_CLOSED_BY_THE_NEXT = _names("p li dt dd tr td th thead tbody tfoot caption")
_HIDDEN_ROLES = _names(
    """alert alertdialog banner complementary contentinfo dialog menu menubar navigation search
    toolbar tooltip"""
)
_MAX_TAGS = 200_000
_MAX_DEPTH = 300
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.I)

_BEGIN = re.compile(r"<(?:(!--)|([!?]|/(?![a-zA-Z]))|(/?)([a-zA-Z][^\s/>]*))")
_ATTRIBUTE = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]*+)"
    r"""(?:\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s>"'][^\s>]*+))?+)?+"""
)
_END = re.compile(r"[\s/]*+>")


class Markup(NamedTuple):
    """What is left of a page."""

    body: str
    title: str
    base: str
    """Where relative addresses begin, if the page says so."""


def readable_markup(markup: str) -> Markup:
    """The elements of a page that make up its text, up to so many of them.

    They are called by few names: other blocks are `div`, what is inline is `span`, menus are `ul`.
    """
    filter_ = _Filter(markup)
    filter_.run()
    return Markup("".join(filter_.out), filter_.title, filter_.base)


class _Filter:
    def __init__(self, markup: str) -> None:
        self.out: list[str] = []
        self.title = ""
        self.base = ""
        self._markup = markup
        self._open_names: list[str] = []  # of what the parser will have open, or more
        self._unclosed: set[str] = set()  # what is known not to be closed any more

    def run(self) -> None:
        position = count = 0
        while (begin := _BEGIN.search(self._markup, position)) is not None:
            self._text(position, begin.start())
            if (count := count + 1) > _MAX_TAGS:
                return
            position = self._tag(begin)
        self._text(position, len(self._markup))

    def _text(self, start: int, end: int) -> None:
        if end > start:
            self.out.append(self._markup[start:end].replace("<", "&lt;").replace("\0", ""))

    def _tag(self, begin: re.Match[str]) -> int:
        """Take what begins here; returns where to go on."""
        comment, other, closing, name = begin.groups()
        if comment:
            return self._after("-->", begin.start() + 2)
        if other:
            return self._after(">", begin.end())
        attributes, position = self._attributes(begin.end())
        if position < 0:
            return len(self._markup)
        name = name.lower()
        if closing:
            self._close(name)
            return position
        if name in _DROPPED:
            return self._drop(name, attributes, position)
        self._open(name, attributes)
        return position

    def _after(self, text: str, position: int) -> int:
        found = self._markup.find(text, position)
        return len(self._markup) if found < 0 else found + len(text)

    def _attributes(self, position: int) -> tuple[dict[str, str], int]:
        """The attributes, and where the tag ends: -1 if it does not."""
        attributes: dict[str, str] = {}
        while (found := _ATTRIBUTE.match(self._markup, position)) is not None:
            name, double, single, bare = found.groups()
            attributes.setdefault(name.lower(), double or single or bare or "")
            position = found.end()
        end = _END.match(self._markup, position)
        return attributes, -1 if end is None else end.end()

    def _drop(self, name: str, attributes: dict[str, str], position: int) -> int:
        if name == "math":  # what is meant, in LaTeX
            self.out.append(_escaped(attributes.get("alttext", "")))
        if name in self._unclosed:
            return position
        closing = re.compile(rf"</{name}(?=[\s/>])", re.I).search(self._markup, position)
        if closing is None:
            self._unclosed.add(name)
            return len(self._markup) if name in ("script", "style") else position
        if name == "title" and not self.title:
            self.title = " ".join(unescape(self._markup[position : closing.start()]).split())
        return self._after(">", closing.end())

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "base" and not self.base:
            self.base = unescape(attributes.get("href", ""))
        if name in _IGNORED:
            return
        if name in _VOID:
            self.out.append(f"<{name}>")
            return
        written = _written(name)
        if written not in _CLOSED_BY_THE_NEXT:
            if len(self._open_names) >= _MAX_DEPTH:
                self.out.append("<br>")
                return
            self._open_names.append(written)
        self.out.append(f"<{written}{_kept(name, attributes)}>")

    def _close(self, name: str) -> None:
        if name in _IGNORED or name in _DROPPED or name in _VOID:
            return
        written = _written(name)
        if written in _CLOSED_BY_THE_NEXT or self._pop(written):
            self.out.append(f"</{written}>")

    def _pop(self, name: str) -> bool:
        """Whether something of this name is open, as the parser sees it; then it is not any more.

        It never closes what the parser would leave open, or pages could be nested without an end.
        """
        for at in range(len(self._open_names) - 1, -1, -1):
            found = self._open_names[at]
            if found == name:
                del self._open_names[at:]
                return True
            if found == "table" or name == "span":
                return False
        return False


def _written(name: str) -> str:
    if name in _KEPT:
        return name
    if name == "menu":
        return "ul"
    return "div" if name in _BLOCKS or "-" in name else "span"  # a page's own are blocks mostly


def _kept(name: str, attributes: dict[str, str]) -> str:
    role = attributes.get("role", "").lower()
    if (
        "hidden" in attributes
        or attributes.get("aria-hidden", "").lower() == "true"
        or role in _HIDDEN_ROLES
        or name == "dialog"
        or _HIDDEN_STYLE.search(attributes.get("style", ""))
    ):
        return " hidden"
    if name == "a" and (href := attributes.get("href")):
        return f' href="{_escaped(href)}"'
    if name == "ol" and (start := attributes.get("start", "")).isdecimal():
        return f' start="{start[:9]}"'
    return ' role="main"' if role == "main" else ""


def _escaped(value: str) -> str:
    return escape(unescape(value))
