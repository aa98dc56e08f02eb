"""Conversations: what agents that converse take as input, and how much of it they keep in mind."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pydantic
from pydantic import ConfigDict, Field

from forebay.authoring import FunctionAgent
from forebay.core.errors import FieldProblem, InvalidInput
from forebay.core.json import Json
from forebay.core.messages import ChatMessage, Role, messages_of
from forebay.ports.agent import BlockingContext, Context

_MESSAGE: Json = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {},
    },
    "required": ["role"],
}
_MESSAGES: Json = {"type": "array", "items": _MESSAGE, "minItems": 1}

INPUT_SCHEMA: Json = {
    "anyOf": [
        {"type": "string"},
        _MESSAGES,
        {
            "type": "object",
            "properties": {"input_message": {"type": "string"}},
            "required": ["input_message"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"messages": _MESSAGES, "input_message": False},
            "required": ["messages"],
        },
    ]
}
"""A text, messages as OpenAI writes them, or an object with one of them."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said so far. The last message of the user is what is asked now."""

    messages: tuple[ChatMessage, ...]

    @property
    def question(self) -> str:
        """The text of the user's last message."""
        return next((each.text for each in reversed(self.messages) if each.role == "user"), "")

    def recent(self, count: int) -> "Conversation":
        """The last messages, at most so many, beginning with one of the user. What the system says
        is always among them."""
        if len(self.messages) <= count:
            return self
        system = [each for each in self.messages if each.role == "system"]
        others = [each for each in self.messages if each.role != "system"]
        kept = others[-max(1, count - len(system)) :]
        return Conversation((*system, *(_from_user(kept) or _last_turn(others))))

    def told(self, *instructions: str | None) -> list[ChatMessage]:
        """The messages, after instructions. Whatever the system says is one message: some models
        take no more."""
        texts = [each for each in instructions if each]
        texts += [each.text for each in self.messages if each.role == "system"]
        others = [each for each in self.messages if each.role != "system"]
        system: Role = "system"
        return [ChatMessage(system, "\n\n".join(texts)), *others] if texts else others


def _from_user(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    starts = (at for at, each in enumerate(messages) if each.role == "user")
    return messages[next(starts, len(messages)) :]


def _last_turn(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            return messages[at:]
    return messages


def read_conversation(value: Json) -> Conversation:
    """Read an agent's input. Raises InvalidInput."""
    if isinstance(value, dict):
        value = _inside(value)
    if isinstance(value, str):
        return Conversation((ChatMessage("user", value),))
    if not isinstance(value, list):
        raise _invalid("A text is taken, or a list of messages.")
    if not value:
        raise _invalid("There is no message.", "messages")
    if not all(isinstance(each, dict) for each in value):
        raise _invalid("A message is an object with `role` and `content`.", "messages")
    return Conversation(messages_of([each for each in value if isinstance(each, dict)]))


def _inside(value: dict[str, Json]) -> Json:
    message, messages = value.get("input_message"), value.get("messages")
    if message is not None and len(value) > 1:
        raise _invalid("Beside `input_message` there can be nothing else.", "input_message")
    if message is not None and not isinstance(message, str):
        raise _invalid("`input_message` is a text.", "input_message")
    if message is None and not isinstance(messages, list):
        raise _invalid("`input_message` is needed, a text, or `messages`, a list.")
    return messages if message is None else message


def _invalid(message: str, *where: str) -> InvalidInput:
    return InvalidInput(message, problems=[FieldProblem(("input", *where), message, "value_error")])


# --- agents that take one -----------------------------------------------------------------------


class FunctionConfig(pydantic.BaseModel):
    """What can be said of every function in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, json_schema_extra={"has_effect": False})
    middleware: list[str] = Field(default=[], json_schema_extra={"has_effect": False})


class AgentConfig(FunctionConfig):
    """What can be said of every agent with a model."""

    llm_name: str = Field(json_schema_extra={"refers_to": "llms"})
    description: str = ""
    verbose: bool = Field(default=False, json_schema_extra={"has_effect": False})
    workflow_alias: str | None = Field(default=None, json_schema_extra={"has_effect": False})
    log_response_max_chars: int = Field(default=1000, gt=0, json_schema_extra={"has_effect": False})


def agent_of(
    name: str,
    description: str,
    body: Callable[[Context, Conversation], Awaitable[None]],
) -> FunctionAgent:
    """An agent that takes a conversation."""

    def call(ctx: Context | BlockingContext, value: object) -> object:
        assert isinstance(value, Conversation)
        return body(ctx, value)  # pyright: ignore[reportArgumentType]

    return FunctionAgent(name, description, "async function", INPUT_SCHEMA, call, read_conversation)
