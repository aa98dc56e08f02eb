"""What a client is handed: runs, agents, and entries with events of the types it knows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, TypedDict, TypeVar

import msgspec

from forebay.core.codec import decode_event, decode_json
from forebay.core.events import FINAL_TYPES, Event, Prompt
from forebay.core.json import Json
from forebay.core.run import FINISHED
from forebay.core.turns import SessionPolicy

from .errors import Unreadable

_T = TypeVar("_T")


class RunOptions(TypedDict, total=False):
    """What may be said of a run beside its input."""

    agent: str
    """Which agent; without it, the server's default agent."""
    session: str
    """The conversation it belongs to."""
    session_policy: SessionPolicy
    """What unfinished runs of its session mean for it; without it, the server's setting."""
    priority: int
    """Of queued runs, those with the highest begin first."""
    metadata: Mapping[str, Json]
    """Kept with the run."""
    expiry_seconds: int
    """How long it is kept after its end."""
    deadline_seconds: float
    """How long after its admission it has to have ended."""
    max_steps: int
    """How many steps it may begin, over all attempts."""
    max_tokens: int
    """How many tokens its model calls may consume."""
    max_cost_usd: float
    """How many US dollars its model calls may cost."""
    idempotency_key: str
    """Names the submission: the same one again joins the run. Without it, one is made up."""


class RunFilter(TypedDict, total=False):
    """Which runs to list."""

    status: str
    agent: str
    session: str
    limit: int
    cursor: str


class Failure(msgspec.Struct, frozen=True):
    """Why a run did not succeed."""

    reason: str
    """For programs: `agent_error`, `deadline`, `cancelled`, …"""
    message: str
    error: str | None = None
    """The class of what the agent raised."""
    traceback: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """What the model calls of a run consumed."""

    input_tokens: int
    output_tokens: int
    estimated: bool = False
    """Whether the server has counted itself, because a provider did not tell."""


class Question(Prompt, frozen=True, kw_only=True):
    """A question of the agent that nobody has answered yet."""

    id: str
    due: datetime | None = None
    """When the time is up."""


class Run(msgspec.Struct, frozen=True):
    """A run, as it was when the server was asked."""

    id: str
    agent: str
    status: str
    events: int
    """How many events its log has."""
    durable: bool
    created_at: datetime
    attempt: int = 1
    reason: str | None = None
    session: str | None = None
    metadata: dict[str, Json] = {}
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    position: int | None = None
    """Which of the queued runs it is, if it is queued and not far behind. Not in lists."""
    output: Json = None
    """The answer: text, or the value the agent gave. Not in lists."""
    error: Failure | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    """What its model calls cost, as far as prices are known. Not in lists."""
    questions: tuple[Question, ...] = ()
    """What it asks, as long as it is not finished. Not in lists."""

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def succeeded(self) -> bool:
        return self.status == "success"


class RunPage(msgspec.Struct, frozen=True):
    """Some runs, newest first."""

    runs: Sequence[Run]
    next_cursor: str | None = None
    """Give it as `cursor` for the next page."""


class AgentInfo(msgspec.Struct, frozen=True):
    """Something that can be run."""

    name: str
    description: str
    input_schema: Json
    default: bool = False
    """Whether it answers when no agent is named."""


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a type that this version does not know, as a newer server sends it."""

    type: str
    fields: dict[str, Json]


AnyEvent: TypeAlias = Event | UnknownEvent


class Entry(msgspec.Struct, frozen=True):
    """An event with its number, attempt and time."""

    number: int
    attempt: int
    time: datetime
    type: str
    event: AnyEvent
    line: str
    """The entry as the server sent it: one line of JSON."""

    @property
    def is_final(self) -> bool:
        """Whether the run has ended with it."""
        return self.type in FINAL_TYPES


class _Head(msgspec.Struct):
    number: int
    attempt: int
    time: datetime
    type: str


class _AgentList(msgspec.Struct):
    agents: Sequence[AgentInfo]


_decode_head = msgspec.json.Decoder(_Head).decode
_OF_THE_ENTRY = frozenset(_Head.__struct_fields__)


def id_of(thing: Run | Question | str) -> str:
    """The id of a run or question that is named by itself or by its id."""
    return thing if isinstance(thing, str) else thing.id


def read_entry(line: str) -> Entry:
    """Read an entry from its line of JSON. Raises Unreadable."""
    try:
        head = _decode_head(line)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"The stream has a frame that is no entry: {error}.") from error
    return Entry(head.number, head.attempt, head.time, head.type, _event(head.type, line), line)


def _event(kind: str, line: str) -> AnyEvent:
    try:
        return decode_event(line.encode())
    except msgspec.ValidationError:
        told = decode_json(line)
        assert isinstance(told, dict), "its head could be read"
        fields = {name: value for name, value in told.items() if name not in _OF_THE_ENTRY}
        return UnknownEvent(kind, fields)


def read_run(body: bytes) -> Run:
    """Read a run from an answer. Raises Unreadable."""
    return _read(body, Run)


def read_runs(body: bytes) -> RunPage:
    """Read a page of runs from an answer. Raises Unreadable."""
    return _read(body, RunPage)


def read_agents(body: bytes) -> Sequence[AgentInfo]:
    """Read the list of agents from an answer. Raises Unreadable."""
    return _read(body, _AgentList).agents


def read_json(body: bytes) -> Json:
    """Read JSON of unknown shape from an answer. Raises Unreadable."""
    try:
        return decode_json(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"The answer is not JSON: {error}.") from error


def read_nothing(body: bytes) -> None:
    """Read an answer without a body."""
    del body


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"The answer is not that of a Forebay server: {error}.") from error
