"""Asking once and being answered once: every request of the native API, and when to send it again.

Knows no socket. A client sends `call`, and tells the exchange what became of it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar, cast
from urllib.parse import quote

import msgspec

from forebay.core.codec import encode_json
from forebay.core.json import Json

from .errors import Unavailable, Unreachable, error_of
from .models import (
    AgentInfo,
    Run,
    RunFilter,
    RunOptions,
    RunPage,
    read_agents,
    read_json,
    read_nothing,
    read_run,
    read_runs,
)
from .patience import Patience

_T = TypeVar("_T")
_AnswerT = TypeVar("_AnswerT", covariant=True)

_RUNS = "/api/runs"
_WAIT_SECONDS = 30.0  # how long the server holds back an answer; then the run is followed


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    body: bytes
    retry_after: float | None = None


class Call(msgspec.Struct, Generic[_AnswerT], frozen=True):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[bytes], _AnswerT]
    body: bytes | None = None
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    may_repeat: bool = True
    """Whether sending it twice does no harm."""


class Exchange(Generic[_T]):
    """One call, until it is answered."""

    def __init__(self, call: Call[_T], patience: Patience) -> None:
        self.call = call
        self._patience = patience

    def lost(self, error: Unreachable) -> float:
        """The connection failed; tells how long to pause before the next try.

        Raises it when there is to be none.
        """
        if error.was_sent and not self.call.may_repeat:
            raise error
        return self._patience.after(error)

    def answered(self, reply: Reply) -> float | None:
        """An answer came; tells how long to pause before the next try, None if it is the answer.

        Raises ApiError.
        """
        if reply.status < 400:
            return None
        error = error_of(reply.status, reply.body)
        if isinstance(error, Unavailable) and self.call.may_repeat:
            return self._patience.after(error, reply.retry_after)
        raise error


# --- the calls ----------------------------------------------------------------------------------


def submit(value: Json, options: RunOptions, *, wait: bool) -> Call[Run]:
    """Start a run. Sent twice, it still starts one: it carries a key."""
    body = cast(dict[str, Json], {**options, "input": value})
    key = body.pop("idempotency_key", None) or secrets.token_hex(16)
    body |= {"mode": "wait", "wait_seconds": _WAIT_SECONDS} if wait else {"mode": "background"}
    headers = {"content-type": "application/json", "idempotency-key": str(key)}
    return Call("POST", _RUNS, read_run, encode_json(body), headers=headers)


def get(run: str) -> Call[Run]:
    """Show a run."""
    return Call("GET", path_of(run), read_run)


def listing(which: RunFilter) -> Call[RunPage]:
    """List runs."""
    query = {name: str(value) for name, value in which.items()}
    return Call("GET", _RUNS, read_runs, query=query)


def answer(run: str, question: str, value: Json) -> Call[Run]:
    """Answer a question. Sent twice, it still answers once."""
    path = f"{path_of(run)}/answers/{quote(question, safe='')}"
    headers = {"content-type": "application/json"}
    return Call("POST", path, read_run, encode_json({"answer": value}), headers=headers)


def cancel(run: str) -> Call[Run]:
    """Ask a run to end."""
    return Call("POST", f"{path_of(run)}/cancel", read_run)


def delete(run: str) -> Call[None]:
    """Forget a run."""
    return Call("DELETE", path_of(run), read_nothing)


def read_object(run: str, name: str) -> Call[Json]:
    """Read a value that stands beside a run's log."""
    return Call("GET", f"{path_of(run)}/objects/{quote(name, safe='')}", read_json)


def agents() -> Call[Sequence[AgentInfo]]:
    """List agents."""
    return Call("GET", "/api/agents", read_agents)


def path_of(run: str) -> str:
    """Where a run is."""
    return f"{_RUNS}/{quote(run, safe='')}"
