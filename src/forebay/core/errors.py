"""Everything that can go wrong by name. The class carries meaning, a dialect carries the shape.

The docstring of a class is its message; a raise may bring a more exact one. The family decides the
HTTP status (in `http/errors.py`, nowhere else); the code is stable and is what programs compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong with one place of an input."""

    location: tuple[str | int, ...]
    message: str
    kind: str


class ForebayError(Exception):
    """Something went wrong."""

    code = "error"
    retry_after: float | None = None

    def __init__(
        self, message: str | None = None, *, problems: Sequence[FieldProblem] = ()
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.problems = tuple(problems)
        super().__init__(self.message)


# --- families -----------------------------------------------------------------------------------


class Malformed(ForebayError):
    """The request could not be read."""


class Invalid(ForebayError):
    """The request was read, but asks for something that cannot be."""


class Unauthenticated(ForebayError):
    """The presented credentials are missing or wrong."""


class Denied(ForebayError):
    """The caller may not do this."""


class NotFound(ForebayError):
    """There is no such thing."""


class Conflict(ForebayError):
    """The request contradicts what is already there."""


class TooLarge(ForebayError):
    """The request is larger than this server accepts."""


class Busy(ForebayError):
    """There is more to do than this server accepts at once."""

    retry_after = 1.0


class Unavailable(ForebayError):
    """A part this server needs cannot be reached."""

    retry_after = 1.0


class Full(ForebayError):
    """There is no room left to store anything."""

    retry_after = 60.0


class Broken(ForebayError):
    """The server made a mistake; it is in the server's log."""

    code = "internal_error"


# --- reading a request --------------------------------------------------------------------------


class BadJson(Malformed):
    """The body is not valid JSON."""

    code = "bad_json"


class BadCursor(Malformed):
    """The cursor is not one this server gave out."""

    code = "bad_cursor"


class InvalidBody(Invalid):
    """The body does not have the expected fields."""

    code = "invalid_body"


class InvalidQuery(Invalid):
    """A query parameter does not have an accepted value."""

    code = "invalid_query"


class InvalidInput(Invalid):
    """The agent does not take this input."""

    code = "invalid_input"


class BodyTooLarge(TooLarge):
    """The body is larger than this server accepts."""

    code = "body_too_large"


class ForeignOrigin(Denied):
    """A web page of another origin may not use this server."""

    code = "foreign_origin"


class ForeignHost(Denied):
    """This server does not answer under that host name."""

    code = "foreign_host"


class TokenNotAccepted(Unauthenticated):
    """No validator accepts this token."""

    code = "token_not_accepted"


class TokenRequired(Unauthenticated):
    """This route needs a token."""

    code = "token_required"


# --- runs ---------------------------------------------------------------------------------------


class MalformedId(NotFound):
    """No run has this id: it is not an id at all."""

    code = "run_not_found"


class RunNotFound(NotFound):
    """No run has this id."""

    code = "run_not_found"


class ObjectNotFound(NotFound):
    """The run has no such object."""

    code = "object_not_found"


class AgentNotFound(NotFound):
    """No agent has this name."""

    code = "agent_not_found"


class NoDefaultAgent(Invalid):
    """Several agents are registered and none is the default: name one."""

    code = "no_default_agent"


class QuestionNotFound(NotFound):
    """The run has asked no such question."""

    code = "question_not_found"


class QuestionClosed(Conflict):
    """The question was answered before, or its time is up."""

    code = "question_closed"


class RunUnfinished(Conflict):
    """The run is not finished: cancel it first."""

    code = "run_unfinished"


class RunFinished(Conflict):
    """The run is finished."""

    code = "run_finished"


class SessionBusy(Conflict):
    """A run of this session is not finished, and only one at a time was asked for."""

    code = "session_busy"


class QueueFull(Unavailable):
    """So many runs are queued already that this server takes no more."""

    code = "queue_full"
    retry_after = 5.0


class TooManyQueued(Busy):
    """So many of your runs are queued already that this server takes no more of them."""

    code = "too_many_queued"
    retry_after = 5.0


class TooManyRuns(Busy):
    """As many runs as may be are under way, and this one was not to be queued."""

    code = "too_many_runs"


class KeyReused(Conflict):
    """This idempotency key was used with another request."""

    code = "idempotency_key_reused"


class StaleAttempt(Conflict):
    """Another attempt has taken over this run."""

    code = "stale_attempt"


class EventTooLarge(TooLarge):
    """An event is larger than the log accepts, and has no field that can be stored beside it."""

    code = "event_too_large"


class BacklogFull(Busy):
    """The agent produces faster than the log can take, and does not wait."""

    code = "backlog_full"


class InvalidPrompt(Invalid):
    """The agent asks something that nobody can answer."""

    code = "invalid_prompt"


class InvalidAnswer(Invalid):
    """The question does not take this answer."""

    code = "invalid_answer"


class QuestionTimedOut(ForebayError):
    """Nobody answered in time."""

    code = "question_timed_out"


class StepFailed(ForebayError):
    """A step failed."""

    code = "step_failed"

    def __init__(self, message: str | None = None, *, step: str = "", error: str = "") -> None:
        super().__init__(message)
        self.step = step
        """The name the agent gave it."""
        self.error = error
        """The class of what it raised."""


class StepArgumentsChanged(Conflict):
    """A step is asked for under a key that was used with other arguments."""

    code = "step_arguments_changed"


class BudgetExceeded(ForebayError):
    """The run has used up what its grant allows."""

    code = "budget_exceeded"

    def __init__(self, message: str | None = None, *, reason: str = "step_budget") -> None:
        super().__init__(message)
        self.reason = reason
        """The reason of the run's end: `step_budget`, `token_budget` or `cost_budget`."""


# --- models -------------------------------------------------------------------------------------


class ModelError(ForebayError):
    """A model could not answer."""

    code = "model_error"


class ModelNotFound(ModelError):
    """No model has this name."""

    code = "model_not_found"


class ModelNotGranted(ModelError):
    """This run may not use this model."""

    code = "model_not_granted"


class ModelUnreachable(ModelError):
    """The provider of the model cannot be reached, or does not work."""

    code = "model_unreachable"


class ModelCutOff(ModelUnreachable):
    """The provider of the model stopped in the middle of its reply."""

    code = "model_cut_off"


class KeyRefused(ModelError):
    """The provider of the model refuses the key."""

    code = "key_refused"


class ModelUnknown(ModelError):
    """The provider has no such model."""

    code = "model_unknown"


class RateLimited(ModelError):
    """The provider of the model takes no more calls for now."""

    code = "rate_limited"


class ContextTooLong(ModelError):
    """The conversation is longer than the model can take."""

    code = "context_too_long"


class ContentFiltered(ModelError):
    """The provider of the model refuses the content."""

    code = "content_filtered"


class ModelRefused(ModelError):
    """The provider of the model does not take this request."""

    code = "model_refused"


class MalformedReply(ModelError):
    """The model's reply cannot be read."""

    code = "malformed_reply"


# --- tools --------------------------------------------------------------------------------------


class ToolError(ForebayError):
    """A tool could not do what it was asked for."""

    code = "tool_error"


class ToolNotFound(ToolError):
    """No tool has this name."""

    code = "tool_not_found"


class ToolNotGranted(ToolError):
    """This run may not use this tool."""

    code = "tool_not_granted"


class ToolRefused(ToolError):
    """The person who was asked does not want this tool to be called."""

    code = "tool_refused"


class InvalidArguments(ToolError):
    """The tool does not take these arguments."""

    code = "invalid_arguments"


class ToolUnavailable(ToolError):
    """What the tool needs cannot be reached."""

    code = "tool_unavailable"


# --- the network --------------------------------------------------------------------------------


class HttpError(ForebayError):
    """An outbound call has failed."""

    code = "http_error"


class Unreachable(HttpError):
    """The other side cannot be reached."""

    code = "unreachable"


class TookTooLong(Unreachable):
    """The other side did not answer in time."""

    code = "took_too_long"


class AddressRefused(HttpError):
    """This address may not be called from here."""

    code = "address_refused"


class Offline(AddressRefused):
    """The runtime profile is offline: only addresses of this machine or network may be called."""

    code = "offline"


class AnswerTooLarge(HttpError):
    """The answer is larger than was asked for."""

    code = "answer_too_large"


# --- the server ---------------------------------------------------------------------------------


class Starting(Unavailable):
    """The server is starting."""

    code = "starting"


class Stopping(Unavailable):
    """The server is shutting down."""

    code = "stopping"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""

    code = "database_unavailable"


class MigrationNeeded(Unavailable):
    """The database has an older schema: run `forebay migrate`."""

    code = "migration_needed"


class DiskFull(Full):
    """The disk of the database is almost full."""

    code = "disk_full"


# --- start --------------------------------------------------------------------------------------


class StartError(ForebayError):
    """The server cannot start like this."""

    code = "start_error"


class SettingError(StartError):
    """A setting cannot be used."""

    code = "setting_error"


class ForeignDatabase(StartError):
    """The file is a database of another program."""

    code = "foreign_database"


class NewerSchema(StartError):
    """The database was written by a newer Forebay."""

    code = "newer_schema"


class AgentLoadError(StartError):
    """The agents could not be loaded."""

    code = "agent_load_error"


class WorkflowError(StartError):
    """The workflow file cannot be used."""

    code = "workflow_error"
