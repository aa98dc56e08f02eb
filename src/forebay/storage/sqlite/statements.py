"""The statements that write, for as many rows as a batch has, and what fills their holes."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from forebay.core.codec import Entry
from forebay.core.ids import RunNumber
from forebay.core.run import FINISHED, SAID_WHILE_RUNNING
from forebay.ports.store import CONTROL, Admit, Append, Keep
from forebay.storage.refusing import allowed
from forebay.storage.rows import metadata_column

from .connection import Row

SIZES = (512, 256, 128, 64, 48, 32, 24, *range(16, 0, -1))
"""How many rows one statement has: few sizes, so that they stay prepared."""

_RUN_FIELDS = (
    "id, tenant, caller, agent, session, priority, status, durable, last, attempt, holder, "
    "lease_until, reason, metadata, created, started, finished, expiry_seconds, expires, "
    "deadline, in_turn, log"
)
_RUN_WIDTH = _RUN_FIELDS.count(",") + 1
_EVENT_WIDTH = 6
_SAID_WIDTH = 4
_MOVED_WIDTH = 14


def run_row(write: Admit | Keep, boot: int) -> Row:
    """A new run, for `insert_run`."""
    run = write.run
    lease = boot + int(write.lease_seconds * 1000) if isinstance(write, Admit) else None
    return (
        run.id,
        run.tenant,
        run.caller,
        run.agent,
        run.session,
        run.priority,
        run.status,
        run.durable,
        run.last,
        run.attempt,
        run.holder,
        lease,
        run.reason,
        metadata_column(run),
        run.created,
        run.started,
        run.finished,
        run.expiry_seconds,
        run.expires,
        run.deadline,
        run.in_turn,
        write.log if isinstance(write, Keep) else None,
    )


def event_rows(run: RunNumber, entries: Sequence[Entry]) -> Iterator[Row]:
    """Entries, for `insert_event`."""
    for entry in entries:
        yield (run, entry.number, entry.attempt, entry.type, entry.time, entry.data)


def only_says(append: Append) -> bool:
    """Whether nothing of the run changes but its last number: so it is with nearly all."""
    return (
        append.move == SAID_WHILE_RUNNING
        and append.attempt != CONTROL
        and not append.only_if_lost
        and append.only_if_held_by is None
    )


def said_row(append: Append) -> Row:
    """What only says something, for `say_in_run`."""
    entries = append.entries
    return (append.run, append.attempt, entries[0].number - 1, entries[-1].number)


def moved_row(append: Append, now: int, boot: str) -> Row:
    """What does more, for `move_run`."""
    last = append.entries[-1]
    move = append.move
    return (
        append.run,
        append.attempt,
        append.entries[0].number - 1,
        last.number,
        ",".join(allowed(append)),
        move.leads_to,
        move.wakes,
        append.wake if move.leads_to == "waiting" else None,
        append.reason,
        last.time if move.leads_to in FINISHED else None,
        append.only_if_held_by,
        append.only_if_lost,
        now,
        boot,
    )


def _values(rows: int, width: int) -> str:
    row = "(" + ",".join("?" * width) + ")"
    return ",".join([row] * rows)


@lru_cache
def insert_run(rows: int) -> str:
    """Insert so many runs."""
    return f"INSERT INTO run ({_RUN_FIELDS}) VALUES {_values(rows, _RUN_WIDTH)}"


@lru_cache
def insert_event(rows: int) -> str:
    """Insert so many entries."""
    return (
        "INSERT INTO event (run, seq, attempt, type, ts, data) "
        f"VALUES {_values(rows, _EVENT_WIDTH)}"
    )


@lru_cache
def say_in_run(rows: int) -> str:
    """Number the entries of so many runs, each still under the attempt that says them."""
    # No index names what it sets, so that a run's row is all there is to write.
    return f"""
WITH append (run, attempt, before, last) AS (VALUES {_values(rows, _SAID_WIDTH)})
UPDATE run
   SET last = append.last
  FROM append
 WHERE run.number = append.run
   AND run.last = append.before
   AND run.attempt = append.attempt
   AND run.status = 'running'
"""


@lru_cache
def move_run(rows: int) -> str:
    """Number the entries of so many runs, and do to each what its entries do."""
    # `instr`: the states an entry may stand in are few words, none within another.
    # Whatever names a new state ends a lease.
    return f"""
WITH append (run, attempt, before, last, allowed, status, wakes, wake, reason, finished, held_by,
             if_lost, now, boot)
  AS (VALUES {_values(rows, _MOVED_WIDTH)})
UPDATE run
   SET last = append.last,
       status = coalesce(append.status, iif(append.wakes AND run.status = 'waiting',
                                            'submitted', run.status)),
       reason = coalesce(append.reason, run.reason),
       finished = append.finished,
       expires = append.finished + run.expiry_seconds * 1000,
       holder = iif(append.status IS NULL, run.holder, NULL),
       lease_until = iif(append.status IS NULL, run.lease_until, NULL),
       wake = iif(append.status IS NULL AND NOT append.wakes, run.wake, append.wake)
  FROM append
 WHERE run.number = append.run
   AND run.last = append.before
   AND (append.attempt = {CONTROL} OR run.attempt = append.attempt)
   AND instr(append.allowed, run.status)
   AND (append.held_by IS NULL OR run.holder = append.held_by)
   AND (NOT append.if_lost OR run.status = 'running' AND (
        run.lease_until < append.now
        OR substr(run.holder, 1, length(append.boot)) <> append.boot))
"""
