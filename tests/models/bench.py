"""What tests of models share: the parts that a model is made of, and types that become known."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pydantic

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.models import anthropic, openai
from forebay.builtins.profile import RuntimeProfile
from forebay.control.models import ModelCatalogue
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import Clock
from forebay.core.errors import AgentNotFound, ModelError
from forebay.core.messages import ChatMessage, ChatRequest, Reply
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from forebay.ports.http import HttpClient
from forebay.ports.models import Embedder, Model, Thought
from forebay.ports.tools import Tool, ToolGroup
from forebay.testing.clock import ManualClock

Config = TypeVar("Config", bound=pydantic.BaseModel)


class QuickClock(ManualClock):
    """A clock that moves on by itself when somebody sleeps, and remembers for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await super().sleep(0)


@dataclass
class Bench:
    """Implements Parts."""

    http: HttpClient
    clock: Clock = field(default_factory=QuickClock)
    models: ModelCatalogue = field(default_factory=ModelCatalogue)
    tools: ToolCatalogue = field(default_factory=ToolCatalogue)

    def agent(self, name: str) -> Agent:
        raise AgentNotFound(name)


class Types:
    """Implements Registry: makes models and embedders of what a file would say."""

    def __init__(self, parts: Parts, environment: Mapping[str, str] | None = None) -> None:
        self._parts = parts
        self._models: dict[str, Callable[[str, Mapping[str, object]], Model]] = {}
        self._embedders: dict[str, Callable[[str, Mapping[str, object]], Embedder]] = {}
        for module in (openai, anthropic):
            module.register(self, environment or {})

    def add_model(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Model]
    ) -> None:
        self._models[type] = lambda name, said: build(
            name, config.model_validate(said), self._parts
        )

    def add_embedder(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Embedder]
    ) -> None:
        self._embedders[type] = lambda name, said: build(
            name, config.model_validate(said), self._parts
        )

    def add_function(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], Tool | Agent]
    ) -> None:
        raise AssertionError("models bring no functions")

    def add_group(
        self, type: str, config: type[Config], build: Callable[[str, Config, Parts], ToolGroup]
    ) -> None:
        raise AssertionError("models bring no groups")

    def model(self, type: str, name: str = "fast", **said: Any) -> Model:
        return self._models[type](name, said)

    def embedder(self, type: str, name: str = "small", **said: Any) -> Embedder:
        return self._embedders[type](name, said)


@asynccontextmanager
async def open_bench(*, is_online: bool = True) -> AsyncGenerator[Bench]:
    clock = QuickClock()
    profile = RuntimeProfile("online" if is_online else "offline")
    http = OutboundHttp(clock, profile=profile, chance=lambda: 0.0)
    yield Bench(http, clock)
    await http.aclose()


def asking(*said: str, **more: Any) -> ChatRequest:
    """A question."""
    return ChatRequest(
        tuple(ChatMessage("user", text) for text in said or ("hello there",)), **more
    )


async def pieces_of(
    model: Model, request: ChatRequest | None = None
) -> Sequence[str | Thought | Reply]:
    """Everything a model says."""
    async with aclosing(model.chat(request or asking())) as pieces:
        return [piece async for piece in pieces]


async def reply_of(model: Model, request: ChatRequest | None = None) -> Reply:
    """The reply, which is the last thing it says, and made of the pieces before."""
    *pieces, reply = await pieces_of(model, request)
    assert isinstance(reply, Reply)
    assert "".join(each for each in pieces if isinstance(each, str)) == reply.text
    return reply


async def spoken_before(model: Model, request: ChatRequest | None = None) -> tuple[str, Exception]:
    """What it said, and the error by which it ended."""
    said = ""
    async with aclosing(model.chat(request or asking())) as pieces:
        try:
            async for piece in pieces:
                if isinstance(piece, str):
                    said += piece
        except Exception as error:  # noqa: BLE001 -- it is what the test looks at
            return said, error
    raise AssertionError(f"it did not fail, and said {said!r}")


async def failure_of(model: Model, **request: Any) -> ModelError:
    """The error by which a call ends."""
    _, error = await spoken_before(model, asking(**request))
    assert isinstance(error, ModelError)
    return error
