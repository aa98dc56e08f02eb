"""Three agents: one that streams, one with typed input, and one that blocks.

Try them: `forebay serve examples/agents.py --default-agent shout`
"""

from collections.abc import AsyncGenerator

from forebay import Context, agent


@agent("shout", description="Repeats you, louder")
async def shout(ctx: Context, text: str) -> AsyncGenerator[str]:
    for word in text.split():
        yield word.upper() + " "  # streamed


@agent("average", description="Averages numbers")
async def average(numbers: list[float], digits: int = 2) -> dict[str, float]:
    return {"average": round(sum(numbers) / max(1, len(numbers)), digits)}


@agent("count", description="Counts the words of a text")
def count(text: str) -> str:
    return f"{len(text.split())} words"  # runs in a thread: it may block
