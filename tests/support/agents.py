"""Agents that tests bring: each is made anew, with its own gates."""

from collections.abc import AsyncGenerator

from forebay import Context, agent
from forebay.core.json import Json

from .waiting import Gate


class Gated:
    """Says one word, waits at its gate, says another."""

    def __init__(self, name: str = "gated") -> None:
        self.gate = Gate()
        self.calls = 0
        self.was_cancelled = False

        @agent(name)
        async def gated(ctx: Context, text: str) -> AsyncGenerator[str]:
            del ctx
            self.calls += 1
            yield f"{text} before "
            try:
                await self.gate.passed()
            except BaseException:
                self.was_cancelled = True
                raise
            yield "after"

        self.agent = gated


@agent("give")
async def give(ctx: Context, value: Json) -> Json:
    """Answers with its input."""
    del ctx
    return value


@agent("large")
async def large(ctx: Context, size: int) -> AsyncGenerator[dict[str, str]]:
    """Answers with a large value."""
    del ctx
    yield {"text": "x" * size}


@agent("broken")
async def broken(ctx: Context, text: str) -> AsyncGenerator[str]:
    """Says something and breaks."""
    del ctx
    yield "half "
    raise ValueError(text)
