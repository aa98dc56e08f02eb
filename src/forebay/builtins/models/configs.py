"""What a workflow file says of a model or an embedder. Names are those of NAT where it has them.

A field of NAT's that changes nothing here is accepted, and named at the start when a file sets it.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
)

from forebay.core.json import Json
from forebay.ports.models import Price

DEFAULT_RETRIES = 2
DEFAULT_TIMEOUT_SECONDS = 300.0

_Value = TypeVar("_Value")


def _idle(default: _Value) -> _Value:
    """A field without an effect."""
    field: Any = Field(default=default, json_schema_extra={"has_effect": False})
    return field


def _is_http(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_http = False
    if url and not is_http:  # nothing is what a variable without a value leaves
        raise ValueError("it has to be an http or https URL")
    return url


_Url: TypeAlias = Annotated[str, AfterValidator(_is_http)]


class Cost(BaseModel):
    """What a million tokens cost, in US dollars."""

    model_config = ConfigDict(extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(default=0.0, ge=0)

    @property
    def price(self) -> Price:
        return Price(self.input, self.output)


class Remote(BaseModel):
    """What any model at a provider has."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), frozen=True)

    model_name: str = Field(
        min_length=1,
        validation_alias=AliasChoices("model_name", "model"),
        description="The provider's name for the model.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="The key; if there is none, that of the provider's variable."
    )
    default_headers: dict[str, SecretStr] = Field(
        default_factory=dict[str, SecretStr],
        validation_alias=AliasChoices("default_headers", "extra_headers"),
        description="Headers that go with every call.",
    )
    extra_body: dict[str, Json] = Field(
        default_factory=dict[str, Json],
        validation_alias=AliasChoices("extra_body", "model_kwargs"),
        description="Further fields of every request.",
    )
    request_timeout: float | None = Field(
        default=None,
        gt=0,
        validation_alias=AliasChoices("request_timeout", "timeout"),
        description="How many seconds to wait for the next bytes of an answer (300).",
    )
    max_retries: int | None = Field(
        default=None, ge=0, description="How often to try again what may pass (2)."
    )
    price: Cost | None = Field(default=None, description="What a million tokens cost.")
    do_auto_retry: bool = Field(default=True, description="Whether to try anything again.")
    num_retries: PositiveInt | None = Field(
        default=None, description="How often to try at most, the first time included."
    )
    retry_on_status_codes: list[int | str] | None = _idle(None)
    retry_on_errors: list[str] | None = _idle(None)
    verify_ssl: bool = _idle(True)

    @property
    def retries(self) -> int:
        """How often to try again."""
        if not self.do_auto_retry:
            return 0
        if self.max_retries is not None:
            return self.max_retries
        return DEFAULT_RETRIES if self.num_retries is None else self.num_retries - 1


class Chatting(Remote):
    """What any model that converses has."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: PositiveInt | None = Field(
        default=None,
        validation_alias=AliasChoices("max_tokens", "max_completion_tokens"),
        description="How long a reply may be.",
    )
    stop: list[str] | None = Field(default=None, description="What ends a reply.")
    fallbacks: list[str] = Field(
        default_factory=list[str],
        json_schema_extra={"refers_to": "llms"},
        description="The models that are asked when this one cannot answer, in order.",
    )
    context_tokens: PositiveInt | None = Field(
        default=None, description="How long a conversation may be. A longer one is not sent."
    )
    api_type: Literal["chat_completion"] = "chat_completion"
    streaming: bool | None = _idle(None)
    stream_usage: bool | None = _idle(None)
    optimizable_params: list[str] | None = _idle(None)
    search_space: dict[str, Json] | None = _idle(None)


class Compatible(Chatting):
    """What everybody has who speaks as OpenAI does."""

    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Json] | None = None
    thinking: bool | None = Field(
        default=None, description="Whether a Nemotron model is to think before it answers."
    )


class OpenAIConfig(Compatible):
    """`openai`: OpenAI, or whoever stands at `base_url`."""

    base_url: _Url | None = None


class NimConfig(Compatible):
    """`nim`: NVIDIA's models, hosted by NVIDIA or at `base_url`."""

    base_url: _Url | None = None
    max_tokens: PositiveInt | None = Field(
        default=300,
        validation_alias=AliasChoices("max_tokens", "max_completion_tokens"),
        description="How long a reply may be.",
    )


class CompatibleConfig(Compatible):
    """`openai_compatible`: any server that speaks as OpenAI does: vLLM, llama.cpp, Ollama."""

    base_url: _Url = Field(min_length=1)


class LiteLLMConfig(Compatible):
    """`litellm`: a model by a name such as `groq/llama-3.3-70b-versatile`."""

    base_url: _Url | None = Field(
        default=None, validation_alias=AliasChoices("base_url", "api_base")
    )


class _AtAzure(Remote):
    """Where a deployment is."""

    model_name: str = Field(
        min_length=1,
        validation_alias=AliasChoices("azure_deployment", "model_name", "model"),
        description="The name of the deployment.",
    )
    azure_endpoint: _Url | None = Field(
        default=None, validation_alias=AliasChoices("azure_endpoint", "base_url")
    )
    api_version: str | None = None


class AzureConfig(_AtAzure, Compatible):
    """`azure_openai`: a deployment at Azure."""


class AnthropicConfig(Chatting):
    """`anthropic`: Anthropic's models."""

    base_url: _Url | None = None
    top_k: int | None = None
    thinking: dict[str, Json] | None = Field(
        default=None, description="As Anthropic has it: {type: enabled, budget_tokens: 2000}."
    )


# --- embedders ----------------------------------------------------------------------------------


class Embedding(Remote):
    """What any embedder has."""

    dimensions: PositiveInt | None = Field(default=None, description="How long a vector is to be.")
    batch_size: PositiveInt = Field(default=100, description="How many texts go with a call.")
    encoding_format: Literal["float", "base64"] | None = Field(
        default=None, description="How vectors travel: base64 is a third of the size."
    )


class OpenAIEmbedderConfig(Embedding):
    """`openai`: OpenAI's embedders, or those at `base_url`."""

    base_url: _Url | None = None


class NimEmbedderConfig(Embedding):
    """`nim`: NVIDIA's embedders, which want to know what a text is for."""

    base_url: _Url | None = None
    truncate: Literal["NONE", "START", "END"] = "NONE"
    input_type: Literal["query", "passage"] = Field(
        default="query", description="What the texts are: questions, or what is searched."
    )


class CompatibleEmbedderConfig(Embedding):
    """`openai_compatible`: any server that embeds as OpenAI does."""

    base_url: _Url = Field(min_length=1)
    input_type: Literal["query", "passage"] | None = None


class AzureEmbedderConfig(_AtAzure, Embedding):
    """`azure_openai`: a deployment of an embedder at Azure."""
