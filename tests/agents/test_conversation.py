"""What agents that converse take as input, and how much of it they keep in mind."""

import pytest

from forebay.builtins.agents.conversation import read_conversation
from forebay.core.errors import InvalidInput
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, ImagePart

USER: Json = {"role": "user", "content": "hi"}


def conversation(*said: str) -> list[Json]:
    """Messages from `user: text`."""
    return [dict(zip(("role", "content"), each.split(": ", 1), strict=True)) for each in said]


def texts(messages: list[ChatMessage]) -> list[str]:
    return [f"{each.role}: {each.text}" for each in messages]


@pytest.mark.parametrize(
    "value",
    ["hi", [USER], {"input_message": "hi"}, {"messages": [USER], "model": "x", "stream": True}],
)
def test_the_same_is_said_in_every_form(value: Json) -> None:
    assert read_conversation(value).messages == (ChatMessage("user", "hi"),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "A text is taken"),
        ([], "There is no message"),
        ({"messages": []}, "There is no message"),
        (["hi"], "A message is an object"),
        ([{"content": "x"}], "role"),
        ([{"role": "king", "content": "x"}], "role"),
        ({}, "`input_message` is needed"),
        ({"input_message": 5}, "is a text"),
        ({"input_message": "x", "messages": [USER]}, "nothing else"),
        ({"input_message": "x", "model": "y"}, "nothing else"),
    ],
)
def test_other_input_is_refused(value: Json, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        read_conversation(value)
    assert refused.value.problems


def test_the_question_is_the_last_message_of_the_user() -> None:
    said = read_conversation(conversation("user: a", "assistant: b", "user: c", "assistant: d"))
    assert said.question == "c"


def test_images_are_kept() -> None:
    part: Json = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    (message,) = read_conversation([{"role": "user", "content": [part]}]).messages
    assert message.content == (ImagePart("https://example.org/cat.png"),)


@pytest.mark.parametrize(
    ("said", "count", "kept"),
    [
        (["user: a", "assistant: b", "user: c"], 3, ["user: a", "assistant: b", "user: c"]),
        (["user: a", "assistant: b", "user: c"], 2, ["user: c"]),
        (["user: a", "assistant: b", "user: c"], 1, ["user: c"]),
        (["system: s", "user: a", "assistant: b", "user: c"], 2, ["system: s", "user: c"]),
        (["system: s", "user: a", "assistant: b", "user: c"], 1, ["system: s", "user: c"]),
        (["user: a", "assistant: b", "tool: c", "tool: d"], 2,
         ["user: a", "assistant: b", "tool: c", "tool: d"]),
        (["assistant: a", "assistant: b"], 1, ["assistant: a", "assistant: b"]),
    ],
)  # fmt: skip
def test_the_last_messages_are_kept_from_one_of_the_user_on(
    said: list[str], count: int, kept: list[str]
) -> None:
    assert texts([*read_conversation(conversation(*said)).recent(count).messages]) == kept


def test_whatever_the_system_says_is_one_message() -> None:
    said = read_conversation(conversation("user: a", "system: two", "user: b"))
    assert texts(said.told("one", None)) == ["system: one\n\ntwo", "user: a", "user: b"]
    assert texts(read_conversation("a").told(None, "")) == ["user: a"]
