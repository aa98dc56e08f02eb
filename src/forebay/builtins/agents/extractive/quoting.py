"""Quoting: which sentences of some texts answer a question best. The same ones every time.

Words are compared as they are written: nothing is understood, and nothing is made up.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .common_words import COMMON
from .sentences import are_alike, joined, sentences_of, terms_of, words_of

_MOST_QUOTES = 3
_FITS = 0.5
"""What part of what was asked for a sentence has to be about."""
_NEARLY_AS_GOOD = 0.55
_SATURATION, _LENGTH_COUNTS = 1.2, 0.5
_NAME_WEIGHT, _ALIKE_WEIGHT, _HEADING_WEIGHT, _BEFORE_WEIGHT = 1.5, 0.8, 0.7, 0.4
_QUESTION_PENALTY, _FRAGMENT_PENALTY = 0.3, 0.5
_FRAGMENT_WORDS = 3
_TOO_SIMILAR = 0.7
_NUMBER_BONUS = 1.6
_ASKS_TIME = re.compile(
    r"\b(?:when|wann|quand|cu[a\u00e1]ndo|quando|wanneer|year|jahr|ann[e\u00e9]e|a\u00f1o|anno|ano"
    r"|jaar)\b|\u3044\u3064|\u4f55\u5e74|\u4ec0\u4e48\u65f6\u5019|\u54ea\u5e74",
    re.IGNORECASE,
)
_ASKS_COUNT = re.compile(
    r"\bhow (?:many|much|old|long|tall|high|big|far|large|deep|wide|heavy)\b|\bwie ?viele?\b"
    r"|\bwie (?:alt|lang|hoch|gro\u00df|weit|schwer)\b|\bcombien\b|\bcu[a\u00e1]nt[oa]s?\b"
    r"|\bquant[oaie]s?\b|\bhoeveel\b|\u591a\u5c11|\u3044\u304f\u3064|\u4f55\u4eba",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{4}|\d{1,2}[.:/]\s?\d|\d{1,2}\. \w")
_NUMBER = re.compile(r"\d")


class Text(NamedTuple):
    """A text that may be quoted."""

    text: str
    title: str = ""
    url: str = ""
    id: str = ""


class Quote(NamedTuple):
    """Sentences of a text, word for word."""

    text: str
    source: int
    """Which of the texts it is from."""


def best_quotes(question: str, texts: Sequence[Text]) -> list[Quote]:
    """The sentences that fit a question, the best first. None if none does."""
    asked = _weights(question)
    if not asked:
        return []
    passages = _passages(texts)
    scores = _Scores(passages, asked, _form_of_answer(question))
    ranked = sorted(
        (at for at in range(len(passages)) if scores.coverage(at) >= _FITS),
        key=lambda at: (-scores.of(at), at),
    )
    return _joined(passages, _chosen(passages, scores, ranked))


@dataclass(frozen=True, slots=True)
class _Passage:
    text: str
    source: int
    block: int
    terms: Counter[str]
    about: frozenset[str]
    """The words of the headings that it stands under."""
    before: frozenset[str]
    """The words of the sentence before it."""


def _passages(texts: Sequence[Text]) -> list[_Passage]:
    found: list[_Passage] = []
    for source, text in enumerate(texts):
        before: frozenset[str] = frozenset()
        for sentence in sentences_of(text.text):
            terms = Counter(terms_of(sentence.text))
            about = frozenset(terms_of(f"{text.title} {sentence.heading}"))
            found.append(_Passage(sentence.text, source, sentence.block, terms, about, before))
            before = frozenset(terms)
    return found


def _form_of_answer(question: str) -> re.Pattern[str] | None:
    """How the answer has to look, as far as the question tells."""
    if _ASKS_TIME.search(question):
        return _TIME
    return _NUMBER if _ASKS_COUNT.search(question) else None


def _weights(question: str) -> dict[str, float]:
    """How much each word of a question matters."""
    words = words_of(question)
    telling = [word for word in words if word.term not in COMMON]
    weights: dict[str, float] = {}
    for word in telling or words:
        weight = _NAME_WEIGHT if word.is_name else 1.0
        weights[word.term] = max(weights.get(word.term, 0.0), weight)
    return weights


class _Scores:
    def __init__(
        self,
        passages: Sequence[_Passage],
        asked: Mapping[str, float],
        form: re.Pattern[str] | None,
    ) -> None:
        self._passages = passages
        self._asked = asked
        self._form = form
        vocabulary = {term for each in passages for term in (*each.terms, *each.about)}
        self._forms = {
            term: [each for each in vocabulary if are_alike(term, each)] for term in asked
        }
        lengths = [each.terms.total() for each in passages]
        self._mean_length = sum(lengths) / len(lengths) if lengths else 1.0
        self._rarity = {term: self._rarity_of(term) for term in asked}

    def coverage(self, at: int) -> float:
        """What part of what was asked for a passage is about."""
        passage = self._passages[at]
        found = sum(weight * self._place(term, passage) for term, weight in self._asked.items())
        has_own = any(self._count(term, passage.terms) for term in self._asked)
        return found / sum(self._asked.values()) if has_own or self._has_form(passage) else 0.0

    def of(self, at: int) -> float:
        """How good a passage is."""
        passage = self._passages[at]
        length = passage.terms.total()
        norm = 1 - _LENGTH_COUNTS + _LENGTH_COUNTS * length / self._mean_length
        score = 0.0
        for term, weight in self._asked.items():
            count = self._count(term, passage.terms)
            if count:
                strength = count * (_SATURATION + 1) / (count + _SATURATION * norm)
            else:
                strength = self._place(term, passage)
            score += weight * self._rarity[term] * strength
        if self._has_form(passage):
            score *= _NUMBER_BONUS
        if passage.text.rstrip("\"'\u201d\u2019)").endswith(("?", "\uff1f", "\u061f")):
            score *= _QUESTION_PENALTY
        if length < _FRAGMENT_WORDS:
            score *= _FRAGMENT_PENALTY
        return score

    def _has_form(self, passage: _Passage) -> bool:
        return self._form is not None and self._form.search(passage.text) is not None

    def _place(self, term: str, passage: _Passage) -> float:
        if (count := self._count(term, passage.terms)) > 0:
            return min(1.0, count)
        if any(form in passage.about for form in self._forms[term]):
            return _HEADING_WEIGHT
        if any(form in passage.before for form in self._forms[term]):
            return _BEFORE_WEIGHT
        return 0.0

    def _count(self, term: str, terms: Counter[str]) -> float:
        return sum(
            terms[form] * (1.0 if form == term else _ALIKE_WEIGHT)
            for form in self._forms[term]
            if form in terms
        )

    def _rarity_of(self, term: str) -> float:
        having = sum(self._count(term, each.terms) > 0 for each in self._passages)
        return math.log(1 + (len(self._passages) - having + 0.5) / (having + 0.5)) + 0.1


def _chosen(passages: Sequence[_Passage], scores: _Scores, ranked: Sequence[int]) -> list[int]:
    chosen: list[int] = []
    for at in ranked:
        if len(chosen) == _MOST_QUOTES or (
            chosen and scores.of(at) < _NEARLY_AS_GOOD * scores.of(chosen[0])
        ):
            break
        if not any(_are_similar(passages[at], passages[other]) for other in chosen):
            chosen.append(at)
    return chosen


def _are_similar(one: _Passage, other: _Passage) -> bool:
    mine, yours = set(one.terms), set(other.terms)
    return bool(mine | yours) and len(mine & yours) / len(mine | yours) > _TOO_SIMILAR


def _joined(passages: Sequence[_Passage], chosen: Sequence[int]) -> list[Quote]:
    """Sentences that follow one another in a paragraph are one quote."""
    left = list(chosen)
    quotes: list[Quote] = []

    def goes_on(at: int, other: int) -> bool:
        one, next_to = passages[at], passages[other] if other in left else None
        return next_to is not None and (one.source, one.block) == (next_to.source, next_to.block)

    while left:
        first = last = left.pop(0)
        while goes_on(last, last + 1):
            last += 1
            left.remove(last)
        while goes_on(first, first - 1):
            first -= 1
            left.remove(first)
        text = joined([passages[at].text for at in range(first, last + 1)])
        quotes.append(Quote(text, passages[first].source))
    return quotes
