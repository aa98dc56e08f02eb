"""Between a run and its row, which has the same columns in every database."""

from collections.abc import Sequence
from typing import TypeAlias, cast

from forebay.core.clock import Millis
from forebay.core.codec import decode_json, encode_json
from forebay.core.ids import RunId, RunNumber
from forebay.core.json import Json
from forebay.core.run import Run, Status

RUN_COLUMNS = (
    "number, id, tenant, caller, agent, session, priority, status, durable, last, attempt, "
    "reason, metadata, created, started, finished, expiry_seconds, holder"
)

_RunRow: TypeAlias = tuple[
    RunNumber, bytes, str, str, str, str | None, int, Status, bool | int, int, int,
    str | None, str | None, Millis, Millis | None, Millis | None, int, str | None,
]  # fmt: skip


def read_run(row: Sequence[object]) -> Run:
    """Read RUN_COLUMNS."""
    (
        number, run, tenant, caller, agent, session, priority, status, durable, last, attempt,
        reason, metadata, created, started, finished, expiry_seconds, holder,
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
    )


def metadata_column(run: Run) -> str | None:
    return encode_json(run.metadata).decode() if run.metadata else None
