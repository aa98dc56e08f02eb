"""Forebay: the server in front of your agents."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.authoring import Message, act, agent, tool
    from forebay.core import events
    from forebay.core.errors import QuestionTimedOut, StepFailed
    from forebay.core.events import Option, Prompt
    from forebay.ports.agent import BlockingContext, Context

__all__ = [
    "BlockingContext",
    "Context",
    "Message",
    "Option",
    "Prompt",
    "QuestionTimedOut",
    "StepFailed",
    "act",
    "agent",
    "events",
    "tool",
]

_HOMES = {
    "BlockingContext": "forebay.ports.agent",
    "Context": "forebay.ports.agent",
    "Message": "forebay.authoring",
    "Option": "forebay.core.events",
    "Prompt": "forebay.core.events",
    "QuestionTimedOut": "forebay.core.errors",
    "StepFailed": "forebay.core.errors",
    "act": "forebay.authoring",
    "agent": "forebay.authoring",
    "tool": "forebay.authoring",
}


def __getattr__(name: str) -> object:
    # On first use: the client and the command line import this package too, and need none of it.
    if name == "events":
        return import_module("forebay.core.events")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
