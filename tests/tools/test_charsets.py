"""Charsets: what a server, a page or its first bytes say, and what is not believed."""

import pytest

from forebay.builtins.tools.fetch_page.charsets import decoded


@pytest.mark.parametrize(
    ("body", "said", "text"),
    [
        ("é".encode(), None, "é"),
        ("é".encode("cp1252"), None, "é"),
        ("é".encode("cp1252"), "latin1", "é"),
        ("“€”".encode("cp1252"), "ISO-8859-1", "“€”"),
        ("ž".encode("iso8859-2"), "iso-8859-2", "ž"),
        ("жук".encode("cp1251"), "windows-1251", "жук"),
        ("жук".encode("koi8-r"), "KOI8-R", "жук"),
        ("日本".encode("cp932"), "x-sjis", "日本"),
        ("日本".encode("euc_jp"), "euc-jp", "日本"),
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本"),
        ("中文".encode("gb18030"), "gb2312", "中文"),
        ("中文".encode("big5"), "big5", "中文"),
        ("한국".encode("cp949"), "ks_c_5601-1987", "한국"),
        ("ไทย".encode("cp874"), "windows-874", "ไทย"),
        ("é".encode("utf-16-le"), "utf-16", "é"),
        (b"\xef\xbb\xbf\xc3\xa9", "latin1", "é"),
        ("é".encode(), "utf-7", "é"),
        ("é".encode(), "punycode", "é"),
        ("é".encode(), "idna", "é"),
        ("é".encode(), "unicode_escape", "é"),
        ("é".encode(), "rot13", "é"),
        ("é".encode(), "hex", "é"),
        ("é".encode(), "\0", "é"),
        ("é".encode(), "", "é"),
        (b"a\xffb", "utf-8", "a\N{REPLACEMENT CHARACTER}b"),
        ("é caf".encode() + b"\xc3", None, "é caf\N{REPLACEMENT CHARACTER}"),
        (b"", None, ""),
    ],
)
def test_bytes_become_text(body: bytes, said: str | None, text: str):
    assert decoded(body, said, is_markup=False) == text


@pytest.mark.parametrize(
    "start",
    [
        "<meta charset=windows-1251>",
        '<meta charset="windows-1251">',
        "<META  CharSet = 'windows-1251' />",
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        '<?xml version="1.0" encoding="windows-1251"?>',
    ],
)
def test_a_page_may_say_its_charset(start: str):
    body = f"{start}<p>жук</p>".encode("cp1251")
    assert "жук" in decoded(body, None, is_markup=True)
    assert "жук" not in decoded(body, None, is_markup=False)


def test_the_server_is_believed_before_the_page():
    body = "<meta charset=koi8-r>жук".encode("cp1251")
    assert "жук" in decoded(body, "windows-1251", is_markup=True)


def test_a_page_that_can_be_read_to_say_it_is_not_in_two_bytes_each():
    assert "é" in decoded("<meta charset=utf-16>é".encode(), None, is_markup=True)


def test_what_a_page_says_far_below_is_not_looked_for():
    body = b" " * 5000 + "<meta charset=koi8-r>é".encode()
    assert "é" in decoded(body, None, is_markup=True)
