"""The write path: a batch of writes becomes one statement, which commits by itself.

It writes whatever may be written as its writer expected, nearly always everything. What it left
out is looked at again in a second transaction, which can tell why, and can tell what was already
written by a batch whose fate was unknown.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec
import psycopg

from forebay.core.codec import Entry, encode_json
from forebay.core.errors import (
    DatabaseUnavailable,
    Invalid,
    KeyReused,
    RunNotFound,
    SessionBusy,
)
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import FINISHED, Run
from forebay.ports.store import (
    CONTROL,
    Admit,
    Admitted,
    Append,
    Appended,
    IdempotencyKey,
    Joined,
    Keep,
    Outcome,
    Write,
)
from forebay.storage.refusing import State, allowed, refusal
from forebay.storage.rows import metadata_column

from .arrays import BigInts, Blobs, Booleans, Column, Doubles, Integers, RunIds, Texts, Words
from .connection import Connection, execute, fetch, first_line
from .statements import (
    ADMITS,
    ADMITS_WITH_KEYS,
    ADMITTED_ENTRIES,
    ADMITTED_OBJECTS,
    APPENDED_OBJECTS,
    APPENDS,
    KEYS,
    Part,
    statement,
)


async def write_batch(connection: Connection, batch: Sequence[Write]) -> list[Outcome]:
    """Commit a batch; an outcome for each write, in order. Raises psycopg.Error."""
    in_sessions = [write for write in batch if _minds_its_session(write)]
    if not in_sessions:
        return await _write_readable(connection, batch)
    others = [write for write in batch if not _minds_its_session(write)]
    told = iter(await _write_readable(connection, others) if others else [])
    theirs = iter(await _write_readable(connection, in_sessions))
    return [next(theirs if _minds_its_session(write) else told) for write in batch]


def _minds_its_session(write: Write) -> bool:
    return isinstance(write, Admit) and write.minds_its_session


async def _write_readable(connection: Connection, batch: Sequence[Write]) -> list[Outcome]:
    try:
        return await _write(connection, batch)
    except psycopg.DataError as error:
        if len(batch) == 1:
            return [Invalid(f"PostgreSQL cannot store this: {first_line(error)}")]
    return [(await _write_readable(connection, [write]))[0] for write in batch]


async def _write(connection: Connection, batch: Sequence[Write]) -> list[Outcome]:
    outcomes = await _write_expected(connection, batch)
    left = [at for at, outcome in enumerate(outcomes) if outcome is None]
    if left:
        async with connection.transaction():
            look = _SecondLook(connection)
            await look.begin([batch[at] for at in left])
            for at in sorted(left, key=lambda at: _key_order(batch[at])):
                outcomes[at] = await look.write(batch[at])
    return cast(list[Outcome], outcomes)


def _key_order(write: Write) -> tuple[str, ...]:
    return _order(write.key) if isinstance(write, Admit) and write.key else ()


def _order(key: IdempotencyKey) -> tuple[str, ...]:
    return (key.tenant, key.caller, key.operation, key.key)


# --- the usual case -----------------------------------------------------------------------------


async def _write_expected(connection: Connection, batch: Sequence[Write]) -> list[Outcome | None]:
    """Write what is as its writer expected; None for the rest."""
    appends: dict[RunNumber, Append] = {}
    admits: dict[RunId, Admit | Keep] = {}
    for write in batch:
        if isinstance(write, Append):
            appends.setdefault(write.run, write)  # a second one has to be numbered after the first
        elif not _minds_its_session(write):
            admits.setdefault(write.run.id, write)
    if not appends and not admits:
        return [None] * len(batch)
    numbers, new_numbers = await _execute(connection, list(appends.values()), list(admits.values()))

    def outcome(write: Write) -> Outcome | None:
        if isinstance(write, Append):
            if write.run in numbers and appends[write.run] is write:
                return Appended(write.entries[0].number)
            return None
        number = new_numbers.get(RunId(write.run.id))
        return None if number is None else Admitted(number)

    return [outcome(write) for write in batch]


class _Numbers(NamedTuple):
    appended: set[RunNumber]
    admitted: dict[RunId, RunNumber]


async def _execute(
    connection: Connection, appends: Sequence[Append], admits: Sequence[Admit | Keep]
) -> _Numbers:
    parts: list[Part] = []
    columns: list[Column] = []
    for part, values in (*_append_parts(appends), *_admit_parts(admits)):
        parts.append(part)
        columns.extend(values)
    rows = await fetch(connection, statement(tuple(parts)), columns)
    written = cast(list[tuple[bytes | None, RunNumber]], rows)
    return _Numbers(
        {number for run, number in written if run is None},
        {RunId(run): number for run, number in written if run is not None},
    )


def _append_parts(appends: Sequence[Append]) -> list[tuple[Part, list[Column]]]:
    if not appends:
        return []
    entries = [(append.run, entry) for append in appends for entry in append.entries]
    columns: list[Column] = [
        BigInts([append.run for append in appends]),
        Integers([append.attempt for append in appends]),
        BigInts([append.entries[0].number for append in appends]),
        BigInts([append.entries[-1].number for append in appends]),
        Words([",".join(allowed(append)) for append in appends]),
        Texts([append.move.leads_to for append in appends]),
        Booleans([append.move.wakes for append in appends]),
        BigInts([append.wake if append.move.leads_to == "waiting" else None for append in appends]),
        Texts([append.reason for append in appends]),
        BigInts([_finished(append) for append in appends]),
        Texts([append.only_if_held_by for append in appends]),
        Booleans([append.only_if_lost for append in appends]),
        BigInts([run for run, _ in entries]),
        *_entry_columns([entry for _, entry in entries]),
    ]
    parts = [(APPENDS, columns)]
    objects = [(append.run, stored) for append in appends for stored in append.objects]
    if objects:
        stored: list[Column] = [
            BigInts([run for run, _ in objects]),
            Texts([stored.id for _, stored in objects]),
            Blobs([stored.data for _, stored in objects]),
        ]
        parts.append((APPENDED_OBJECTS, stored))
    return parts


def _admit_parts(admits: Sequence[Admit | Keep]) -> list[tuple[Part, list[Column]]]:
    if not admits:
        return []
    parts: list[tuple[Part, list[Column]]] = []
    keys = [(write.key, write.run.id) for write in admits if isinstance(write, Admit) and write.key]
    if keys:
        parts.append((KEYS, _key_columns(keys)))
    parts.append((ADMITS_WITH_KEYS if keys else ADMITS, _run_columns(admits)))
    entries = [
        (write.run.id, entry)
        for write in admits
        if isinstance(write, Admit)
        for entry in write.entries
    ]
    if entries:
        columns: list[Column] = [
            RunIds([run for run, _ in entries]),
            *_entry_columns([entry for _, entry in entries]),
        ]
        parts.append((ADMITTED_ENTRIES, columns))
    objects = [(write.run.id, stored) for write in admits for stored in write.objects]
    if objects:
        stored: list[Column] = [
            RunIds([run for run, _ in objects]),
            Texts([stored.id for _, stored in objects]),
            Blobs([stored.data for _, stored in objects]),
        ]
        parts.append((ADMITTED_OBJECTS, stored))
    return parts


def _entry_columns(entries: Sequence[Entry]) -> list[Column]:
    return [
        BigInts([entry.number for entry in entries]),
        Integers([entry.attempt for entry in entries]),
        Words([entry.type for entry in entries]),
        BigInts([entry.time for entry in entries]),
        Blobs([entry.data for entry in entries]),
    ]


def _key_columns(keys: Sequence[tuple[IdempotencyKey, RunId]]) -> list[Column]:
    # In one order everywhere: two batches that claim the same keys must not wait for each other.
    ordered = sorted(keys, key=lambda each: _order(each[0]))
    claims = [key for key, _ in ordered]
    return [
        Texts([key.tenant for key in claims]),
        Texts([key.caller for key in claims]),
        Texts([key.operation for key in claims]),
        Texts([key.key for key in claims]),
        Blobs([key.fingerprint for key in claims]),
        RunIds([run for _, run in ordered]),
        BigInts([key.expires for key in claims]),
    ]


def _run_columns(admits: Sequence[Admit | Keep]) -> list[Column]:
    runs = [write.run for write in admits]
    return [
        RunIds([run.id for run in runs]),
        Texts([run.tenant for run in runs]),
        Texts([run.caller for run in runs]),
        Texts([run.agent for run in runs]),
        Texts([run.session for run in runs]),
        Integers([run.priority for run in runs]),
        Words([run.status for run in runs]),
        Booleans([run.durable for run in runs]),
        BigInts([run.last for run in runs]),
        Integers([run.attempt for run in runs]),
        Texts([run.holder for run in runs]),
        Texts([run.reason for run in runs]),
        Texts([metadata_column(run) for run in runs]),
        BigInts([run.created for run in runs]),
        BigInts([run.started for run in runs]),
        BigInts([run.finished for run in runs]),
        BigInts([run.expiry_seconds for run in runs]),
        BigInts([run.expires for run in runs]),
        BigInts([run.deadline for run in runs]),
        Booleans([run.in_turn for run in runs]),
        Blobs([write.log if isinstance(write, Keep) else None for write in admits]),
        Doubles([write.lease_seconds if isinstance(write, Admit) else None for write in admits]),
        Booleans([isinstance(write, Admit) and write.key is not None for write in admits]),
    ]


def _finished(append: Append) -> int | None:
    return append.entries[-1].time if append.move.leads_to in FINISHED else None


# --- a second look ------------------------------------------------------------------------------


class _SecondLook:
    """What was left out, one by one, in a transaction that has locked the runs it is about.

    The locks come first and in one order; every statement after them sees all that was committed
    by whoever held them before.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._states: dict[RunNumber, State] = {}

    async def begin(self, writes: Sequence[Write]) -> None:
        """Lock the runs of these writes, and the sessions whose next run they are."""
        runs = {write.run for write in writes if isinstance(write, Append)}
        await execute(self._connection, _GIVE_UP_IDLE)
        if runs:
            rows = await fetch(self._connection, _LOCK, [BigInts(runs)])
            self._states = {row[0]: State(*row[1:]) for row in rows}
        sessions = [
            encode_json([write.run.tenant, write.run.session]).decode()
            for write in writes
            if isinstance(write, Admit) and write.minds_its_session
        ]
        if sessions:
            await fetch(self._connection, _LOCK_SESSIONS, [Texts(sessions)])

    async def write(self, write: Write) -> Outcome:
        """Write this, or say why not."""
        return await (self._append(write) if isinstance(write, Append) else self._admit(write))

    async def _append(self, append: Append) -> Outcome:
        state = self._states.get(append.run)
        if state is None:
            return RunNotFound()
        first = await self._standing(append)
        if first is not None:
            return Appended(first)
        refused = refusal(append, state)
        if refused is not None:
            return refused
        entries = [
            Entry(number, entry.attempt, entry.time, data=entry.data)
            for number, entry in enumerate(append.entries, state.last + 1)
        ]
        await _execute(self._connection, [msgspec.structs.replace(append, entries=entries)], [])
        status = append.move.after(state.status)
        stays = status == state.status
        self._states[append.run] = State(
            entries[-1].number,
            state.attempt,
            status,
            state.holder if stays else None,
            state.lost and stays,
        )
        return Appended(state.last + 1)

    async def _standing(self, append: Append) -> int | None:
        """Where these entries stand, if an earlier try has committed them after all.

        An attempt writes one batch after the other, so the first entry of its own from the expected
        number on is either the one it is offering again, or there is none.
        """
        if append.attempt == CONTROL:
            return None
        first = append.entries[0]
        rows = await fetch(self._connection, _STANDING, [append.run, first.number, append.attempt])
        found = cast(list[tuple[int, bytes]], rows)
        return found[0][0] if found and found[0][1] == first.data else None

    async def _admit(self, write: Admit | Keep) -> Outcome:
        run = write.run.id
        if isinstance(write, Admit) and write.key is not None:
            known = await self._known(write.key)
            if known is not None and known != Joined(run):
                return known
        rows = await fetch(self._connection, _NUMBER, [RunIds([run])])
        if rows:  # sent again, because nobody knew whether it had been committed
            return Admitted(RunNumber(rows[0][0]))
        if isinstance(write, Admit) and write.only_if_alone and await self._is_busy(write.run):
            return SessionBusy()
        _, admitted = await _execute(self._connection, [], [write])
        if run not in admitted:
            raise DatabaseUnavailable("Somebody else takes the same name at this moment.")
        return Admitted(admitted[run])

    async def _is_busy(self, run: Run) -> bool:
        return bool(await fetch(self._connection, _BUSY, [run.tenant, run.session]))

    async def _known(self, key: IdempotencyKey) -> Joined | KeyReused | None:
        rows = await fetch(
            self._connection, _KEY, [Texts([key.tenant, key.caller, key.operation, key.key])]
        )
        if not rows:
            return None
        run, fingerprint = cast(tuple[bytes, bytes], rows[0])
        return Joined(RunId(run)) if fingerprint == key.fingerprint else KeyReused()


