"""What the native wire carries."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from forebay.core.json import Json
from forebay.core.run import Status
from forebay.core.turns import SessionPolicy

_YEAR = 366 * 86_400
_MOST = 2**53 - 1  # what every reader of JSON takes for a whole number


class RunBody(pydantic.BaseModel):
    """A run to start."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"input": "Hello, who is there?"}]}
    )

    input: Json = Field(description="What the agent is given: text, messages, or an object.")
    agent: str | None = Field(None, description="Which agent; without it, the default agent.")
    mode: Literal["wait", "stream", "background"] = Field(
        "wait", description="Answer with the finished run, with its events, or at once."
    )
    durable: bool | None = Field(
        None,
        description="Whether every event is committed before it is seen. "
        "Default: false for `wait`, true for `stream`; `background` is always durable.",
    )
    session: str | None = Field(None, min_length=1, max_length=200)
    session_policy: SessionPolicy | None = Field(
        None,
        description="What it means that a run of the session is not finished: this one waits its "
        "turn, is refused, or replaces it; or they run beside each other. Default: the setting "
        "`session_policy`.",
    )
    priority: int = Field(
        0, ge=-100, le=100, description="Of queued runs, those with the highest begin first."
    )
    metadata: dict[str, Json] = Field(default_factory=dict)
    expiry_seconds: int | None = Field(
        None, ge=60, le=_YEAR, description="How long the run is kept after its end."
    )
    deadline_seconds: float | None = Field(
        None,
        gt=0,
        le=_YEAR,
        description="How long after its admission the run has to have ended, whether it was "
        "queued, running or waiting meanwhile.",
    )
    max_steps: int | None = Field(
        None, gt=0, le=_MOST, description="How many steps it may begin, over all attempts."
    )
    max_tokens: int | None = Field(
        None, gt=0, le=_MOST, description="How many tokens its model calls may consume."
    )
    max_cost_usd: float | None = Field(
        None, gt=0, le=_MOST, description="How many US dollars its model calls may cost."
    )
    wait_seconds: float = Field(
        60.0, gt=0, le=3600, description="How long `wait` waits before it answers 202."
    )

    @pydantic.model_validator(mode="after")
    def _background_is_durable(self) -> "RunBody":
        if self.mode == "background" and self.durable is False:
            raise ValueError("a background run is always durable")
        return self


class AnswerBody(pydantic.BaseModel):
    """An answer to a question."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"answer": "yes"}]}
    )

    answer: Json = Field(
        description="Text, or an option by its id or value; several of them as a list."
    )


class RunError(pydantic.BaseModel):
    """Why a run did not succeed."""

    reason: str = Field(description="For programs: `agent_error`, `deadline`, `cancelled`, …")
    message: str
    error: str | None = Field(None, description="The class of what the agent raised.")
    traceback: str | None = Field(None, description="Only with `--dev`.")


class UsageModel(pydantic.BaseModel):
    """What the model calls of a run consumed."""

    input_tokens: int
    output_tokens: int
    estimated: bool = Field(
        False, description="Whether this server has counted itself, as a provider did not tell."
    )


class OptionModel(pydantic.BaseModel):
    """One of the answers that a question offers."""

    id: str
    label: str
    value: str = Field(description="What the agent gets.")
    description: str = ""


class QuestionModel(pydantic.BaseModel):
    """A question of the agent that nobody has answered yet."""

    id: str = Field(description="What the path of its answer ends with.")
    text: str
    kind: Literal["text", "binary_choice", "radio", "checkbox", "dropdown", "notification"]
    options: list[OptionModel] = []
    placeholder: str | None = None
    required: bool = Field(True, description="Whether the answer may not be empty.")
    timeout_seconds: float | None = None
    default: Json = Field(None, description="What counts as the answer when the time is up.")
    due: str | None = Field(None, description="When the time is up.")


class RunSummary(pydantic.BaseModel):
    """A run, as lists show it."""

    id: str = Field(description="A UUID whose order is the order of admission.")
    agent: str
    status: Status
    reason: str | None = Field(None, description="Why it ended, if it did not succeed.")
    durable: bool
    events: int = Field(description="How many events its log has: the newest cursor.")
    attempt: int
    session: str | None = None
    metadata: dict[str, Json] = {}
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    expires_at: str | None = None


class RunModel(RunSummary):
    """A run, with what its log adds up to."""

    position: int | None = Field(
        None,
        description="Which of the queued runs it is: 1 is the next. `null` if it is not queued, or "
        "if there are 1,000 ahead of it.",
    )
    output: Json = Field(None, description="The answer: text, or the value the agent gave.")
    error: RunError | None = None
    usage: UsageModel | None = None
    cost_usd: float | None = Field(
        None, description="What its model calls cost in US dollars, as far as prices are known."
    )
    questions: list[QuestionModel] = Field(
        [], description="What it asks, as long as it is not finished."
    )


class RunList(pydantic.BaseModel):
    """A page of runs, newest first."""

    runs: list[RunSummary]
    next_cursor: str | None = Field(None, description="Give it as `cursor` for the next page.")


class RunListQuery(pydantic.BaseModel):
    """Which runs to list."""

    model_config = pydantic.ConfigDict(extra="forbid")

    status: Status | None = None
    agent: str | None = None
    session: str | None = None
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = None


class EventsQuery(pydantic.BaseModel):
    """Which events to send."""

    model_config = pydantic.ConfigDict(extra="forbid")

    after: str | None = Field(None, description="Only events after this number.")
    types: str | None = Field(None, description="Only these types, separated by commas.")
    limit: int = Field(1000, ge=1, le=1000, description="Events in a JSON page.")


class EventModel(pydantic.BaseModel):
    """An entry of a run's log; further fields depend on its type."""

    model_config = pydantic.ConfigDict(extra="allow")

    number: int
    attempt: int
    time: str
    type: str


class EventPage(pydantic.BaseModel):
    """A page of a run's log."""

    events: list[EventModel]
    next: int | None = Field(None, description="Give it as `after` for what comes next.")
    finished: bool = Field(description="Whether the run's last event is among these.")


class AgentModel(pydantic.BaseModel):
    """Something that can be run."""

    name: str
    description: str
    input_schema: Json
    default: bool = Field(description="Whether it answers when no agent is named.")


class AgentList(pydantic.BaseModel):
    """The agents a caller may use."""

    agents: list[AgentModel]


class Problem(pydantic.BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable; for programs.")
    detail: str
    request_id: str
    errors: Annotated[list[dict[str, Json]], Field(default_factory=list)]


class Health(pydantic.BaseModel):
    """Whether the process lives."""

    status: Literal["ok", "degraded"]
    service: str
    dask_available: bool
    db: str


class Ready(pydantic.BaseModel):
    """Whether the server can take work."""

    ready: bool
    version: str
    database: str
    default_agent: str | None
    problems: list[str]
    degraded: list[str]
