"""The write path: a batch of writes becomes one transaction of a handful of statements.

Nearly always every write of a batch may be done, and the numbers its writer expects are right. So
the batch is written whole, with an UPDATE that checks all of its runs at once. Only if that
counts too few rows, or a name is taken, it is undone and written again one by one, each checked by
itself. Few statements also mean few moments at which this thread gives up the interpreter lock:
beside a busy event loop each of them costs more than the statement.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import NamedTuple, cast

import apsw
import msgspec

from forebay.core.clock import Clock, boot_id
from forebay.core.codec import Entry, Object
from forebay.core.errors import KeyReused, RunNotFound, SessionBusy
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Run, Status
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
from forebay.storage.refusing import State, refusal

from .connection import Connection, Row
from .statements import (
    SIZES,
    event_rows,
    insert_event,
    insert_run,
    move_run,
    moved_row,
    only_says,
    run_row,
    said_row,
    say_in_run,
)


class NotAllWritten(Exception):
    """Some write of the batch cannot be done as its writer expected."""


class Written(NamedTuple):
    """What became of a batch, and the global numbers its entries stand between."""

    outcomes: list[Outcome]
    before: int
    tail: int


class Writer:
    """Writes batches on one connection. Lives in one thread."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._entries_written = 0
        self._tail = 0

    def write(self, batch: Sequence[Write]) -> Written:
        """Commit a batch; an outcome for each write, in order."""
        try:
            return self._write(batch, self._write_whole)
        except (NotAllWritten, apsw.ConstraintError):
            return self._write(batch, lambda batch: [self._write_alone(write) for write in batch])

    def _write(
        self, batch: Sequence[Write], how: Callable[[Sequence[Write]], list[Outcome]]
    ) -> Written:
        self._entries_written = 0
        with self._connection.transaction():
            outcomes = how(batch)
        return Written(outcomes, self._tail - self._entries_written, self._tail)

    def insert_entries(self, rows: Iterable[Row]) -> None:
        """Insert entries (run, number, attempt, type, time, data) in the transaction under way."""
        inserted = list(rows)
        if inserted:
            self._execute(insert_event, inserted)
            self._entries_written += len(inserted)
            self._tail = self._connection.last_rowid()

    # --- the usual case -------------------------------------------------------------------------

    def _write_whole(self, batch: Sequence[Write]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        admits: list[Admit | Keep] = []
        appends: list[Append] = []
        for write in batch:
            if isinstance(write, Append):
                appends.append(write)
                continue
            known = self._refused(write, admits) if isinstance(write, Admit) else None
            if known is None:
                admits.append(write)
            else:
                outcomes[id(write)] = known
        numbers = self._insert_runs(admits)
        self._update_runs(appends)
        self.insert_entries(
            chain(
                *(
                    event_rows(number, write.entries)
                    for write, number in zip(admits, numbers, strict=True)
                    if isinstance(write, Admit)
                ),
                *(event_rows(append.run, append.entries) for append in appends),
            )
        )
        for write, number in zip(admits, numbers, strict=True):
            self._insert_belongings(write, number)
            outcomes[id(write)] = Admitted(number)
        for append in appends:
            self._insert_objects(append.run, append.objects)
            outcomes[id(append)] = Appended(append.entries[0].number)
        return [outcomes[id(write)] for write in batch]

    def _refused(
        self, write: Admit, admitted: Sequence[Admit | Keep]
    ) -> Joined | KeyReused | SessionBusy | None:
        known = self._known(write) if write.key else None
        if known is not None or not write.only_if_alone:
            return known
        session = (write.run.tenant, write.run.session)
        if any((other.run.tenant, other.run.session) == session for other in admitted):
            return SessionBusy()
        if not self._is_busy(write.run):
            return None
        if self._number(write.run.id) is not None:
            raise NotAllWritten  # it was sent before, and may be busy with itself
        return SessionBusy()

    def _is_busy(self, run: Run) -> bool:
        return None is not self._connection.row(
            "SELECT 1 FROM run WHERE tenant = ? AND session = ? AND finished IS NULL",
            (run.tenant, run.session),
        )

    def _insert_runs(self, writes: Sequence[Admit | Keep]) -> list[RunNumber]:
        if not writes:
            return []
        until = self._clock.boot()
        rows = [run_row(write, until) for write in writes]
        self._execute(insert_run, rows)
        last = self._connection.last_rowid()
        return [RunNumber(last - len(rows) + 1 + at) for at in range(len(rows))]

    def _update_runs(self, appends: Sequence[Append]) -> None:
        if not appends:
            return
        if len({append.run for append in appends}) < len(appends):
            raise NotAllWritten  # an attempt and somebody else: they have to be numbered in turn
        boot, now = boot_id(), self._clock.boot()
        said: list[Row] = []
        moved: list[Row] = []
        for append in appends:
            if only_says(append):
                said.append(said_row(append))
            else:
                moved.append(moved_row(append, now, boot))
        changed = self._execute(say_in_run, said) + self._execute(move_run, moved)
        if changed != len(appends):
            raise NotAllWritten

    def _insert_belongings(self, write: Admit | Keep, number: RunNumber) -> None:
        self._insert_objects(number, write.objects)
        if isinstance(write, Admit) and write.key:
            self._insert_key(write.key, write.run.id)

    def _insert_objects(self, run: RunNumber, objects: Sequence[Object]) -> None:
        for stored in objects:
            self._connection.execute(
                "INSERT INTO object VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (run, stored.id, stored.data),
            )

    def _insert_key(self, key: IdempotencyKey, run: RunId) -> None:
        self._connection.execute(
            "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key.tenant, key.caller, key.operation, key.key, key.fingerprint, run, key.expires),
        )

    def _execute(self, statement: Callable[[int], str], rows: Sequence[Row]) -> int:
        # In few sizes, so that the statements stay prepared.
        at = changed = 0
        while at < len(rows):
            size = next(size for size in SIZES if size <= len(rows) - at)
            part = rows[at : at + size]
            self._connection.execute(statement(size), tuple(chain.from_iterable(part)))
            at += size
            changed += self._connection.changes()
        return changed

    # --- one by one -----------------------------------------------------------------------------

    def _write_alone(self, write: Write) -> Outcome:
        match write:
            case Append():
                return self._append_alone(write)
            case Admit(key=IdempotencyKey()) if (known := self._known(write)) is not None:
                return known
            case _:
                return self._admit_alone(write)

    def _known(self, write: Admit) -> Joined | KeyReused | None:
        key = write.key
        assert key is not None, "only a start with a key can be known by it"
        row = self._connection.row(
            "SELECT run, fingerprint FROM idempotency "
            "WHERE tenant = ? AND caller = ? AND operation = ? AND key = ?",
            (key.tenant, key.caller, key.operation, key.key),
        )
        if row is None or row[0] == write.run.id:  # its own: it was sent before
            return None
        run, fingerprint = cast(tuple[bytes, bytes], row)
        return Joined(RunId(run)) if fingerprint == key.fingerprint else KeyReused()

    def _admit_alone(self, write: Admit | Keep) -> Outcome:
        known = self._number(write.run.id)
        if known is not None:  # sent again, because nobody knew whether it had been committed
            return Admitted(known)
        if isinstance(write, Admit) and write.only_if_alone and self._is_busy(write.run):
            return SessionBusy()
        (number,) = self._insert_runs([write])
        if isinstance(write, Admit):
            self.insert_entries(event_rows(number, write.entries))
        self._insert_belongings(write, number)
        return Admitted(number)

    def _number(self, run: RunId) -> RunNumber | None:
        return cast(
            RunNumber | None,
            self._connection.value("SELECT number FROM run WHERE id = ?", (run,)),
        )

    def _append_alone(self, append: Append) -> Outcome:
        row = self._connection.row(
            "SELECT last, attempt, status, holder, lease_until FROM run WHERE number = ?",
            (append.run,),
        )
        if row is None:
            return RunNotFound()
        last, attempt, status, holder, lease_until = cast(
            tuple[int, int, Status, str | None, int | None], row
        )
        standing = self._standing(append)
        if standing is not None:
            return Appended(standing)
        lost = status == "running" and (
            not (holder or "").startswith(boot_id()) or (lease_until or 0) < self._clock.boot()
        )
        refused = refusal(append, State(last, attempt, status, holder, lost))
        if refused is not None:
            return refused
        entries = [
            Entry(number, entry.attempt, entry.time, data=entry.data)
            for number, entry in enumerate(append.entries, last + 1)
        ]
        self._update_runs([msgspec.structs.replace(append, entries=entries)])
        self.insert_entries(event_rows(append.run, entries))
        self._insert_objects(append.run, append.objects)
        return Appended(last + 1)

    def _standing(self, append: Append) -> int | None:
        # An attempt writes one batch after the other: the first entry of its own from the expected
        # number on is the one it is offering again, if there is one.
        if append.attempt == CONTROL:
            return None
        first = append.entries[0]
        row = self._connection.row(
            "SELECT seq, data FROM event WHERE run = ? AND seq >= ? AND attempt = ? "
            "ORDER BY seq LIMIT 1",
            (append.run, first.number, append.attempt),
        )
        return cast(int, row[0]) if row and row[1] == first.data else None
