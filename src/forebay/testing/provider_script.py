"""What a provider was told to say, and how to fail: queues, of which each call takes the next."""

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from forebay.core.codec import encode_json
from forebay.core.json import Json
from forebay.core.messages import Finish, ToolCall

from .provider_wire import Answer


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error instead of an answer."""

    status: int
    message: str
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """What happens to a stream after so many events."""

    after: int
    raw: tuple[bytes, ...] = ()
    error: tuple[str, str] | None = None
    """The message and the code of an error."""
    gate: asyncio.Event | None = None


@dataclass(frozen=True, slots=True)
class Flood:
    """Very many pieces of the same size."""

    chunks: int
    size: int


class Script:
    """The replies and faults that were queued. Replies are given in their order, faults too."""

    def __init__(self) -> None:
        self._replies: deque[Answer | Flood] = deque()
        self._faults: deque[Refusal | Break] = deque()
        self._numbers = count(1)

    # --- what it says ---------------------------------------------------------------------------

    def say(self, *pieces: str, thoughts: Sequence[str] = (), finish: Finish | None = None) -> None:
        """Queue a text. One piece is streamed word by word, several as they are."""
        parts = tuple(words_of(pieces[0])) if len(pieces) == 1 else pieces
        self._replies.append(Answer(parts, tuple(thoughts), (), finish or "stop"))

    def call_tool(self, name: str, arguments: Json = None, *, id: str | None = None) -> None:
        """Queue the call of a tool. Arguments may be a text, whatever it is; else they are JSON."""
        self.call_tools((name, arguments), ids=None if id is None else [id])

    def call_tools(
        self, *calls: tuple[str, Json], ids: Sequence[str] | None = None, text: str = ""
    ) -> None:
        """Queue the call of several tools at once, after a text."""
        made = tuple(
            ToolCall(ids[index] if ids else f"call_{next(self._numbers)}", name, _arguments(given))
            for index, (name, given) in enumerate(calls)
        )
        self._replies.append(Answer(tuple(words_of(text)), (), made, "tool_calls"))

    def say_much(self, chunks: int, size: int = 8) -> None:
        """Queue very many pieces of this size, sent as fast as they are taken."""
        self._replies.append(Flood(chunks, size))

    # --- how it fails ---------------------------------------------------------------------------

    def refuse(
        self,
        status: int,
        message: str = "The provider does not want to.",
        *,
        code: str | None = None,
        retry_after: float | None = None,
        raw: bytes | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next calls with an error; `raw` is its body instead of a proper one."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        self._faults.extend([Refusal(status, message, code, headers, raw)] * times)

    def refuse_long(self) -> None:
        """Say of the next call that its conversation is too long."""
        message = "This model's maximum context length is 10 tokens."
        self.refuse(400, message, code="context_length_exceeded")

    def refuse_content(self) -> None:
        """Say of the next call that its content may not be."""
        message = "The response was filtered due to the prompt triggering a content policy."
        self.refuse(400, message, code="content_filter")

    def limit(self, retry_after: float | None = None, times: int = 1) -> None:
        """Say to the next calls that there are too many."""
        message = "Rate limit reached for requests."
        self.refuse(429, message, code="rate_limit_exceeded", retry_after=retry_after, times=times)

    def cut(self, after: int) -> None:
        """Lose the connection of the next call after so many events of its stream."""
        self._faults.append(Break(after))

    def write(self, *raw: bytes, after: int = 0) -> None:
        """Send these bytes in place of the rest of the next stream, which then ends."""
        self._faults.append(Break(after, raw))

    def write_bad_json(self, after: int = 0) -> None:
        """Put something that is no JSON in the place of the rest of the next stream."""
        self.write(b'data: {"choices": [{"delta"\n\n', after=after)

    def write_error(self, after: int = 0, message: str = "Failed.", code: str = "failed") -> None:
        """Put an error in the place of the rest of the next stream."""
        self._faults.append(Break(after, error=(message, code)))

    def answer(self, raw: bytes, *, status: int = 200, kind: str = "application/json") -> None:
        """Answer the next call with exactly this body."""
        self._faults.append(Refusal(status, "", None, {"content-type": kind}, raw))

    def hold(self, after: int = 0) -> asyncio.Event:
        """Halt the next stream after so many events, until the returned event is set."""
        gate = asyncio.Event()
        self._faults.append(Break(after, gate=gate))
        return gate

    # --- for the provider -----------------------------------------------------------------------

    def next_reply(self) -> Answer | Flood | None:
        """What to say now."""
        return self._replies.popleft() if self._replies else None

    def next_refusal(self) -> Refusal | None:
        """The error to answer with now, if that is the next fault."""
        fault = self._faults[0] if self._faults else None
        if isinstance(fault, Refusal):
            self._faults.popleft()
            return fault
        return None

    def next_break(self) -> Break | None:
        """What to do to the stream now, if that is the next fault."""
        fault = self._faults[0] if self._faults else None
        if isinstance(fault, Break):
            self._faults.popleft()
            return fault
        return None


def words_of(text: str) -> list[str]:
    """The text in pieces, one for each word."""
    return re.findall(r"\S+\s*|\s+", text)


def _arguments(given: Json) -> str:
    return given if isinstance(given, str) else encode_json({} if given is None else given).decode()
