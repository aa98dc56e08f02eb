"""extractive: what it quotes, what it does not, and what it says of itself."""

import pytest

from forebay.builtins.agents.extractive import make_extractive
from forebay.builtins.agents.extractive.given_texts import read_given
from forebay.builtins.agents.extractive.quoting import Text, best_quotes
from forebay.core.errors import InvalidInput
from forebay.core.events import OutputChunk, SourceCited, SourceFound
from forebay.core.json import Json
from tests.support.acting import said
from tests.support.attempts import InMemory, Log

TOWER = Text(
    "The Eiffel Tower is a wrought-iron lattice tower in Paris. It was completed in 1889 as the "
    "entrance to the World's Fair. Dr. Smith, e.g., has measured it. It is 330 metres tall. Is it "
    "tall? Yes.",
    "Eiffel Tower",
    "https://example.org/eiffel",
)
MUSEUM = Text(
    "# Opening hours\n\nMonday to Friday: 9:00-17:00\n\nOn public holidays the museum stays "
    "closed. Tickets cost 12 euros for adults.\n\n## Getting there\n\nTake bus 42 to the Central "
    "Station.",
    "Museum guide",
    id="guide",
)
TOKYO = Text("東京は日本の首都です。人口は約1400万人です。", "東京")
FRANCE = Text(
    "Die Hauptstadt von Frankreich ist Paris. Der Vertrag wurde am 3. Mai 1998 unterzeichnet. Das "
    "Gebäude wurde 2001 eröffnet."
)
PERU = Text("La capital del Perú es Lima. Su población supera los diez millones de habitantes.")
TEXTS = [TOWER, MUSEUM, TOKYO, FRANCE, PERU]


@pytest.mark.parametrize(
    ("question", "first", "source"),
    [
        ("How tall is the Eiffel Tower?", "It is 330 metres tall.", 0),
        ("Tell me about Dr. Smith", "Dr. Smith, e.g., has measured it.", 0),
        ("When is the museum open?", "Monday to Friday: 9:00-17:00", 1),
        ("How much is a ticket?", "Tickets cost 12 euros for adults.", 1),
        ("Which bus goes to the station?", "Take bus 42 to the Central Station.", 1),
        ("What happens on holidays?", "On public holidays the museum stays closed.", 1),
        ("日本の首都はどこですか", "東京は日本の首都です。", 2),
        ("Was ist die Hauptstadt von Frankreich?", "Die Hauptstadt von Frankreich ist Paris.", 3),
        ("Wann wurde das Gebäude eröffnet?", "Das Gebäude wurde 2001 eröffnet.", 3),
        ("¿Cuál es la capital del Perú?", "La capital del Perú es Lima.", 4),
        ("cual es la capital del PERU", "La capital del Perú es Lima.", 4),
    ],
)
def test_the_best_sentence_comes_first(question: str, first: str, source: int) -> None:
    quote = best_quotes(question, TEXTS)[0]
    assert (quote.text, quote.source) == (first, source)


def test_a_sentence_that_only_goes_on_is_found_by_what_it_is_about() -> None:
    quotes = best_quotes("When was the Eiffel Tower built?", TEXTS)
    assert "completed in 1889" in quotes[0].text


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Peru?", "Who won the football cup?", "hi", "?", "",
        "Wie heißt der Präsident von Brasilien?", "天気はどうですか",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_quoted(question: str) -> None:
    assert best_quotes(question, TEXTS[:4]) == []


def test_quotes_stand_word_for_word_in_their_texts() -> None:
    for question in ("How tall is the tower?", "When is the museum open?", "東京の人口"):
        for quote in best_quotes(question, TEXTS):
            assert quote.text in " ".join(TEXTS[quote.source].text.split())


def test_sentences_that_say_the_same_are_quoted_once() -> None:
    twice = [Text("The bridge is red."), Text("The bridge is red.")]
    assert len(best_quotes("What colour is the bridge?", twice)) == 1


def test_questions_in_a_text_are_worse_than_answers() -> None:
    quotes = best_quotes("Is the bridge red?", [Text("Is the bridge red? The bridge is red.")])
    assert quotes[0].text.endswith("The bridge is red.")


# --- the answer ---------------------------------------------------------------------------------


async def ask(value: Json) -> Log:
    agent = make_extractive()
    return await InMemory().attempt(agent, value=agent.read_input(value))


def given(question: str, *texts: Text) -> Json:
    return {"question": question, "texts": [each._asdict() for each in texts]}


async def test_it_says_what_it_is_quotes_and_cites() -> None:
    park = Text("From the park one sees the Eiffel Tower best.", id="park")
    log = await ask(given("Where does one see the Eiffel Tower best?", Text("No."), park))
    assert said(log) == (
        "I am not a language model: I only quote from texts that I am given. This fits best:\n\n"
        "> From the park one sees the Eiffel Tower best. [1]\n\n"
        "Sources:\n[1] park\n"
    )


