"""An OpenAI-compatible URL as an agent."""

import pytest

from forebay.builtins.agents.openai_url import make_url_agent, make_url_model
from forebay.builtins.models.remote import RemoteModel
from forebay.control.models import ModelCatalogue
from forebay.core.errors import AgentLoadError
from forebay.core.json import Json
from tests.support.acting import HeardModel, ItsParts, answer, said
from tests.support.attempts import InMemory

SOURCE = "https://models.example.org:8443/v1/#Qwen/Qwen2.5-7B"


def test_it_is_named_after_its_model() -> None:
    made = make_url_agent(SOURCE)
    assert made.name == "qwen-qwen2-5-7b"
    assert made.description == "Qwen/Qwen2.5-7B at https://models.example.org:8443/v1"


async def test_it_passes_the_conversation_on_and_streams_the_answer() -> None:
    model = HeardModel("x", "Hello you.")
    memory = InMemory(models=ModelCatalogue({SOURCE: model}))
    messages: list[Json] = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"},
        {"role": "user", "content": "ho"},
    ]  # fmt: skip
    log = await answer(memory, make_url_agent(SOURCE), messages)
    assert said(log) == "Hello you."
    assert model.told() == [("user", "hi"), ("assistant", "x"), ("user", "ho")]


def test_its_model_has_the_source_as_its_name() -> None:
    model = make_url_model(SOURCE, ItsParts(), {})
    assert model.name == SOURCE
    assert model.provider == "openai_compatible at https://models.example.org:8443/v1"


@pytest.mark.parametrize(
    ("source", "provider"),
    [
        ("https://api.openai.com/v1#gpt-4.1-mini", "openai at https://api.openai.com/v1"),
        ("https://api.openai.com.evil.example/v1#x", "openai_compatible at"),
        ("http://api.openai.com/v1#x", "openai_compatible at"),
        ("https://api.openai.com:8443/v1#x", "openai_compatible at"),
    ],
)
async def test_a_key_is_only_for_where_its_provider_is(source: str, provider: str) -> None:
    model = make_url_model(source, ItsParts(), {"OPENAI_API_KEY": "sk-0123456789abcdef"})
    assert isinstance(model, RemoteModel)
    assert model.provider.startswith(provider)
    key = model._source.key  # pyright: ignore[reportPrivateUsage]
    assert (key is not None) == (provider == f"openai at {source.partition('#')[0]}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://host/v1", "has the form"),
        ("https:///v1#m", "has the form"),
        ("https://[host/v1#m", "is no URL"),
        ("https://host:port/v1#m", "is no URL"),
        ("https://ada:secret@host/v1#m", "give a key in a workflow file"),
        ("https://host/v1?key=secret#m", "give a key in a workflow file"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_secrets(source: str, message: str) -> None:
    with pytest.raises(AgentLoadError, match=message) as refused:
        make_url_agent(source)
    assert "secret" not in refused.value.message
