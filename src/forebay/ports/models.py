"""Models: what converses, what embeds, and the catalogue of those that are configured."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from forebay.core.events import Usage
from forebay.core.messages import ChatRequest, Reply


class Thought(msgspec.Struct, frozen=True):
    """A piece of what a model thinks before it answers."""

    text: str


class Price(msgspec.Struct, frozen=True):
    """What a million tokens cost, in US dollars."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """What this usage costs."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1_000_000


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at when something was validated."""

    about: str
    """`reachable`, `listed` or `answers`."""
    is_ok: bool
    message: str


class Model(Protocol):
    """A model that converses, as it is configured."""

    @property
    def name(self) -> str:
        """The name it is configured under."""
        ...

    @property
    def provider(self) -> str:
        """Whose it is and where, for people: `openai at https://api.openai.com/v1`."""
        ...

    @property
    def price(self) -> Price | None: ...

    @property
    def fallbacks(self) -> Sequence[str]:
        """The models that are asked when this one cannot answer, in order."""
        ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[str | Thought | Reply]:
        """Ask it. Yields the pieces of its text and its thoughts as they come, then one Reply.

        Raises ModelError: which of its kinds tells what went wrong. ModelCutOff: pieces were
        yielded, and another call would begin again.
        """
        ...

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        """Whether it can be reached, is listed there, and answers; `dry_call` is for the last,
        which may cost something. Never raises ModelError."""
        ...


class Embeddings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The vectors of some texts, in their order."""

    vectors: list[list[float]]
    usage: Usage | None = None
    model: str = ""
    cost_usd: float | None = None


class Embedder(Protocol):
    """A model that makes vectors of texts, as it is configured."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def price(self) -> Price | None: ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of these texts. Raises ModelError."""
        ...

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        """As Model.validate."""
        ...


class Models(Protocol):
    """The models that are configured."""

    def model(self, name: str | None) -> Model:
        """The model of this name; None: the default one. Raises ModelNotFound."""
        ...

    def embedder(self, name: str | None) -> Embedder:
        """The embedder of this name; None: the default one. Raises ModelNotFound."""
        ...
