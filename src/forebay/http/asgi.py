"""The names of the ASGI callables."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

WHEN_LOST = "forebay.when_lost"
"""The scope's extension of our own server: a set of callables for when the client has left."""

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
