"""Providers that are known by name: where they are, and which variable holds the key for them.

A name such as `groq/llama-3.3-70b-versatile` is of two parts: the provider, and its model.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import SecretStr

from .configs import DEFAULT_TIMEOUT_SECONDS, Chatting, Remote
from .prices import price_of
from .source import KeyHeader, Source

AZURE_VERSION = "2025-04-01-preview"
_PRICED = frozenset({"openai", "azure", "anthropic"})


class Provider(NamedTuple):
    """Somebody who runs models."""

    kind: str
    url: str = ""
    key_variables: tuple[str, ...] = ()
    url_variables: tuple[str, ...] = ()
    needs_key: bool = True
    """Whether it needs one at its own address."""


class Place(NamedTuple):
    """Where a model is, as its configuration says."""

    provider: Provider
    model: str
    url: str | None = None
    """Empty: at the provider's own address."""
    query: str = ""
    listing: str | None = None
    """Where models are listed, if not at `/models`."""
    key_header: KeyHeader = "authorization"
    headers: Mapping[str, str] = {}


class Naming(NamedTuple):
    """What a model is called, and where that stands."""

    name: str
    section: str


OPENAI = Provider(
    "openai",
    "https://api.openai.com/v1",
    ("OPENAI_API_KEY",),
    ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
)
NIM = Provider(
    "nim",
    "https://integrate.api.nvidia.com/v1",
    ("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
    ("NVIDIA_BASE_URL",),
)
ANTHROPIC = Provider(
    "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",), ("ANTHROPIC_BASE_URL",)
)
AZURE = Provider("azure", "", ("AZURE_OPENAI_API_KEY",), ("AZURE_OPENAI_ENDPOINT",))
COMPATIBLE = Provider("openai_compatible", needs_key=False)

_OTHERS = (
    Provider("ollama", "http://127.0.0.1:11434/v1", needs_key=False),
    Provider("lm_studio", "http://127.0.0.1:1234/v1", needs_key=False),
    Provider("groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    Provider("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
    Provider("together", "https://api.together.xyz/v1", ("TOGETHER_API_KEY", "TOGETHERAI_API_KEY")),
    Provider("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
    Provider("deepseek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",)),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    Provider("xai", "https://api.x.ai/v1", ("XAI_API_KEY",)),
    Provider("fireworks", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",)),
    Provider("cerebras", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",)),
)
_ALIASES = {
    "nvidia_nim": "nim",
    "ollama_chat": "ollama",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "azure_openai": "azure",
}
PROVIDERS: Mapping[str, Provider] = {
    each.kind: each for each in (OPENAI, NIM, ANTHROPIC, AZURE, *_OTHERS)
}


def split(name: str) -> tuple[Provider, str] | None:
    """The provider and the model of a name of two parts; None if the first is not known."""
    first, _, model = name.partition("/")
    provider = PROVIDERS.get(_ALIASES.get(first, first))
    return (provider, model) if provider and model else None


def make_source(
    naming: Naming, place: Place, config: Remote, environment: Mapping[str, str]
) -> Source:
    """Where the calls of a model go, and with which key."""
    provider = place.provider
    url = (place.url or _first(environment, provider.url_variables) or provider.url).rstrip("/")
    key = _trimmed(config.api_key, _first(environment, provider.key_variables))
    price = config.price.price if config.price else None
    if price is None and provider.kind in _PRICED:
        price = price_of(place.model)
    chatting = config if isinstance(config, Chatting) else None
    return Source(
        name=naming.name,
        section=naming.section,
        kind=provider.kind,
        model=place.model,
        url=url,
        key=key,
        key_variable=provider.key_variables[0] if provider.key_variables else None,
        needs_key=provider.needs_key
        and url in {provider.url, place.url if provider is AZURE else None}
        and not config.default_headers,
        key_header=place.key_header,
        headers=config.default_headers,
        plain_headers=place.headers,
        query=place.query,
        listing=f"{url}/models" if place.listing is None else place.listing,
        lists_models=provider is not AZURE,
        timeout_seconds=config.request_timeout or DEFAULT_TIMEOUT_SECONDS,
        retries=config.retries,
        fallbacks=tuple(chatting.fallbacks) if chatting else (),
        price=price,
        context_tokens=chatting.context_tokens if chatting else None,
    )


def at_azure(
    deployment: str, endpoint: str | None, version: str | None, environment: Mapping[str, str]
) -> Place:
    """The place of a deployment at Azure, whose endpoint may be of the old or the new form.

    Raises ValueError if no endpoint is known.
    """
    found = (endpoint or _first(environment, AZURE.url_variables) or "").rstrip("/")
    if not found:
        raise ValueError("it needs an azure_endpoint, or the variable AZURE_OPENAI_ENDPOINT")
    if found.endswith("/openai/v1"):
        query = f"api-version={version}" if version else ""
        return Place(AZURE, deployment, found, query, None, "api-key")
    if "/openai/deployments/" in found:
        found = found.partition("/openai/deployments/")[0]
    found = found.removesuffix("/openai")
    told = _first(environment, ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION"))
    query = f"api-version={version or told or AZURE_VERSION}"
    url = f"{found}/openai/deployments/{deployment}"
    return Place(AZURE, deployment, url, query, f"{found}/openai/models?{query}", "api-key")


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def _trimmed(configured: SecretStr | None, variable: str | None) -> SecretStr | None:
    """A key often comes with the end of the line it stood in."""
    told = (configured.get_secret_value() if configured else "").strip() or (variable or "").strip()
    return SecretStr(told) if told else None
