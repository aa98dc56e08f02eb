"""Sentences and words of texts in any language. Nothing is changed but spaces."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

# Scripts that are written without spaces between words (or, in Korean, with endings attached).
_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff"
)
_WORD = re.compile(rf"[{_DENSE}]+|[^\W_{_DENSE}]+")
_GRAMMAR = re.compile(
    "[\u3040-\u309f\u7684\u662f\u5728\u4e86\u548c\u5417\u5462\u4e48\u54ea\u8c01]+"
)
"""What holds words together in Japanese and Chinese, and says nothing itself."""
_ACCENT = re.compile("[\u0300-\u036f]")
_BLOCK = re.compile(r"\n\s*\n|\n(?=[ \t]*(?:[-*\u2022#]|\d+[.)])[ \t#])|(?<=\n)(?=#)")
_END = re.compile(
    r"[.!?\u2026\u061f\u0964]+[\"'\u201d\u2019\u00bb)\]]*(?=\s)"
    r"|[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u201d\u2019\uff09]*"
)
_SPOKEN_END = re.compile(r"[.!?\u2026\u061f\u0964\u3002\uff01\uff1f]['\"\u201d\u2019\u00bb)\]]*$")
_SHORT = "mr mrs ms dr prof st vs no nr fig abb ca bzw usw evtl inkl jr sr inc ltd sra av approx"
_ABBREVIATED = frozenset(_SHORT.split())
_LONGEST_SENTENCE = 600
_HEADING_WORDS = 6


class Sentence(NamedTuple):
    """A sentence, and the heading it stands under."""

    text: str
    heading: str
    block: int
    """Which paragraph or item it is part of."""


def sentences_of(text: str) -> list[Sentence]:
    """The sentences of a text, in order. Headings are not among them."""
    blocks = [" ".join(block.split()) for block in _BLOCK.split(text)]
    blocks = [block for block in blocks if block]
    found: list[Sentence] = []
    heading = ""
    for at, block in enumerate(blocks):
        if _is_heading(block, blocks[at + 1 :]):
            heading = block.strip("#* :")
        else:
            found += [Sentence(each, heading, at) for each in _split(block)]
    return found


def _is_heading(block: str, after: Sequence[str]) -> bool:
    if not after:
        return False
    if block.startswith("#") or block.endswith(":"):
        return True
    is_plain = _SPOKEN_END.search(block) is None and re.search(r"[\d:]", block) is None
    return (
        is_plain
        and len(block.split()) <= _HEADING_WORDS
        and not block.startswith(("-", "*", "\u2022"))
        and len(after[0].split()) > _HEADING_WORDS
    )


def _split(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if _ends_there(block[start : end.start()], end[0], block[end.end() :].lstrip()):
            yield from _bearable(block[start : end.end()].strip())
            start = end.end()
    yield from _bearable(block[start:].strip())


def _ends_there(before: str, mark: str, after: str) -> bool:
    if not mark.startswith(".") or not after:
        return True
    if after[0].islower():
        return False
    last = (before.split() or [""])[-1].lstrip("(\"'")
    is_short = len(last) == 1 and last.isalpha()
    is_ordinal = last.isdigit() and len(last) <= 2
    return not (is_short or is_ordinal or "." in last or last.lower() in _ABBREVIATED)


def _bearable(sentence: str) -> Iterator[str]:
    while len(sentence) > _LONGEST_SENTENCE:
        at = sentence.rfind(" ", 0, _LONGEST_SENTENCE)
        at = at if at > 0 else _LONGEST_SENTENCE
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence


def joined(sentences: Sequence[str]) -> str:
    """Sentences of one block as they follow one another."""
    text = ""
    for sentence in sentences:
        is_dense = text.endswith(("\u3002", "\uff01", "\uff1f", "\uff61", "\u300d", "\u300f"))
        text += sentence if not text or is_dense else f" {sentence}"
    return text


# --- words --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A word as it is compared, and whether it looks like a name or a number."""

    term: str
    is_name: bool


def words_of(text: str) -> list[Word]:
    """The words of a text, in order; of dense scripts pairs of characters."""
    found: list[Word] = []
    for at, match in enumerate(_WORD.finditer(unicodedata.normalize("NFKC", text))):
        word = match[0]
        if _is_dense(word[0]):
            parts = [part for part in _GRAMMAR.split(word) if part]
            found += [Word(pair, is_name=False) for part in parts for pair in _pairs(part)]
        elif len(term := _plain(word)) > 1 or term.isdigit():
            found.append(Word(term, word[0].isdigit() or (at > 0 and word[0].isupper())))
    return found


def terms_of(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return [word.term for word in words_of(text)]


@lru_cache(maxsize=10_000)
def _plain(word: str) -> str:
    parts = unicodedata.normalize("NFKD", word.casefold())
    return unicodedata.normalize("NFC", _ACCENT.sub("", parts))


def _pairs(word: str) -> list[str]:
    return [word[at : at + 2] for at in range(len(word) - 1)] or [word]


def _is_dense(character: str) -> bool:
    return re.match(rf"[{_DENSE}]", character) is not None


def are_alike(one: str, other: str) -> bool:
    """Whether two words look like forms of one: the shorter one begins the longer one, nearly."""
    if one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 4 or not shorter.isalpha() or not longer.isalpha() or _is_dense(shorter[0]):
        return False
    common = next(
        (at for at, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter)
    )
    return common >= 4 and common >= len(shorter) - 1 and common >= 0.57 * len(longer)
