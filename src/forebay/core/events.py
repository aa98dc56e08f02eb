"""The vocabulary: every fact that can stand in a run's log. A closed set of past facts.

A released event never changes its meaning. A new field has a default, so that old logs still
decode; a new meaning is a new event. `number`, `attempt`, `time` and `type` are names of the
entry that carries the event and may not be fields.
"""

from typing import ClassVar, TypeAlias, get_args

import msgspec

from .caller import ANONYMOUS, Caller
from .grant import UNLIMITED, Grant
from .json import Json


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """A fact about one run."""

    large: ClassVar[str | None] = None
    """The field that moves to an object, named by the field `stored`, when it is too large."""


class ObjectRef(msgspec.Struct, frozen=True):
    """Names the object that holds a value which was too large for the log."""

    object: str
    size: int


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model call consumed."""

    input_tokens: int = 0
    output_tokens: int = 0


# --- the life of a run --------------------------------------------------------------------------


class RunSubmitted(Event, frozen=True, tag="run.submitted"):
    """The run was admitted. Always entry 1."""

    large = "input"
    agent: str
    input: Json
    dialect: str
    caller: Caller = ANONYMOUS
    grant: Grant = UNLIMITED
    session: str | None = None
    metadata: dict[str, Json] = {}
    trace: str | None = None
    stored: ObjectRef | None = None


class RunStarted(Event, frozen=True, tag="run.started"):
    """An executor began an attempt."""

    executor: str
    holder: str


class CancelRequested(Event, frozen=True, tag="run.cancel_requested"):
    """Somebody asked for the run to end."""

    by: str
    reason: str = "cancelled"


class RunSucceeded(Event, frozen=True, tag="run.succeeded"):
    """The agent finished."""


class RunFailed(Event, frozen=True, tag="run.failed"):
    """The run ended without what it was started for."""

    reason: str
    message: str
    error: str | None = None
    traceback: str | None = None


class RunInterrupted(Event, frozen=True, tag="run.interrupted"):
    """The run was ended from outside, or the server went away under it."""

    reason: str
    message: str


# --- what an agent says -------------------------------------------------------------------------


class OutputChunk(Event, frozen=True, tag="output.chunk"):
    """The agent produced a piece of its answer's text."""

    text: str


class OutputValue(Event, frozen=True, tag="output.value"):
    """The agent produced a value that is not text."""

    large = "value"
    value: Json
    stored: ObjectRef | None = None


class ModelStarted(Event, frozen=True, tag="model.started"):
    """A model was called."""

    call: str
    model: str
    message_count: int | None = None


class ModelChunk(Event, frozen=True, tag="model.chunk"):
    """A model produced a piece of text."""

    call: str
    text: str


class ModelFinished(Event, frozen=True, tag="model.finished"):
    """A model call ended."""

    call: str
    usage: Usage | None = None
    thinking: str | None = None
    error: str | None = None


class ToolStarted(Event, frozen=True, tag="tool.started"):
    """A tool was called."""

    large = "input"
    call: str
    tool: str
    input: Json = None
    stored: ObjectRef | None = None


class ToolFinished(Event, frozen=True, tag="tool.finished"):
    """A tool call ended."""

    large = "output"
    call: str
    output: Json = None
    error: str | None = None
    stored: ObjectRef | None = None


class Todo(msgspec.Struct, frozen=True):
    """One thing to do, as the agent's plan has it."""

    content: str
    status: str


class TodosUpdated(Event, frozen=True, tag="todos.updated"):
    """The agent rewrote its plan."""

    todos: list[Todo]


class FileWritten(Event, frozen=True, tag="file.written"):
    """The agent wrote a file of its own."""

    large = "content"
    path: str
    content: str
    stored: ObjectRef | None = None


class SourceFound(Event, frozen=True, tag="source.found"):
    """The agent came upon a source."""

    url: str
    title: str | None = None
    tool: str | None = None


class SourceCited(Event, frozen=True, tag="source.cited"):
    """The agent used a source in what it wrote."""

    url: str


class OutputWritten(Event, frozen=True, tag="output.written"):
    """The agent wrote a text worth keeping: notes, a draft, the final report."""

    large = "text"
    category: str
    text: str
    stored: ObjectRef | None = None


AgentEvent: TypeAlias = (
    ModelStarted
    | ModelChunk
    | ModelFinished
    | ToolStarted
    | ToolFinished
    | TodosUpdated
    | FileWritten
    | SourceFound
    | SourceCited
    | OutputWritten
)
"""What an agent may emit itself. The rest is said by the server."""

AnyEvent: TypeAlias = (
    RunSubmitted
    | RunStarted
    | CancelRequested
    | RunSucceeded
    | RunFailed
    | RunInterrupted
    | OutputChunk
    | OutputValue
    | AgentEvent
)

AGENT_EVENTS: frozenset[type[Event]] = frozenset(get_args(AgentEvent))

TYPES: dict[type[Event], str] = {
    kind: str(kind.__struct_config__.tag) for kind in get_args(AnyEvent)
}
"""The name each event carries on every wire and in every database."""

FINAL_TYPES: frozenset[str] = frozenset(
    TYPES[kind] for kind in (RunSucceeded, RunFailed, RunInterrupted)
)
"""Each run's last entry, and only it, is one of these."""

CONTROL_TYPES: frozenset[str] = frozenset({TYPES[CancelRequested]})
"""Said by somebody other than the attempt under way, which has to hear of it."""
