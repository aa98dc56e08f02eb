"""The read path. Every query is read to its end before it returns: no cursor stays open."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from forebay.core.clock import Clock, Millis, boot_id
from forebay.core.codec import Entry, unpack
from forebay.core.events import FINAL_TYPES
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_BYTES, PAGE_ENTRIES, page
from forebay.core.run import Run
from forebay.ports.store import CONTROL, Crowd, RunQuery
from forebay.storage.rows import (
    IN_A_NAMED_SCOPE,
    IN_A_SCOPE,
    RUN_COLUMNS,
    SILENT_TYPES,
    end_of_prefix,
    read_crowd,
    read_run,
)

from .connection import Connection, SqlValue


class Moved(NamedTuple):
    """Which runs have entries that were committed after some point, and that point's successor."""

    runs: dict[RunNumber, int]
    tail: int


class Reader:
    """Reads on one connection. Lives in one thread."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def find(self, run: RunId) -> Run | None:
        row = self._connection.row(f"SELECT {RUN_COLUMNS} FROM run WHERE id = ?", (run,))
        return read_run(row) if row else None

    def list(self, query: RunQuery) -> Sequence[Run]:
        filters: dict[str, SqlValue] = {
            "tenant = ?": query.tenant,
            "caller = ?": query.caller,
            "status = ?": query.status,
            "agent = ?": query.agent,
            "session = ?": query.session,
            "id < ?": query.before,
        }
        given = {test: value for test, value in filters.items() if value is not None}
        rows = self._connection.rows(
            f"SELECT {RUN_COLUMNS} FROM run WHERE {' AND '.join(given)} ORDER BY id DESC LIMIT ?",
            (*given.values(), query.limit),
        )
        return [read_run(row) for row in rows]

    def lost(self, limit: int) -> Sequence[Run]:
        boot = boot_id()
        rows = self._connection.rows(
            f"SELECT {RUN_COLUMNS} FROM run WHERE finished IS NULL AND status = 'running' "
            "AND (lease_until < ? OR substr(holder, 1, ?) <> ?) LIMIT ?",
            (self._clock.boot(), len(boot), boot, limit),
        )
        return [read_run(row) for row in rows]

    def held(self, holder: str, limit: int) -> Sequence[Run]:
        rows = self._connection.rows(
            f"SELECT {RUN_COLUMNS} FROM run WHERE finished IS NULL AND status = 'running' "
            "AND holder >= ? AND holder < ? LIMIT ?",
            (holder, end_of_prefix(holder), limit),
        )
        return [read_run(row) for row in rows]

    def due(self, now: Millis, limit: int) -> Sequence[Run]:
        rows = self._connection.rows(
            f"SELECT {RUN_COLUMNS} FROM run "
            "WHERE (finished IS NULL AND deadline <= ?1) OR wake <= ?1 LIMIT ?2",
            (now, limit),
        )
        return [read_run(row) for row in rows]

    def has_queued(self) -> bool:
        sql = "SELECT 1 FROM run WHERE finished IS NULL AND status = 'submitted' LIMIT 1"
        return self._connection.row(sql) is not None

    def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        rows = self._connection.rows(
            f"SELECT {RUN_COLUMNS} FROM run WHERE tenant = ? AND session = ? "
            "AND finished IS NULL AND number < ? ORDER BY number LIMIT ?",
            (run.tenant, run.session, run.number, limit),
        )
        return [read_run(row) for row in rows]

    def ahead(self, run: Run, limit: int) -> int:
        count = self._connection.value(
            "SELECT count(*) FROM (SELECT 1 FROM run WHERE status = 'submitted' "
            "AND (priority > ?1 OR (priority = ?1 AND number < ?2)) LIMIT ?3)",
            (run.priority, run.number, limit),
        )
        return cast(int, count)

    def crowd(self, besides: str) -> Crowd:
        queued = self._connection.rows(
            "SELECT tenant, count(*) FROM run WHERE status = 'submitted' GROUP BY tenant"
        )
        running = self._connection.rows(
            "SELECT tenant, agent, count(*) FROM run WHERE finished IS NULL "
            "AND status = 'running' AND holder <> ? GROUP BY tenant, agent",
            (besides,),
        )
        return read_crowd(queued, running)

    def last_attempt_that_spoke(self, run: RunNumber) -> int:
        silent = ",".join("?" * len(SILENT_TYPES))
        attempt = self._connection.value(
            f"SELECT attempt FROM event WHERE run = ? AND attempt <> {CONTROL} "
            f"AND type NOT IN ({silent}) AND (NOT instr(data, ?) OR instr(data, ?)) "
            "ORDER BY seq DESC LIMIT 1",
            (run, *SILENT_TYPES, IN_A_SCOPE, IN_A_NAMED_SCOPE),
        )
        return cast(int, attempt or 0)

    def read(
        self, run: RunNumber, after: int, limit: int, types: Sequence[str] | None
    ) -> Sequence[Entry]:
        packed = self._connection.value("SELECT log FROM run WHERE number = ?", (run,))
        if packed is not None:
            return page(unpack(cast(bytes, packed))[after:], limit, types)
        shown = () if types is None else tuple({*types, *FINAL_TYPES})
        only = f"AND type IN ({','.join('?' * len(shown))})" if shown else ""
        rows = self._connection.rows_up_to(
            PAGE_BYTES,
            "SELECT seq, attempt, ts, data FROM event "
            f"WHERE run = ? AND seq > ? {only} ORDER BY seq LIMIT ?",
            (run, after, *shown, limit),
        )
        return [
            Entry(number, attempt, time, data=data)
            for number, attempt, time, data in cast(list[tuple[int, int, Millis, bytes]], rows)
        ]

    def read_many(self, cursors: Mapping[RunNumber, int]) -> Mapping[RunNumber, Sequence[Entry]]:
        return {run: self.read(run, after, PAGE_ENTRIES, None) for run, after in cursors.items()}

    def moved(self, tail: int) -> Moved:
        rows = self._connection.rows(
            "SELECT run, max(seq), max(gseq) FROM event NOT INDEXED WHERE gseq > ? GROUP BY run",
            (tail,),
        )
        moved = cast(list[tuple[RunNumber, int, int]], rows)
        return Moved({run: last for run, last, _ in moved}, max([tail, *(row[2] for row in moved)]))

    def tail(self) -> int:
        return cast(int, self._connection.value("SELECT coalesce(max(gseq), 0) FROM event"))

    def object(self, run: RunNumber, object_id: str) -> bytes | None:
        return cast(
            bytes | None,
            self._connection.value(
                "SELECT data FROM object WHERE run = ? AND id = ?", (run, object_id)
            ),
        )

    def oldest_run(self) -> Millis | None:
        return cast(
            Millis | None,
            self._connection.value("SELECT created FROM run ORDER BY number LIMIT 1"),
        )

    def size(self) -> int:
        pages = cast(int, self._connection.value("PRAGMA page_count"))
        return pages * cast(int, self._connection.value("PRAGMA page_size"))
