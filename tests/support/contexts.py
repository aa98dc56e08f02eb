"""A context for tools and agents that are called outside a run: it remembers what they say."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from forebay.core.events import AgentEvent
from forebay.core.json import Json
from forebay.core.messages import Reply
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.tools import Tool


class Heard:
    """The few verbs that a tool needs, each done for real."""

    def __init__(self, *, now: datetime = datetime(2026, 11, 20, 19, 11, 3, tzinfo=UTC)) -> None:
        self.events: list[AgentEvent] = []
        self.said: list[str] = []
        self.asked: list[object] = []
        self._now = now

    @property
    def asynchronous(self) -> Context:
        return cast(Context, self)

    @property
    def blocking(self) -> BlockingContext:
        return cast(BlockingContext, self)

    def emit(self, event: AgentEvent) -> None:
        self.events.append(event)

    def say(self, text: str) -> None:
        self.said.append(text)

    def now(self) -> datetime:
        return self._now


class HeardChatting(Heard):
    """One that has a model which repeats what it is told."""

    async def chat(self, messages: object, *, say: bool = False, **options: object) -> Reply:
        self.asked.append((messages, options))
        if say:
            self.say(str(messages))
        return Reply(str(messages))


class HeardChattingInThread(Heard):
    """The same for what blocks."""

    def chat(self, messages: object, *, say: bool = False, **options: object) -> Reply:
        self.asked.append((messages, options))
        if say:
            self.say(str(messages))
        return Reply(str(messages))


async def use(tool: Tool, arguments: Mapping[str, Json], heard: Heard | None = None) -> Any:
    """Call a tool as a run does: one that blocks gives its result itself."""
    heard = heard or Heard()
    if tool.blocks:
        return tool.call(heard.blocking, arguments)
    return await cast(Any, tool.call(heard.asynchronous, arguments))
