"""echo: streams its input back, word by word. For trying things out, for tests and benchmarks.

Words of the form `key=value` are directives and are not repeated:

- `sleep=MS` waits once, at the start;
- `chunks=N` says N chunks in total, going round the words (or numbering them if there are none);
- `delay=MS` waits before each chunk;
- `bytes=N` makes each chunk N bytes long;
- `steps=N` spreads the chunks evenly over N journalled steps;
- `fail=TEXT` raises an error with that text after the last chunk.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from itertools import cycle, islice

import msgspec

from forebay.authoring import FunctionAgent, make_agent
from forebay.core.clock import Clock
from forebay.core.errors import InvalidInput
from forebay.ports.agent import Context

_PIECE = re.compile(r"\s*\S+|\s+$")
_DIRECTIVE = re.compile(r"\s*(?:(sleep|chunks|delay|bytes|steps)=(\d+)|(fail)=(\S+))")
_MOST = {
    "chunks": 1_000_000, "bytes": 65_536, "delay": 3_600_000, "sleep": 3_600_000, "steps": 10_000,
}  # fmt: skip
_TURN_EVERY = 64  # chunks after which others get their turn on the event loop


class EchoError(Exception):
    """What `fail=` raises."""


def make_echo(clock: Clock) -> FunctionAgent:
    """The echo agent on this clock."""

    async def echo(ctx: Context, text: str) -> AsyncGenerator[str]:
        script = Script.read(text)
        if script.sleep:
            await clock.sleep(script.sleep / 1000)
        chunks = iter(script.chunks())
        if "steps" in script.numbers:
            await _say_in_steps(ctx, clock, script, chunks)
        for chunk in chunks:
            if script.delay:
                await clock.sleep(script.delay / 1000)
            yield chunk
        if script.fail is not None:
            raise EchoError(script.fail)

    return make_agent(echo, "echo", "Repeats its input, word by word")


async def _say_in_steps(
    ctx: Context, clock: Clock, script: "Script", chunks: Iterator[str]
) -> None:
    async def say(part: list[str]) -> None:
        for count, chunk in enumerate(part, 1):
            if script.delay or count % _TURN_EVERY == 0:
                await clock.sleep(script.delay / 1000)
            ctx.say(chunk)

    for number, size in enumerate(script.steps, 1):
        await ctx.step("echo", say, list(islice(chunks, size)), key=str(number))


class Script(msgspec.Struct, frozen=True):
    """What an input asks echo to do."""

    words: tuple[str, ...]
    numbers: dict[str, int] = {}
    fail: str | None = None

    @classmethod
    def read(cls, text: str) -> "Script":
        """Tell words from directives. Raises InvalidInput for a number that is out of bounds."""
        if "=" not in text:
            return cls(tuple(_PIECE.findall(text)))
        words: list[str] = []
        numbers: dict[str, int] = {}
        fail: str | None = None
        for piece in _PIECE.findall(text):
            found = _DIRECTIVE.fullmatch(piece) if "=" in piece else None
            if found is None:
                words.append(piece)
            elif found[3]:
                fail = found[4]
            else:
                numbers[found[1]] = _bounded(found[1], int(found[2]))
        if numbers or fail:
            words[:1] = [word.lstrip() for word in words[:1]]
        return cls(tuple(words), numbers, fail)

    @property
    def sleep(self) -> int:
        return self.numbers.get("sleep", 0)

    @property
    def delay(self) -> int:
        return self.numbers.get("delay", 0)

    @property
    def steps(self) -> list[int]:
        """How many chunks each step says."""
        steps = self.numbers.get("steps", 0)
        each, more = divmod(self.numbers.get("chunks", len(self.words)), steps or 1)
        return [each + (number < more) for number in range(steps)]

    def chunks(self) -> Iterable[str]:
        """What to say, piece by piece."""
        count, size = self.numbers.get("chunks"), self.numbers.get("bytes")
        if count is None:
            chunks: Iterable[str] = self.words
        elif self.words:
            chunks = islice(cycle(self.words), count)
        else:
            chunks = (f"tok{number} " for number in range(count))
        return chunks if size is None else map(_sized(size), chunks)


def _sized(size: int) -> Callable[[str], str]:
    def resize(chunk: str) -> str:
        plain = chunk.encode("ascii", "replace").decode() or "."
        return (plain * (size // len(plain) + 1))[:size]

    return resize


def _bounded(name: str, value: int) -> int:
    most = _MOST.get(name, value)
    if value > most:
        raise InvalidInput(f"echo: {name}={value} is more than {most}.")
    return value
