"""The types of models that are spoken to as OpenAI is, and names that stand for themselves."""

import re
from collections.abc import Mapping

from forebay.builtins.models import anthropic
from forebay.builtins.models.configs import (
    AnthropicConfig,
    AzureConfig,
    AzureEmbedderConfig,
    Chatting,
    Compatible,
    CompatibleConfig,
    CompatibleEmbedderConfig,
    Embedding,
    LiteLLMConfig,
    NimConfig,
    NimEmbedderConfig,
    OpenAIConfig,
    OpenAIEmbedderConfig,
)
from forebay.builtins.models.embedding import RemoteEmbedder
from forebay.builtins.models.providers import (
    ANTHROPIC,
    AZURE,
    COMPATIBLE,
    NIM,
    OPENAI,
    PROVIDERS,
    Naming,
    Place,
    Provider,
    at_azure,
    make_source,
    split,
)
from forebay.builtins.models.remote import RemoteModel
from forebay.core.errors import ModelNotFound, WorkflowError
from forebay.core.json import Json
from forebay.ports.components import Parts, Registry
from forebay.ports.models import Embedder, Model

from .speech import ChatCompletions, Fields

_NEMOTRON = re.compile(r"nvidia/(?:llama|nvidia).*nemotron", re.IGNORECASE)
_FIRST_NEMOTRON = re.compile(r"nvidia/llama.*v1(?:[-_.][01])?$", re.IGNORECASE)
_ANY_ADDRESS = ("hosted_vllm/", "custom_openai/", "litellm_proxy/")


def register(registry: Registry, environment: Mapping[str, str]) -> None:
    """Make the types known. `environment` has the keys and addresses of providers."""
    models, embedders = _Models(environment), _Embedders(environment)
    registry.add_model("openai", OpenAIConfig, models.openai)
    registry.add_model("nim", NimConfig, models.nim)
    registry.add_model("azure_openai", AzureConfig, models.azure)
    registry.add_model("openai_compatible", CompatibleConfig, models.compatible)
    registry.add_model("litellm", LiteLLMConfig, models.litellm)
    registry.add_embedder("openai", OpenAIEmbedderConfig, embedders.openai)
    registry.add_embedder("nim", NimEmbedderConfig, embedders.nim)
    registry.add_embedder("azure_openai", AzureEmbedderConfig, embedders.azure)
    registry.add_embedder("openai_compatible", CompatibleEmbedderConfig, embedders.compatible)


def named_model(name: str, parts: Parts, environment: Mapping[str, str]) -> Model | None:
    """The model of a name such as `openai/gpt-4.1-mini`, for which there is no configuration.

    None: its first part is no provider's name. Raises ModelNotFound if it is Azure's and nobody
    has told where.
    """
    found = split(name)
    if found is None:
        return None
    config = LiteLLMConfig(model_name=name)
    try:
        return _Models(environment).known(Naming(name, ""), found, config, parts)
    except WorkflowError as error:
        raise ModelNotFound(error.message) from None


