"""Models and tools that do what a test says."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from forebay.core.errors import ModelError
from forebay.core.json import Json
from forebay.core.messages import ChatRequest, Reply
from forebay.ports.agent import BlockingContext, Context
from forebay.ports.models import Embeddings, Finding, Price, Thought
from forebay.ports.tools import Tool


@dataclass(slots=True)
class PlayedModel:
    """Plays one list of pieces after the other; an error among them is raised."""

    name: str
    plays: list[list[str | Thought | Reply | ModelError]]
    fallbacks: tuple[str, ...] = ()
    price: Price | None = None
    requests: list[ChatRequest] = field(default_factory=list[ChatRequest])
    provider: str = "played at nowhere"

    async def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        self.requests.append(request)
        for piece in self.plays[len(self.requests) - 1]:
            if isinstance(piece, ModelError):
                raise piece
            yield piece

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        del dry_call
        return []


def played(name: str, *texts: str, **rest: object) -> PlayedModel:
    """A model that says one of these texts, word by word, whenever it is asked."""
    plays: list[list[str | Thought | Reply | ModelError]] = [
        [*(f"{word} " for word in text.split()), Reply(text)] for text in texts
    ]
    return PlayedModel(name, plays, **rest)  # pyright: ignore[reportArgumentType]


@dataclass(slots=True)
class LengthEmbedder:
    """A text's vector is its length."""

    name: str = "lengths"
    provider: str = "played at nowhere"
    price: Price | None = None
    asked: list[list[str]] = field(default_factory=list[list[str]])

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        self.asked.append(list(texts))
        return Embeddings([[float(len(text))] for text in texts])

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        del dry_call
        return []


@dataclass(slots=True)
class NotingTool:
    """Notes what it was called with, and returns it or raises."""

    name: str = "note"
    description: str = "Notes what it is told"
    parameters: Json = None
    timeout_seconds: float | None = None
    needs_approval: bool = False
    raises: Exception | None = None
    calls: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])
    blocks: bool = False

    def call(self, ctx: Context | BlockingContext, arguments: Mapping[str, Json]) -> object:
        if not self.blocks:
            return self._answer(arguments)
        ctx.say("noted ")
        return self._note(arguments)

    async def _answer(self, arguments: Mapping[str, Json]) -> Json:
        return self._note(arguments)

    def _note(self, arguments: Mapping[str, Json]) -> Json:
        self.calls.append(arguments)
        if self.raises is not None:
            raise self.raises
        return dict(arguments)


@dataclass(slots=True)
class NotedGroup:
    """A group of tools that may be out of reach."""

    name: str
    offered: list[Tool]
    error: Exception | None = None
    is_closed: bool = False

    async def tools(self) -> Sequence[Tool]:
        if self.error is not None:
            raise self.error
        return self.offered

    async def aclose(self) -> None:
        self.is_closed = True
