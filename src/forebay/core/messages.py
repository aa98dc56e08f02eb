"""What is said to a model and what it says: messages, tools it may call, and its reply."""

from typing import Literal, TypeAlias

import msgspec

from .events import Usage
from .json import Json

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A text inside a message that has more than text."""

    text: str


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image", omit_defaults=True):
    """An image inside a message: an https or a data URL."""

    url: str
    detail: str | None = None


Content: TypeAlias = str | tuple[TextPart | ImagePart, ...]


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that a model wants called. `arguments` is the text the model wrote, JSON or not."""

    id: str
    name: str
    arguments: str


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation with a model."""

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    answers: str | None = None
    """In a message of role `tool`: the id of the call that it answers."""

    @property
    def text(self) -> str:
        """The text of it, without images."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model is told of it. `parameters` is the JSON schema of an object."""

    name: str
    description: str
    parameters: Json


class ChatRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a model. None: as the model's configuration says, else as its provider does."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or the name of the tool to be called."""
    schema: Json = None
    """The JSON schema that the reply's text has to match."""
    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model answered."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage | None = None
    thinking: str | None = None
    model: str = ""
    """The name it is configured under."""
    cost_usd: float | None = None

    @property
    def message(self) -> ChatMessage:
        """The reply as the next message of the conversation."""
        return ChatMessage("assistant", self.text, self.tool_calls)
