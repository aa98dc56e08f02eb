"""Forebay: the server in front of your agents."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.authoring import Message, agent
    from forebay.core import events
    from forebay.ports.agent import Context

__all__ = ["Context", "Message", "agent", "events"]

_HOMES = {
    "Context": "forebay.ports.agent",
    "Message": "forebay.authoring",
    "agent": "forebay.authoring",
}


def __getattr__(name: str) -> object:
    # On first use: the client and the command line import this package too, and need none of it.
    if name == "events":
        return import_module("forebay.core.events")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
