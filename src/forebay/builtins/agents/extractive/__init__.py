"""extractive: answers from texts that it is given, by quoting them. It is no language model.

What is there without any key. It says what it is, quotes word for word, and cites; if nothing fits
it says so.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

from forebay.authoring import FunctionAgent
from forebay.core.events import SourceCited, SourceFound
from forebay.core.json import Json
from forebay.ports.agent import BlockingContext, Context

from .given_texts import INPUT_SCHEMA, Given, read_given
from .quoting import Quote, Text, best_quotes

_LARGE_CHARACTERS = 20_000  # more takes so long that others have to get their turn meanwhile

_WHAT_I_AM = "I am not a language model: I only quote from texts that I am given."
_NO_TEXTS = (
    f"{_WHAT_I_AM} I was given none. Send some with the question, as "
    '{"question": "...", "texts": [{"title": "...", "text": "..."}]}, or below it in the message.'
)
_NO_QUESTION = f"{_WHAT_I_AM} I need a question about them."
_ADVICE = (
    "For answers in its own words configure a language model: set FOREBAY_DEFAULT_MODEL, for "
    "instance to openai/gpt-4.1-mini, with the key of its provider, or serve a workflow file with "
    "`llms`."
)


def make_extractive() -> FunctionAgent:
    """The agent that quotes."""

    async def extractive(ctx: Context, given: Given) -> AsyncGenerator[str]:
        for at, text in enumerate(given.texts):
            ctx.emit(SourceFound(_address(text, at), text.title or None))
        if not given.texts or not given.question:
            yield f"{_NO_TEXTS if not given.texts else _NO_QUESTION}\n\n{_ADVICE}\n"
            return
        quotes = await _quotes(given)
        if not quotes:
            yield f"{_WHAT_I_AM} {_nothing_in(given.texts)} fits this question.\n\n{_ADVICE}\n"
            return
        order = list(dict.fromkeys(quote.source for quote in quotes))
        for source in order:
            ctx.emit(SourceCited(_address(given.texts[source], source)))
        for piece in _answer(quotes, order, given.texts):
            yield piece

    def call(ctx: Context | BlockingContext, value: object) -> object:
        assert isinstance(value, Given)
        return extractive(ctx, value)  # pyright: ignore[reportArgumentType]

    return FunctionAgent(
        "extractive",
        "Quotes from texts it is given; no language model",
        "async generator",
        INPUT_SCHEMA,
        call,
        _read,
    )


def _read(value: Json) -> Given:
    return read_given(value)


async def _quotes(given: Given) -> list[Quote]:
    if sum(len(text.text) for text in given.texts) <= _LARGE_CHARACTERS:
        return best_quotes(given.question, given.texts)
    return await asyncio.to_thread(best_quotes, given.question, given.texts)


def _answer(quotes: Sequence[Quote], order: Sequence[int], texts: Sequence[Text]) -> Iterator[str]:
    yield f"{_WHAT_I_AM} This fits best:\n\n"
    for quote in quotes:
        yield "> "
        for word in quote.text.split(" "):
            yield f"{word} "
        yield f"[{order.index(quote.source) + 1}]\n\n"
    yield "Sources:\n"
    for number, source in enumerate(order, 1):
        yield f"[{number}] {_named(texts[source], source)}\n"


def _address(text: Text, at: int) -> str:
    return text.url or f"text:{text.id or at + 1}"


def _named(text: Text, at: int) -> str:
    parts = [part for part in (text.title or text.id, text.url) if part]
    return ", ".join(parts) or f"Text {at + 1}"


def _nothing_in(texts: Sequence[Text]) -> str:
    return "Nothing in the text" if len(texts) == 1 else f"Nothing in the {len(texts)} texts"
