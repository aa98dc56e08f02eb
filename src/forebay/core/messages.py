"""What is said to a model and what it says: messages, tools it may call, and its reply."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, cast

import msgspec

from .errors import FieldProblem, InvalidInput
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
    sealed: Json = None
    """What only its provider understands, and wants back with the message."""

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
    sealed: Json = None
    """What only its provider understands, and wants back with the message."""

    @property
    def message(self) -> ChatMessage:
        """The reply as the next message of the conversation."""
        return ChatMessage("assistant", self.text, self.tool_calls, sealed=self.sealed)


# --- as others write them -----------------------------------------------------------------------


class Spoken(Protocol):
    """Anything with a role and a content."""

    @property
    def role(self) -> str: ...

    @property
    def content(self) -> str: ...


Messages: TypeAlias = str | Sequence[ChatMessage | Spoken | Mapping[str, object]]
"""What a model is told: a text, or messages; a mapping is one as OpenAI writes it."""


def messages_of(messages: Messages) -> tuple[ChatMessage, ...]:
    """Read messages in any accepted form. Raises InvalidInput."""
    if isinstance(messages, str):
        return (ChatMessage("user", messages),)
    return tuple(_message(at, each) for at, each in enumerate(messages))


class _Url(msgspec.Struct):
    url: str
    detail: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _Url | str | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


_ROLES: Mapping[str, Role] = {"developer": "system", "function": "tool"}


def _message(at: int, given: ChatMessage | Spoken | Mapping[str, object]) -> ChatMessage:
    if isinstance(given, ChatMessage):
        return given
    if not isinstance(given, Mapping):
        given = {"role": given.role, "content": given.content}
    try:
        read = msgspec.convert(given, _Message)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"Message {at} is none: {error}.",
            problems=[FieldProblem(("messages", at), str(error), "message")],
        ) from error
    content: Content = read.content if isinstance(read.content, str) else ""
    if isinstance(read.content, list):
        content = tuple(_part(at, part) for part in read.content)
    return ChatMessage(
        _ROLES.get(read.role, cast(Role, read.role)),
        content,
        tuple(
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in read.tool_calls or ()
        ),
        read.tool_call_id,
    )


def _part(at: int, part: _Part) -> TextPart | ImagePart:
    if part.type in ("text", "input_text", "output_text") and part.text is not None:
        return TextPart(part.text)
    image = part.image_url
    if part.type in ("image_url", "input_image") and image is not None:
        return ImagePart(image) if isinstance(image, str) else ImagePart(image.url, image.detail)
    raise InvalidInput(f"Message {at} has a part of type {part.type!r}, which no model takes here.")
