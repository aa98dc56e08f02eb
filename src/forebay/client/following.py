"""Following a run across lost connections and restarted servers: each entry once, in order.

Knows no socket. A client opens `request`, feeds in what comes, and says how it went.
"""

from collections.abc import Sequence
from typing import NamedTuple

from forebay.core.events import TYPES, RunSucceeded

from .errors import ClientError, Unavailable, Unreachable, Unreadable, error_of
from .exchange import Reply, path_of
from .models import Entry, read_entry
from .patience import Patience
from .sse import Frame, SseParser

_STOPPING = "server.stopping"
_RARE = (TYPES[RunSucceeded],)  # the last entry comes whatever types are asked for
_SSE = "text/event-stream"


class Question(NamedTuple):
    """What to ask for next."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Following:
    """Where a follower stands, and whether there is more to come."""

    def __init__(
        self, run: str, after: int, patience: Patience, types: Sequence[str] | None = None
    ) -> None:
        self._run = run
        self._patience = patience
        self._types = types
        self._cursor: int = after
        self._newest: int = after
        self._parser = SseParser()
        self.problem: ClientError | None = None
        """Why nothing comes now; None while something does."""
        self._retry_after: float | None = None
        self.connections = 0
        """How often the server has accepted to send."""
        self.is_over = False
        """Whether the last entry was seen."""

    @classmethod
    def to_the_end(cls, run: str, patience: Patience) -> "Following":
        """One that hears of the last entry only."""
        return cls(run, 0, patience, _RARE)

    def question(self) -> Question:
        """What to ask for now."""
        headers = {"accept": _SSE, "cache-control": "no-store"}
        if self._cursor:
            headers["last-event-id"] = str(self._cursor)
        query = {"types": ",".join(self._types)} if self._types else {}
        return Question(f"{path_of(self._run)}/events", query, headers)

    def accepts(self, status: int, content_type: str) -> bool:
        """The head of an answer came; tells whether entries follow. Raises Unreadable."""
        if status == 204:
            self.is_over = True
        if status != 200:
            return False
        if not content_type.startswith(_SSE):
            raise Unreadable(f"The answer is {content_type or 'nothing'}, not a stream of events.")
        self.connections += 1
        self._parser = SseParser()
        self.problem = self._retry_after = None
        return True

    def feed(self, chunk: bytes) -> list[Entry]:
        """Some of the stream came; tells the entries that are new. Raises Unreadable."""
        self._patience.restored()
        entries: list[Entry] = []
        for frame in self._parser.feed(chunk):
            entry = self._entry(frame)
            if entry is not None:
                entries.append(entry)
        if entries:
            self._patience.rewarded()
        return entries

    def refused(self, reply: Reply) -> None:
        """An answer came that is no stream. Raises ApiError if it will be the same next time."""
        if self.is_over:
            return
        error = error_of(reply.status, reply.body)
        if not isinstance(error, Unavailable):
            raise error
        self.problem, self._retry_after = error, reply.retry_after

    def lost(self, error: Unreachable) -> None:
        """The connection failed, before or after something came."""
        self.problem = error

    def pause(self) -> float:
        """How long to wait before asking again. Raises what went wrong if patience ends."""
        problem = self.problem or Unreachable(f"The events of run {self._run} broke off.")
        return self._patience.after(problem, self._retry_after or self._parser.retry_seconds)

    def _entry(self, frame: Frame) -> Entry | None:
        if frame.event == _STOPPING:
            self.problem = Unreachable("The server is shutting down.")
            return None
        try:
            entry = read_entry(frame.data)
        except Unreadable:
            if frame.id is None:
                return None  # said by the server, not in the log
            raise
        if frame.id is not None:
            self._cursor = entry.number
        if entry.number <= self._newest:
            return None  # asked for again, because it was not committed when it first came
        if self._types is None and entry.number != self._newest + 1:
            raise Unreadable(f"After entry {self._newest} came entry {entry.number}.")
        self._newest = entry.number
        self.is_over = entry.is_final
        return entry
