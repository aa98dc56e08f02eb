"""The type `anthropic`: Anthropic's models, spoken to in Anthropic's own way."""

from collections.abc import Mapping
from dataclasses import replace

from forebay.builtins.models.configs import AnthropicConfig
from forebay.builtins.models.providers import ANTHROPIC, Naming, Place, make_source
from forebay.builtins.models.remote import RemoteModel
from forebay.core.json import Json
from forebay.ports.components import Parts, Registry
from forebay.ports.models import Model

from .speech import VERSION, Messages


def register(registry: Registry, environment: Mapping[str, str]) -> None:
    """Make the type known. `environment` has the provider's key and address."""

    def build(name: str, config: AnthropicConfig, parts: Parts) -> Model:
        return make(Naming(name, f"llms.{name}"), config, environment, parts)

    registry.add_model("anthropic", AnthropicConfig, build)


def make(
    naming: Naming, config: AnthropicConfig, environment: Mapping[str, str], parts: Parts
) -> Model:
    """A model of Anthropic's."""
    place = Place(
        ANTHROPIC,
        config.model_name,
        config.base_url,
        key_header="x-api-key",
        headers={"anthropic-version": VERSION},
    )
    source = make_source(naming, place, config, environment)
    url = source.url.removesuffix("/v1")
    source = replace(source, url=url, listing=f"{url}/v1/models?limit=1000")
    defaults: dict[str, Json] = {
        **config.extra_body,
        "max_tokens": config.max_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "stop_sequences": list[Json](config.stop) if config.stop else None,
        "thinking": config.thinking,
    }
    return RemoteModel(source, Messages(source, defaults), parts)
