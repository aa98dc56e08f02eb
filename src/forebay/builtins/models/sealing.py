"""Sealed thoughts: what a provider wants back with its tool calls, and only it understands.

They stand in the reply, and so in the log. Nobody but the kind of provider they are from gets them.
"""

from forebay.core.codec import encode_json
from forebay.core.json import Json
from forebay.core.messages import ChatMessage

from .source import Source

_LARGEST = 1024 * 1024  # bytes as JSON; what is large stands beside the log


def seal(source: Source, thoughts: Json) -> Json:
    """What is put into the reply; None if there is nothing, or too much."""
    if not thoughts or len(encode_json(thoughts)) > _LARGEST:
        return None
    return {"kind": source.kind, "thoughts": thoughts}


def thoughts_in(message: ChatMessage, source: Source) -> Json:
    """What this kind of provider has sealed in a message; None if it has not."""
    sealed = message.sealed
    if not isinstance(sealed, dict) or sealed.get("kind") != source.kind:
        return None
    return sealed.get("thoughts")
