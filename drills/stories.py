"""Stories: what clients know of a run, and nothing else: what they asked, were told and saw."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from forebay.core.json import Json

from .wire import Frame, Object, Wrong, read_object

FINAL = frozenset({"run.succeeded", "run.failed", "run.interrupted"})
_SETTLING_SECONDS = 0.05  # what was on its way when the fault came tells nothing of it


class Plan(NamedTuple):
    """What a client asks an agent to do."""

    agent: str
    input: Json
    share: int
    """How often this is asked, compared with others."""
    seconds: float
    """How long the agent takes for it when nobody disturbs it, at most."""
    cancels_after: int | None = None
    """Having seen so many entries the client asks the run to end."""

    @property
    def name(self) -> str:
        return f"{self.agent} {self.input}"


class Entry(NamedTuple):
    """An entry of a log, as a client got it."""

    number: int
    attempt: int
    type: str
    said: Object
    """All of it, as it stood on the wire."""

    @property
    def step(self) -> str:
        return str(self.said.get("step"))

    @property
    def within(self) -> str | None:
        within = self.said.get("within")
        return within if isinstance(within, str) else None


def read_entry(text: str) -> Entry:
    """An entry. Raises Wrong."""
    said = read_object(text)
    return entry_of(said)


def entry_of(said: Json | Object) -> Entry:
    """An entry that was read already. Raises Wrong."""
    match said:
        case {"number": int(number), "attempt": int(attempt), "type": str(kind)}:
            return Entry(number, attempt, kind, said)
        case _:
            raise Wrong(f"no entry: {said}")


class Hit(NamedTuple):
    """A fault that a run has to recover from."""

    at: float
    recovered: Callable[[float], None]
    """Told how long it took."""


class Setback(NamedTuple):
    """A request that did not bring what it was for, as may happen among faults."""

    at: float
    told: str


@dataclass(slots=True)
class View:
    """What one follower saw, across all its connections."""

    name: str
    entries: list[Entry] = field(default_factory=list[Entry])
    connections: int = 0
    complaints: list[str] = field(default_factory=list[str])
    setbacks: list[Setback] = field(default_factory=list[Setback])

    @property
    def cursor(self) -> int:
        return len(self.entries)

    @property
    def is_over(self) -> bool:
        return bool(self.entries) and self.entries[-1].type in FINAL

    def take(self, frame: Frame) -> Entry | None:
        """A frame came; the entry, if it is one. Whatever is wrong with it is noted."""
        if frame.event == "server.stopping":
            if frame.id is not None:
                self.complaints.append(f"{frame.event} bears the id {frame.id}")
            return None
        entry = read_entry(frame.data)
        expected = self.cursor + 1
        if self.is_over:
            self.complaints.append(f"entry {entry.number} came after the last one, {self.cursor}")
        if entry.number != expected:
            self.complaints.append(f"entry {entry.number} came instead of {expected}")
        if frame.id != str(entry.number):
            self.complaints.append(f"entry {entry.number} has the id {frame.id}")
        if frame.event != entry.type:
            self.complaints.append(f"entry {entry.number} is a {entry.type}, not a {frame.event}")
        self.entries.append(entry)
        return entry


@dataclass(slots=True)
class Story:
    """One run, from the first try to submit it."""

    plan: Plan
    key: str
    body: Object
    run: str | None = None
    """Its id, once that was acknowledged."""
    views: list[View] = field(default_factory=list[View])
    submissions: int = 0
    ended: float | None = None
    status: str = "submitted"
    holder: str | None = None
    """Who executes it now, as far as the log tells."""
    complaints: list[str] = field(default_factory=list[str])
    hits: list[Hit] = field(default_factory=list[Hit])
    answers_sent: int = 0
    is_cancelled: bool = False
    """Whether a server has said that the run was asked to end."""
    setbacks: list[Setback] = field(default_factory=list[Setback])
    """Of submitting and answering."""

    @property
    def is_over(self) -> bool:
        return self.run is not None and all(view.is_over for view in self.views)

    @property
    def reconnects(self) -> int:
        return sum(max(0, view.connections - 1) for view in self.views)

    def acknowledge(self, run: str) -> None:
        """A server has said that this run exists."""
        if self.run is None:
            self.run = run
        elif self.run != run:
            self.complaints.append(f"the same key led to run {self.run}, then to run {run}")

    def hear(self, entry: Entry) -> None:
        """The first follower has got the next entry."""
        now = time.monotonic()
        for hit in self.hits:
            if now - hit.at > _SETTLING_SECONDS:
                hit.recovered(now - hit.at)
        self.hits = [hit for hit in self.hits if now - hit.at <= _SETTLING_SECONDS]
        match entry.type:
            case "run.started":
                self.status, self.holder = "running", str(entry.said.get("holder"))
            case "run.requeued" | "question.answered" | "question.expired":
                if entry.type == "run.requeued" or self.status == "waiting":
                    self.status, self.holder = "submitted", None
            case "run.waiting":
                self.status, self.holder = "waiting", None
            case kind if kind in FINAL:
                self.status, self.holder, self.ended = kind, None, now
                self.hits.clear()
            case _:
                pass


def as_mapping(value: Json) -> Mapping[str, Json]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}