# A process that is stopped in here must not hold its locks for long.
_GIVE_UP_IDLE = b"SET LOCAL idle_in_transaction_session_timeout = '5s'"

_LOCK = b"""
SELECT number, last, attempt, status, holder,
       coalesce(status = 'running' AND lease_until < now(), false)
  FROM forebay.run WHERE number = ANY ($1) ORDER BY number FOR UPDATE"""

# Whoever locks a session sees all who came before him in it, and gets a later number. The order of
# the locks is that of the numbers they are known by.
_LOCK_SESSIONS = b"""
SELECT pg_advisory_xact_lock(session)
  FROM (SELECT DISTINCT hashtextextended(name, 0) AS session FROM unnest($1::text[]) AS name
         ORDER BY 1) AS locked"""

_BUSY = b"""
SELECT 1 FROM forebay.run
 WHERE tenant = $1 AND session = $2 AND finished IS NULL LIMIT 1"""

_STANDING = b"""
SELECT seq, data FROM forebay.event
 WHERE run = $1 AND seq >= $2 AND attempt = $3 ORDER BY seq LIMIT 1"""

_NUMBER = b"SELECT number FROM forebay.run WHERE id = ANY ($1)"

_KEY = b"""
SELECT run, fingerprint FROM forebay.idempotency
 WHERE tenant = $1[1] AND caller = $1[2] AND operation = $1[3] AND key = $1[4]"""
