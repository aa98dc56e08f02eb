"""Between a run and its row, which has the same columns in every database."""

from collections.abc import Sequence
from typing import TypeAlias, cast

from forebay.core.clock import Millis
from forebay.core.codec import decode_json, encode_json
from forebay.core.events import (
    TYPES,
    CodeChanged,
    OutputRestarted,
    RunStarted,
    RunSubmitted,
    StepRestarted,
    StepStarted,
)
from forebay.core.ids import RunId, RunNumber
from forebay.core.json import Json
from forebay.core.run import Run, Status
from forebay.ports.store import Crowd

RUN_COLUMNS = (
    "number, id, tenant, caller, agent, session, priority, status, durable, last, attempt, "
    "reason, metadata, created, started, finished, expiry_seconds, holder, deadline, wake, in_turn"
)

_RunRow: TypeAlias = tuple[
    RunNumber, bytes, str, str, str, str | None, int, Status, bool | int, int, int,
    str | None, str | None, Millis, Millis | None, Millis | None, int, str | None,
    Millis | None, Millis | None, bool | int,
]  # fmt: skip

SILENT_TYPES = tuple(
    TYPES[kind]
    for kind in (
        RunSubmitted, RunStarted, CodeChanged, StepStarted, StepRestarted, OutputRestarted,
    )
)  # fmt: skip
"""What an attempt says before it has got anywhere."""

IN_A_SCOPE = b',"within":"'
IN_A_NAMED_SCOPE = IN_A_SCOPE + b"."
"""What is said inside a step gets nowhere either: only the step's result is not said again. Named
scopes are outside of steps if their names begin with a dot. (In a text quotes are escaped.)"""


def end_of_prefix(prefix: str) -> str:
    """Every name that begins like this sorts before it. Names of holders are ASCII."""
    return f"{prefix}\x7f"


def read_run(row: Sequence[object]) -> Run:
    """Read RUN_COLUMNS."""
    (
        number, run, tenant, caller, agent, session, priority, status, durable, last, attempt,
        reason, metadata, created, started, finished, expiry_seconds, holder, deadline, wake,
        in_turn,
    ) = cast(_RunRow, row)  # fmt: skip
    return Run(
        id=RunId(run),
        agent=agent,
        tenant=tenant,
        caller=caller,
        created=created,
        status=status,
        number=number,
        last=last,
        attempt=attempt,
        session=session,
        priority=priority,
        durable=bool(durable),
        reason=reason,
        metadata=cast(dict[str, Json], decode_json(metadata)) if metadata else {},
        started=started,
        finished=finished,
        expiry_seconds=expiry_seconds,
        holder=holder,
        deadline=deadline,
        wake=wake,
        in_turn=bool(in_turn),
    )


def read_crowd(queued: Sequence[Sequence[object]], running: Sequence[Sequence[object]]) -> Crowd:
    """Read how many runs of each tenant are queued, and of each tenant and agent running."""
    return Crowd(
        dict(cast(Sequence[tuple[str, int]], queued)),
        {
            (tenant, agent): runs
            for tenant, agent, runs in cast(Sequence[tuple[str, str, int]], running)
        },
    )


def metadata_column(run: Run) -> str | None:
    return encode_json(run.metadata).decode() if run.metadata else None
