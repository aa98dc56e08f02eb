"""From bytes to text, by what a server, a page or its first bytes say of the charset.

Only charsets that browsers know are taken: some of Python's take very long, or are none.
"""

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KNOWN = frozenset(
    (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "koi8-r", "koi8-u"),
        *(f"iso8859-{part}" for part in range(1, 17)),
        *(f"cp125{part}" for part in range(9)),
        *("cp866", "cp874", "cp932", "cp949", "tis-620", "mac-cyrillic", "mac-roman"),
        *("gb2312", "gbk", "gb18030", "big5", "big5hkscs"),
        *("euc_jp", "shift_jis", "iso2022_jp", "euc_kr"),
    )
)
_ALSO_CALLED = {"x-sjis": "shift_jis", "windows-31j": "shift_jis", "windows-874": "cp874"}
_MEANT = {  # what browsers take these for
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874",
    "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs",
    "shift_jis": "cp932", "euc_kr": "cp949", "utf-16": "utf-16-le",
}  # fmt: skip
_IN_PAGE = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})|"""
    rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""",
    re.I,
)
_LOOKED_AT = 4096


def decoded(body: bytes, said: str | None, *, is_markup: bool) -> str:
    """The text of these bytes; what cannot be read becomes a question mark."""
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    charset = _known(said) or (_in_page(body) if is_markup else None)
    if charset is not None:
        return body.decode(charset, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        # It may only have been cut, if there were such characters before.
        is_cut = error.reason == "unexpected end of data" and not body[: error.start].isascii()
        return body.decode("utf-8" if is_cut else "cp1252", "replace")


def _in_page(body: bytes) -> str | None:
    found = _IN_PAGE.search(body[:_LOOKED_AT])
    if found is None:
        return None
    charset = _known((found[1] or found[2]).decode("ascii", "replace"))
    # A page that could be read so far is not in one of two bytes each.
    return "utf-8" if charset is not None and charset.startswith("utf-16") else charset


def _known(said: str | None) -> str | None:
    try:
        label = (said or "").strip().lower()
        name = codecs.lookup(_ALSO_CALLED.get(label, label)).name
    except (LookupError, ValueError):
        return None
    return _MEANT.get(name, name) if name in _KNOWN else None
