"""Given texts: what may be quoted, and what is asked about it, in any form that people send.

Texts stand beside a question, are attached to messages, or are pasted around the question.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from forebay.core.errors import FieldProblem, InvalidInput
from forebay.core.json import Json

from .quoting import Text
from .sentences import sentences_of

_PARAGRAPHS = re.compile(r"\n\s*\n")
_ASKS = re.compile(r"[?\uff1f\u061f]['\"\u201d\u2019\u00bb)\]]*\s*$")
_PASTED_CHARACTERS = 200
_PASTED_SENTENCES = 3
_TEXT_PARTS = ("text", "input_text")
_FILE_PARTS = ("document", "file", "input_file")

_TEXT: Json = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "title": {"type": "string"},
                "url": {"type": "string"},
                "text": {"type": "string"},
            },
            "required": ["text"],
        },
    ]
}
INPUT_SCHEMA: Json = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "object"}},
        {
            "type": "object",
            "properties": {
                "question": {"type": "string"},
                "input_message": {"type": "string"},
                "messages": {"type": "array", "items": {"type": "object"}},
                "texts": {"type": "array", "items": _TEXT},
            },
        },
    ]
}
"""A text, messages, or a question with texts."""


class Given(NamedTuple):
    """A question, and the texts that may be quoted."""

    question: str
    texts: tuple[Text, ...]


def read_given(value: Json) -> Given:
    """Read the input. Raises InvalidInput."""
    if isinstance(value, str):
        return _pasted(value)
    if isinstance(value, list):
        return _in_messages(value, "input")
    if not isinstance(value, dict):
        raise _invalid("A text is taken, messages, or a question with texts.", "input")
    attached = tuple(_texts(value.get("texts"), "input", "texts"))
    question = value.get("question", value.get("input_message"))
    if isinstance(question, str):
        given = Given(question.strip(), ()) if attached else _pasted(question)
    elif isinstance(messages := value.get("messages"), list):
        given = _in_messages(messages, "input", "messages")
    else:
        raise _invalid("`question` is needed, a text, or `messages`, a list.", "input")
    return Given(given.question, attached + given.texts)


def _pasted(message: str) -> Given:
    """A message with a question, and perhaps texts above or below it."""
    paragraphs = [each.strip() for each in _PARAGRAPHS.split(message) if each.strip()]
    if len(paragraphs) < 2:
        return _pasted_in_line(message.strip())
    first, last = paragraphs[0], paragraphs[-1]
    if _ASKS.search(last):
        return Given(last, (Text("\n\n".join(paragraphs[:-1]), "your message"),))
    if _ASKS.search(first) or len(first) < _PASTED_CHARACTERS:
        return Given(first.rstrip(":"), (Text("\n\n".join(paragraphs[1:]), "your message"),))
    return Given("", (Text(message.strip(), "your message"),))


def _pasted_in_line(message: str) -> Given:
    sentences = [each.text for each in sentences_of(message)]
    is_long = len(message) > _PASTED_CHARACTERS and len(sentences) >= _PASTED_SENTENCES
    if is_long and _ASKS.search(sentences[-1]):
        return Given(sentences[-1], (Text(" ".join(sentences[:-1]), "your message"),))
    return Given(message, ())


# --- messages -----------------------------------------------------------------------------------


def _in_messages(messages: Sequence[Json], *where: str) -> Given:
    asked: list[Given] = []
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid("A message is an object with `role` and `content`.", *where, at)
        given = _in_message(message, *where, at)
        if message["role"] == "user":
            asked.append(given)
        elif message["role"] == "tool":
            asked.append(Given("", (Text(given.question), *given.texts)))
    question = next((each.question for each in reversed(asked) if each.question), "")
    texts = [text for each in asked for text in each.texts if text.text.strip()]
    return Given(question, tuple(texts))


def _in_message(message: dict[str, Json], *where: str | int) -> Given:
    content = message.get("content")
    attached = tuple(_texts(message.get("texts"), *where, "texts"))
    if isinstance(content, list):
        attached += tuple(_files(content))
        parts = [text for part in content if (text := _part(part, _TEXT_PARTS)) is not None]
        attached += tuple(Text(each, "your message") for each in parts[:-1])
        content = parts[-1] if parts else ""
    if not isinstance(content, str):
        return Given("", attached)
    if message.get("role") != "user":
        return Given(content, attached)
    given = _pasted(content)
    return Given(given.question, attached + given.texts)


def _files(parts: Iterable[Json]) -> Iterator[Text]:
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in _FILE_PARTS:
            continue
        source = part.get("source")
        text = part.get("text", source.get("data") if isinstance(source, dict) else None)
        if isinstance(text, str):
            yield Text(text, _text_in(part, "title") or _text_in(part, "filename"))


def _part(part: Json, kinds: Sequence[str]) -> str | None:
    if not isinstance(part, dict) or part.get("type") not in kinds:
        return None
    text = part.get("text")
    return text if isinstance(text, str) else None


def _texts(given: Json, *where: str | int) -> Iterator[Text]:
    if given is None:
        return
    if not isinstance(given, list):
        raise _invalid("`texts` is a list.", *where)
    for at, each in enumerate(given):
        if isinstance(each, str):
            yield Text(each)
        elif isinstance(each, dict) and isinstance(text := each.get("text"), str):
            fields = (_text_in(each, name) for name in ("title", "url", "id"))
            yield Text(text, *fields)
        else:
            raise _invalid("A text is a string, or an object with `text`.", *where, at)


def _text_in(given: dict[str, Json], name: str) -> str:
    value = given.get(name)
    return str(value) if isinstance(value, str | int) else ""


def _invalid(message: str, *where: str | int) -> InvalidInput:
    return InvalidInput(message, problems=[FieldProblem(tuple(where), message, "value_error")])
