"""How texts become sentences and words, in any language."""

import pytest

from forebay.builtins.agents.extractive.sentences import (
    are_alike,
    joined,
    sentences_of,
    terms_of,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It is 3.5 m. It fell.", ["It is 3.5 m. It fell."]),
        ("It is 3.5 metres. It fell.", ["It is 3.5 metres.", "It fell."]),
        ("Dr. Smith met Prof. Jones. They talked.", ["Dr. Smith met Prof. Jones.", "They talked."]),
        ("J. S. Bach, e.g. his fugues. He died.", ["J. S. Bach, e.g. his fugues.", "He died."]),
        ("Am 3. Mai kam er. Dann ging er.", ["Am 3. Mai kam er.", "Dann ging er."]),
        ("In 1889. Then more.", ["In 1889.", "Then more."]),
        ('He said "Stop!" She did.', ['He said "Stop!"', "She did."]),
        ("hard\nwrapped line. And more.", ["hard wrapped line.", "And more."]),
        ("- one item\n- another item", ["- one item", "- another item"]),
        ("東京は首都です。人口は多い。", ["東京は首都です。", "人口は多い。"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("राम घर गया। वह सो गया।", ["राम घर गया।", "वह सो गया।"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in sentences_of(text)] == sentences


def test_headings_are_not_sentences_but_what_these_are_about() -> None:
    text = (
        "# Hours\n\nOpen daily. Closed at night.\n\nPrices:\n\nIt costs ten euros for all of you."
    )
    assert [(each.text, each.heading) for each in sentences_of(text)] == [
        ("Open daily.", "Hours"),
        ("Closed at night.", "Hours"),
        ("It costs ten euros for all of you.", "Prices"),
    ]


def test_a_short_last_line_is_a_sentence() -> None:
    assert [
        each.text for each in sentences_of("A long line of some seven words or so.\n\nBye")
    ] == [
        "A long line of some seven words or so.",
        "Bye",
    ]


def test_a_sentence_without_end_is_cut() -> None:
    parts = [each.text for each in sentences_of("word " * 500)]
    assert max(map(len, parts)) <= 600
    assert " ".join(parts) == "word " * 499 + "word"


def test_sentences_are_joined_as_they_follow_one_another() -> None:
    assert joined(["One.", "Two."]) == "One. Two."
    assert joined(["東京です。", "大きい。"]) == "東京です。大きい。"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The Café's menu", ["the", "cafe", "menu"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("\ufb01ne \uff12\uff10", ["fine", "20"]),
        ("東京都の人口", ["東京", "京都", "人口"]),
        ("a 7 b", ["7"]),
        ("Ελλάδα", ["ελλαδα"]),
    ],
)
def test_words_are_compared_without_case_and_accents(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


def test_names_and_numbers_are_noticed() -> None:
    assert [word.term for word in words_of("Where was Ada in 1843 once?") if word.is_name] == [
        "ada",
        "1843",
    ]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("capital", "capitals", True),
        ("open", "opened", True),
        ("build", "built", True),
        ("gebaude", "gebaudes", True),
        ("university", "universal", False),
        ("international", "internal", False),
        ("cat", "cats", False),
        ("word1234", "word1235", False),
        ("same", "same", True),
    ],
)
def test_forms_of_a_word_are_alike(one: str, other: str, alike: bool) -> None:
    assert are_alike(one, other) is are_alike(other, one) is alike
