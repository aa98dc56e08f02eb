"""The types that Forebay brings itself. They come through the same door as those of plugins."""

from collections.abc import Mapping

from forebay.ports.components import Registry


def register(registry: Registry, environment: Mapping[str, str]) -> None:
    """Add every built-in type. `environment` has the keys and addresses of providers."""
    # Whoever has no workflow file needs none of them.
    from .agents import chat_completion, react, router, sequential, tool_calling
    from .models import anthropic, openai, scripted
    from .tools import calculator, current_datetime, fetch_page, mcp, web_search

    for module in (
        *(chat_completion, react, router, sequential, tool_calling),
        *(scripted, calculator, current_datetime, fetch_page, mcp),
    ):
        module.register(registry)
    for module in (openai, anthropic, web_search):
        module.register(registry, environment)