async def test_sources_are_numbered_as_they_are_cited() -> None:
    bridges = [
        Text("No bridge."),
        Text("The bridge is red."),
        Text("The bridge was blue once.", "Old"),
    ]
    text = said(await ask(given("What colour is the bridge of steel?", *bridges, TOWER)))
    assert "Nothing in the 4 texts" in text
    text = said(await ask(given("Which bridge is red or blue?", *bridges)))
    assert text.endswith(
        "> The bridge is red. [1]\n\n> The bridge was blue once. [2]\n\n"
        "Sources:\n[1] Text 2\n[2] Old\n"
    )


async def test_sources_are_events() -> None:
    log = await ask(given("Which bus goes to the Central Station?", *TEXTS[:2]))
    assert log.of(SourceFound) == [
        SourceFound("https://example.org/eiffel", "Eiffel Tower"),
        SourceFound("text:guide", "Museum guide"),
    ]
    assert log.of(SourceCited) == [SourceCited("text:guide")]


async def test_it_streams() -> None:
    log = await ask(given("How tall is the Eiffel Tower?", TOWER))
    assert len(log.of(OutputChunk)) > 8


async def test_without_texts_it_says_so_and_what_to_configure() -> None:
    text = said(await ask("What is the capital of Peru?"))
    assert "not a language model" in text and "I was given none" in text
    assert "FOREBAY_DEFAULT_MODEL" in text


async def test_if_nothing_fits_it_says_so() -> None:
    log = await ask(given("Who won the football cup?", *TEXTS[:2]))
    assert "Nothing in the 2 texts fits this question." in said(log)
    assert log.of(SourceCited) == []
    assert "Nothing in the text fits" in said(await ask(given("Who won?", TOWER)))


async def test_without_a_question_it_asks_for_one() -> None:
    assert "I need a question" in said(await ask(given("", TOWER)))


async def test_the_same_is_said_every_time_also_of_much() -> None:
    long = Text("\n\n".join(f"Sentence number {at} is about topic{at}." for at in range(2_000)))
    answers = {said(await ask(given("What is topic77 about?", long, TOWER))) for _ in range(2)}
    assert len(answers) == 1
    assert "> Sentence number 77 is about topic77. [1]" in answers.pop()


# --- what it is given ---------------------------------------------------------------------------

QUESTION = "How tall is it?"
TALL = "It is 330 metres tall."


@pytest.mark.parametrize(
    "value",
    [
        {"question": QUESTION, "texts": [TALL]},
        {"question": QUESTION, "texts": [{"text": TALL, "id": 7}]},
        {"input_message": QUESTION, "texts": [TALL]},
        {"messages": [{"role": "user", "content": QUESTION}], "texts": [TALL]},
        f"{TALL}\n\n{QUESTION}",
        f"{QUESTION}\n\n{TALL}",
        f"How tall is it, according to this:\n\n{TALL}",
        {"question": f"{TALL}\n\n{QUESTION}"},
        [{"role": "user", "content": QUESTION, "texts": [TALL]}],
        [{"role": "user", "content": f"{TALL}\n\nThanks?"}, {"role": "user", "content": QUESTION}],
        [{"role": "user", "content": [
            {"type": "text", "text": TALL}, {"type": "text", "text": QUESTION}]}],
        [{"role": "user", "content": [
            {"type": "document", "title": "x", "source": {"type": "text", "data": TALL}},
            {"type": "text", "text": QUESTION}]}],
        [{"role": "tool", "content": TALL}, {"role": "user", "content": QUESTION}],
    ],
)  # fmt: skip
async def test_texts_may_come_in_every_form(value: Json) -> None:
    log = await ask(value)
    assert f"> {TALL} [" in said(log)


def test_a_long_message_that_ends_with_a_question_is_a_text() -> None:
    sentences = [f"The house number {at} has a red door and a green roof." for at in range(5)]
    found = read_given(" ".join([*sentences, "Which door is red?"]))
    assert found.question == "Which door is red?"
    assert found.texts[0].text == " ".join(sentences)


def test_what_the_system_or_the_model_says_is_not_quoted() -> None:
    messages: Json = [
        {"role": "system", "content": "Secret.\n\nVery secret."},
        {"role": "assistant", "content": "I think so."},
        {"role": "user", "content": "What is secret?"},
    ]
    assert read_given(messages).texts == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "A text is taken"),
        ({}, "`question` is needed"),
        ({"question": "x", "texts": "y"}, "`texts` is a list"),
        ({"question": "x", "texts": [{"title": "y"}]}, "an object with `text`"),
        (["x"], "A message is an object"),
    ],
)
def test_other_input_is_refused(value: Json, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        make_extractive().read_input(value)
    assert refused.value.problems