class _Models:
    """Makes models of configurations."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def openai(self, name: str, config: OpenAIConfig, parts: Parts) -> Model:
        place = self._at_openai(config.model_name, config.base_url)
        return self._chatting(_configured(name), place, config, parts)

    def nim(self, name: str, config: NimConfig, parts: Parts) -> Model:
        place = Place(NIM, config.model_name, config.base_url)
        return self._chatting(_configured(name), place, config, parts)

    def azure(self, name: str, config: AzureConfig, parts: Parts) -> Model:
        naming = _configured(name)
        place = _at_azure(naming, config, self._environment)
        return self._chatting(naming, place, config, parts)

    def compatible(self, name: str, config: CompatibleConfig, parts: Parts) -> Model:
        place = Place(COMPATIBLE, config.model_name, config.base_url)
        return self._chatting(_configured(name), place, config, parts)

    def litellm(self, name: str, config: LiteLLMConfig, parts: Parts) -> Model:
        naming = _configured(name)
        if found := split(config.model_name):
            return self.known(naming, found, config, parts)
        bare = config.model_name
        for prefix in _ANY_ADDRESS:
            bare = bare.removeprefix(prefix)
        if config.base_url:
            place = Place(COMPATIBLE, bare, config.base_url)
        elif "/" not in bare and bare.startswith("claude-"):
            return self.known(naming, (ANTHROPIC, bare), config, parts)
        elif "/" not in bare:
            place = self._at_openai(bare, None)
        else:
            raise WorkflowError(
                f"{naming.section}: no provider is known for {config.model_name!r}. Begin the name "
                f"with one of {', '.join(sorted(PROVIDERS))} and a slash, or give a base_url."
            )
        return self._chatting(naming, place, config, parts)

    def known(
        self,
        naming: Naming,
        found: tuple[Provider, str],
        config: LiteLLMConfig,
        parts: Parts,
    ) -> Model:
        """A model of a provider that is known by name."""
        provider, model = found
        if provider is ANTHROPIC:
            return anthropic.make(naming, _for_anthropic(model, config), self._environment, parts)
        if provider is AZURE:
            azure = AzureConfig.model_validate(
                {"model_name": model, "azure_endpoint": config.base_url}
            )
            place = _at_azure(naming, azure, self._environment)
        elif provider is OPENAI:
            place = self._at_openai(model, config.base_url)
        else:
            place = Place(provider, model, config.base_url)
        return self._chatting(naming, place, config, parts)

    def _at_openai(self, model: str, url: str | None) -> Place:
        organisation = self._environment.get("OPENAI_ORG_ID")
        headers = {"openai-organization": organisation} if organisation else {}
        return Place(OPENAI, model, url, headers=headers)

    def _chatting(
        self, naming: Naming, place: Place, config: Compatible, parts: Parts
    ) -> RemoteModel:
        source = make_source(naming, place, config, self._environment)
        preamble = _preamble(naming, place.model, thinks=config.thinking)
        return RemoteModel(source, ChatCompletions(source, _fields(config), preamble), parts)


class _Embedders:
    """Makes embedders of configurations."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def openai(self, name: str, config: OpenAIEmbedderConfig, parts: Parts) -> Embedder:
        place = Place(OPENAI, config.model_name, config.base_url)
        return self._embedding(name, place, config, parts, {})

    def nim(self, name: str, config: NimEmbedderConfig, parts: Parts) -> Embedder:
        place = Place(NIM, config.model_name, config.base_url)
        more: Fields = {"input_type": config.input_type, "truncate": config.truncate}
        return self._embedding(name, place, config, parts, more)

    def azure(self, name: str, config: AzureEmbedderConfig, parts: Parts) -> Embedder:
        naming = Naming(name, f"embedders.{name}")
        place = _at_azure(naming, config, self._environment)
        return self._embedding(name, place, config, parts, {})

    def compatible(self, name: str, config: CompatibleEmbedderConfig, parts: Parts) -> Embedder:
        place = Place(COMPATIBLE, config.model_name, config.base_url)
        return self._embedding(name, place, config, parts, {"input_type": config.input_type})

    def _embedding(
        self, name: str, place: Place, config: Embedding, parts: Parts, more: Fields
    ) -> RemoteEmbedder:
        naming = Naming(name, f"embedders.{name}")
        source = make_source(naming, place, config, self._environment)
        packed = "base64" if source.url == OPENAI.url or place.provider is AZURE else "float"
        fields: Fields = {
            **config.extra_body,
            "encoding_format": config.encoding_format or packed,
            "dimensions": config.dimensions,
            **more,
        }
        return RemoteEmbedder(source, fields, config.batch_size, parts)


def _configured(name: str) -> Naming:
    return Naming(name, f"llms.{name}")


def _at_azure(
    naming: Naming, config: AzureConfig | AzureEmbedderConfig, environment: Mapping[str, str]
) -> Place:
    try:
        return at_azure(config.model_name, config.azure_endpoint, config.api_version, environment)
    except ValueError as error:
        raise WorkflowError(f"{naming.section or naming.name}: {error}.") from None


def _for_anthropic(model: str, config: LiteLLMConfig) -> AnthropicConfig:
    """What a configuration says that also holds for Anthropic's models."""
    shared = {name: getattr(config, name) for name in Chatting.model_fields}
    shared |= {"model_name": model, "base_url": config.base_url}
    return AnthropicConfig.model_validate(shared)


def _fields(config: Compatible) -> Fields:
    return {
        **config.extra_body,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "stop": list[Json](config.stop) if config.stop else None,
        "seed": config.seed,
        "frequency_penalty": config.frequency_penalty,
        "presence_penalty": config.presence_penalty,
        "reasoning_effort": config.reasoning_effort,
        "parallel_tool_calls": config.parallel_tool_calls,
        "chat_template_kwargs": config.chat_template_kwargs,
    }


def _preamble(naming: Naming, model: str, *, thinks: bool | None) -> str | None:
    """What tells a Nemotron model to think, or not to."""
    if thinks is None:
        return None
    if not _NEMOTRON.match(model):
        raise WorkflowError(
            f"{naming.section}.thinking: only NVIDIA's Nemotron models can be told to think so; "
            f"{model} is none. Others take reasoning_effort, or chat_template_kwargs."
        )
    if _FIRST_NEMOTRON.match(model):
        return f"detailed thinking {'on' if thinks else 'off'}"
    return "/think" if thinks else "/no_think"
