"""The Python client: `Client` for code that blocks, `AsyncClient` for an event loop.

    with Client("http://127.0.0.1:8000") as forebay:
        run = forebay.submit("hello", agent="echo")
        for entry in forebay.events(run):
            print(entry.number, entry.event)

It imports nothing of the server but its vocabulary.
"""

from .asynchronous import AsyncClient
from .errors import (
    ApiError,
    ClientError,
    Conflict,
    Denied,
    NotFound,
    Rejected,
    Unavailable,
    Unreachable,
    Unreadable,
)
from .following import Following
from .models import (
    AgentInfo,
    AnyEvent,
    Entry,
    Failure,
    Question,
    Run,
    RunFilter,
    RunOptions,
    RunPage,
    UnknownEvent,
    Usage,
)
from .patience import Patience
from .sync import Client

__all__ = [
    "AgentInfo",
    "AnyEvent",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "Denied",
    "Entry",
    "Failure",
    "Following",
    "NotFound",
    "Patience",
    "Question",
    "Rejected",
    "Run",
    "RunFilter",
    "RunOptions",
    "RunPage",
    "Unavailable",
    "UnknownEvent",
    "Unreachable",
    "Unreadable",
    "Usage",
]
