"""The vocabulary: every fact that can stand in a run's log. A closed set of past facts.

A released event never changes its meaning. A new field has a default, so that old logs still
decode; a new meaning is a new event. `number`, `attempt`, `time` and `type` are names of the
entry that carries the event and may not be fields.
"""

from typing import ClassVar, TypeAlias, get_args

import msgspec

from .caller import ANONYMOUS, Caller
from .clock import Millis
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
    estimated: bool = False
    """Whether we have counted ourselves, because the provider did not tell."""


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
    code: str = ""
    """A digest of the files that the agents of this process come from."""


class RunRequeued(Event, frozen=True, tag="run.requeued"):
    """An attempt is over and the run is not: it waits for another executor."""

    reason: str
    message: str


class RunWaiting(Event, frozen=True, tag="run.waiting"):
    """The run waits for answers, and occupies nobody."""

    questions: list[str]


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


class CodeChanged(Event, frozen=True, tag="code.changed"):
    """The agent's code is not the one that the attempt before ran."""

    before: str
    now: str


# --- questions to people ------------------------------------------------------------------------


class Option(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers that a prompt offers."""

    id: str
    label: str
    value: str
    description: str = ""


class Prompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person is asked, and in which form he answers."""

    text: str
    kind: str = "text"
    """`text`, `binary_choice`, `radio`, `checkbox`, `dropdown` or `notification`."""
    options: tuple[Option, ...] = ()
    placeholder: str | None = None
    required: bool = True
    timeout_seconds: float | None = None
    default: Json = None
    """What counts as the answer when the time is up; without one the question fails then."""


class QuestionAsked(Event, frozen=True, tag="question.asked"):
    """The agent asks a person. Milliseconds since 1970 in `due`: when the time is up."""

    question: str
    prompt: Prompt
    due: Millis | None = None


class QuestionAnswered(Event, frozen=True, tag="question.answered"):
    """Somebody answered."""

    question: str
    answer: Json
    by: str


class QuestionExpired(Event, frozen=True, tag="question.expired"):
    """Nobody answered in time."""

    question: str


# --- the journal --------------------------------------------------------------------------------


class StepStarted(Event, frozen=True, tag="step.started"):
    """A step is about to be executed, for the first time or once more."""

    step: str
    name: str
    arguments: str = ""
    """A digest of what the step was called with."""
    within: str | None = None
    tries: int = 1


class StepFinished(Event, frozen=True, tag="step.finished"):
    """A step has its result: it is never executed again."""

    large = "result"
    step: str
    result: Json = None
    stored: ObjectRef | None = None


class StepFailed(Event, frozen=True, tag="step.failed"):
    """A step raised an error; if `final`, it is not tried again."""

    step: str
    error: str
    message: str
    final: bool = True


class StepRestarted(Event, frozen=True, tag="step.restarted"):
    """What a step said before is void: it is executed once more, or a model has given it up."""

    step: str


class ValueDrawn(Event, frozen=True, tag="value.drawn"):
    """The agent took a time, a random number or a new id, and gets the same again on a resume."""

    step: str
    kind: str
    value: Json


class OutputRestarted(Event, frozen=True, tag="output.restarted"):
    """On a resume the agent said something else: what it had said here before is void."""

    after: int
    """The number of the last entry that still holds."""
    within: str | None = None


class JournalDiverged(Event, frozen=True, tag="journal.diverged"):
    """The resumed agent ended without asking for these recorded steps."""

    steps: list[str]


# --- what an agent says -------------------------------------------------------------------------


class Emission(Event, frozen=True, kw_only=True):
    """What an agent says. `within` names the step or scope that says it, if one does."""

    within: str | None = None


class OutputChunk(Emission, frozen=True, tag="output.chunk"):
    """The agent produced a piece of its answer's text."""

    text: str


class OutputValue(Emission, frozen=True, tag="output.value"):
    """The agent produced a value that is not text."""

    large = "value"
    value: Json
    stored: ObjectRef | None = None


class ModelStarted(Emission, frozen=True, tag="model.started"):
    """A model was called."""

    call: str
    model: str
    message_count: int | None = None
    provider: str = ""


class ModelChunk(Emission, frozen=True, tag="model.chunk"):
    """A model produced a piece of text."""

    call: str
    text: str


class ModelFinished(Emission, frozen=True, tag="model.finished"):
    """A model call ended."""

    call: str
    usage: Usage | None = None
    thinking: str | None = None
    error: str | None = None
    finish: str | None = None
    cost_usd: float | None = None


class ToolStarted(Emission, frozen=True, tag="tool.started"):
    """A tool was called."""

    large = "input"
    call: str
    tool: str
    input: Json = None
    stored: ObjectRef | None = None


class ToolFinished(Emission, frozen=True, tag="tool.finished"):
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


class TodosUpdated(Emission, frozen=True, tag="todos.updated"):
    """The agent rewrote its plan."""

    todos: list[Todo]


class FileWritten(Emission, frozen=True, tag="file.written"):
    """The agent wrote a file of its own."""

    large = "content"
    path: str
    content: str
    stored: ObjectRef | None = None


class SourceFound(Emission, frozen=True, tag="source.found"):
    """The agent came upon a source."""

    url: str
    title: str | None = None
    tool: str | None = None


class SourceCited(Emission, frozen=True, tag="source.cited"):
    """The agent used a source in what it wrote."""

    url: str


class OutputWritten(Emission, frozen=True, tag="output.written"):
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
    | RunRequeued
    | RunWaiting
    | CancelRequested
    | RunSucceeded
    | RunFailed
    | RunInterrupted
    | CodeChanged
    | QuestionAsked
    | QuestionAnswered
    | QuestionExpired
    | StepStarted
    | StepFinished
    | StepFailed
    | StepRestarted
    | ValueDrawn
    | OutputRestarted
    | JournalDiverged
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

CONTROL_TYPES: frozenset[str] = frozenset(
    TYPES[kind] for kind in (CancelRequested, QuestionAnswered, QuestionExpired, RunRequeued)
)
"""Said by somebody other than the attempt under way, which has to hear of it."""
