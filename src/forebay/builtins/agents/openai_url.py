"""An OpenAI-compatible URL as an agent: `https://host/v1#model` passes conversations on to it."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from forebay.authoring import FunctionAgent
from forebay.core.errors import AgentLoadError
from forebay.ports.agent import Context
from forebay.ports.components import Parts
from forebay.ports.models import Model

from .conversation import Conversation, agent_of

_NAME = re.compile(r"[^a-z0-9_-]+")


def make_url_agent(source: str) -> FunctionAgent:
    """The agent at a URL. It asks the model whose name is the source: see `make_url_model`.

    Raises AgentLoadError.
    """
    url, model = _parted(source)

    async def answer(ctx: Context, conversation: Conversation) -> None:
        await ctx.chat(conversation.messages, model=source, say=True)

    name = _NAME.sub("-", model.lower()).strip("-") or "url"
    return agent_of(name, f"{model} at {url}", answer)


def make_url_model(source: str, parts: Parts, environment: Mapping[str, str]) -> Model:
    """The model at a URL, under the source as its name. `environment` has the keys of providers:
    each is only sent to where that provider is. Raises AgentLoadError."""
    from forebay.builtins.models.configs import CompatibleConfig
    from forebay.builtins.models.openai.speech import ChatCompletions
    from forebay.builtins.models.providers import COMPATIBLE, PROVIDERS, Naming, Place, make_source
    from forebay.builtins.models.remote import RemoteModel

    url, model = _parted(source)
    known = (each for each in PROVIDERS.values() if each.url and _origin(each.url) == _origin(url))
    place = Place(next(known, COMPATIBLE), model, url)
    config = CompatibleConfig(model_name=model, base_url=url)
    at = make_source(Naming(source, ""), place, config, environment)
    return RemoteModel(at, ChatCompletions(at, {}), parts)


def _parted(source: str) -> tuple[str, str]:
    """The URL, and the name of the model there."""
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AgentLoadError(f"This is no URL of an agent: {error}.") from error
    if not host or not parts.fragment:
        raise AgentLoadError("A URL of an agent has the form https://host/v1#model.")
    if parts.username is not None or parts.query:
        raise AgentLoadError(
            f"The URL of the agent at {host} has a user or a query. It is shown to people: give a "
            "key in a workflow file, with `_type: openai` and `base_url`."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts: SplitResult = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
