"""The read path: one query each, answered in full before anybody else gets the connection."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from forebay.core.clock import Millis
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

from .arrays import BigInts, RunIds, Texts
from .connection import Connection, fetch


class Size(NamedTuple):
    """How large our tables are, and when their oldest run was created."""

    size_bytes: int
    oldest_run: Millis | None


async def find(connection: Connection, run: RunId) -> Run | None:
    rows = await fetch(connection, _FIND, [RunIds([run])])
    return read_run(rows[0]) if rows else None


async def list_runs(connection: Connection, query: RunQuery) -> list[Run]:
    filters: dict[str, object] = {
        "tenant": query.tenant,
        "caller": query.caller,
        "status": query.status,
        "agent": query.agent,
        "session": query.session,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    tests = [f"{name} = ${at}" for at, name in enumerate(given, 2)]
    values: list[object] = [query.limit, *given.values()]
    if query.before is not None:
        values.append(RunIds([query.before]))
        tests.append(f"id < (${len(values)}::uuid[])[1]")
    sql = (
        f"SELECT {RUN_COLUMNS} FROM forebay.run WHERE {' AND '.join(tests)} "
        "ORDER BY id DESC LIMIT $1"
    )
    return [read_run(row) for row in await fetch(connection, sql.encode(), values)]


async def lost(connection: Connection, limit: int) -> list[Run]:
    return [read_run(row) for row in await fetch(connection, _LOST, [limit])]


async def held(connection: Connection, holder: str, limit: int) -> list[Run]:
    rows = await fetch(connection, _HELD, [holder, end_of_prefix(holder), limit])
    return [read_run(row) for row in rows]


async def due(connection: Connection, now: Millis, limit: int) -> list[Run]:
    return [read_run(row) for row in await fetch(connection, _DUE, [now, limit])]


async def earlier(connection: Connection, run: Run, limit: int) -> list[Run]:
    values = [run.tenant, run.session, run.number, limit]
    return [read_run(row) for row in await fetch(connection, _EARLIER, values)]


async def ahead(connection: Connection, run: Run, limit: int) -> int:
    rows = await fetch(connection, _AHEAD, [run.priority, run.number, limit])
    return cast(int, rows[0][0])


async def crowd(connection: Connection, besides: str) -> Crowd:
    queued = await fetch(connection, _QUEUED)
    return read_crowd(queued, await fetch(connection, _RUNNING, [besides]))


async def last_attempt_that_spoke(connection: Connection, run: RunNumber) -> int:
    rows = await fetch(connection, _SPOKE, [run, Texts(SILENT_TYPES), IN_A_SCOPE, IN_A_NAMED_SCOPE])
    return cast(int, rows[0][0]) if rows else 0


async def read(
    connection: Connection,
    run: RunNumber,
    after: int,
    limit: int,
    types: Sequence[str] | None,
) -> list[Entry]:
    if types is None:
        rows = await fetch(connection, _PAGE, [run, after, limit])
    else:
        shown = Texts({*types, *FINAL_TYPES})
        rows = await fetch(connection, _PAGE_OF_TYPES, [run, after, limit, shown])
    if rows:
        return _entries(rows)
    packed = await fetch(connection, _PACKED, [BigInts([run])])
    return page(unpack(packed[0][1])[after:], limit, types) if packed else []


async def read_many(
    connection: Connection, cursors: Mapping[RunNumber, int]
) -> dict[RunNumber, list[Entry]]:
    columns = [BigInts(cursors.keys()), BigInts(cursors.values())]
    rows = await fetch(connection, _PAGES, columns)
    found: dict[RunNumber, list[Entry]] = {run: [] for run in cursors}
    for run, number, attempt, time, data in cast(
        list[tuple[RunNumber, int, int, Millis, bytes]], rows
    ):
        found[run].append(Entry(number, attempt, time, data=data))
    empty = [run for run, entries in found.items() if not entries]
    for run, packed in await fetch(connection, _PACKED, [BigInts(empty)]) if empty else ():
        found[run] = page(unpack(packed)[cursors[run] :], PAGE_ENTRIES, None)
    return found


async def moved(connection: Connection, known: Mapping[RunNumber, int]) -> dict[RunNumber, int]:
    """Which of these runs have entries after the known ones, and up to which number."""
    rows = await fetch(connection, _MOVED, [BigInts(known.keys()), BigInts(known.values())])
    return dict(cast(list[tuple[RunNumber, int]], rows))


async def read_object(connection: Connection, run: RunNumber, object_id: str) -> bytes | None:
    rows = await fetch(connection, _OBJECT, [run, object_id])
    return cast(bytes, rows[0][0]) if rows else None


async def size(connection: Connection) -> Size:
    rows = await fetch(connection, _SIZE)
    return Size(*rows[0])


def _entries(rows: Sequence[tuple[object, ...]]) -> list[Entry]:
    return [
        Entry(number, attempt, time, data=data)
        for number, attempt, time, data in cast(Sequence[tuple[int, int, Millis, bytes]], rows)
    ]


_FIND = f"SELECT {RUN_COLUMNS} FROM forebay.run WHERE id = ANY ($1)".encode()

_LOST = f"""
SELECT {RUN_COLUMNS} FROM forebay.run
 WHERE status = 'running' AND lease_until < now() ORDER BY number LIMIT $1""".encode()

_HELD = f"""
SELECT {RUN_COLUMNS} FROM forebay.run
 WHERE status = 'running' AND holder COLLATE "C" >= $1 AND holder COLLATE "C" < $2
 LIMIT $3""".encode()

_DUE = f"""
SELECT {RUN_COLUMNS} FROM forebay.run
 WHERE number = ANY (ARRAY(
       (SELECT number FROM forebay.run WHERE finished IS NULL AND deadline <= $1
         ORDER BY deadline LIMIT $2)
       UNION
       (SELECT number FROM forebay.run WHERE wake <= $1 ORDER BY wake LIMIT $2)))
 LIMIT $2""".encode()

_EARLIER = f"""
SELECT {RUN_COLUMNS} FROM forebay.run
 WHERE tenant = $1 AND session = $2 AND finished IS NULL AND number < $3
 ORDER BY number LIMIT $4""".encode()

_AHEAD = b"""
SELECT count(*)
  FROM (SELECT 1 FROM forebay.run
         WHERE status = 'submitted' AND (priority > $1 OR (priority = $1 AND number < $2))
         LIMIT $3) AS ahead"""

_QUEUED = b"SELECT tenant, count(*) FROM forebay.run WHERE status = 'submitted' GROUP BY tenant"

_RUNNING = b"""
SELECT tenant, agent, count(*) FROM forebay.run
 WHERE status = 'running' AND holder <> $1 GROUP BY tenant, agent"""

_SPOKE = f"""
SELECT attempt FROM forebay.event
 WHERE run = $1 AND attempt <> {CONTROL} AND type <> ALL ($2)
   AND (position($3 in data) = 0 OR position($4 in data) > 0)
 ORDER BY seq DESC LIMIT 1""".encode()

_PACKED = b"SELECT number, log FROM forebay.run WHERE number = ANY ($1) AND log IS NOT NULL"

_OBJECT = b"SELECT data FROM forebay.object WHERE run = $1 AND id = $2"

# The server adds up the sizes, so that no more than a page's worth of bytes is ever sent.
_BOUNDED = f"""
SELECT seq, attempt, ts, data
  FROM (SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
          FROM (SELECT seq, attempt, ts, data FROM forebay.event
                 WHERE run = $1 AND seq > $2 %s ORDER BY seq LIMIT $3) AS event) AS page
 WHERE before <= {PAGE_BYTES} ORDER BY seq"""

_PAGE = (_BOUNDED % "").encode()
_PAGE_OF_TYPES = (_BOUNDED % "AND type = ANY ($4)").encode()

_PAGES = f"""
SELECT cursor.run, page.*
  FROM unnest($1::bigint[], $2::bigint[]) AS cursor (run, after) CROSS JOIN LATERAL (
       SELECT seq, attempt, ts, data
         FROM (SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS before
                 FROM (SELECT seq, attempt, ts, data FROM forebay.event
                        WHERE run = cursor.run AND seq > cursor.after
                        ORDER BY seq LIMIT {PAGE_ENTRIES}) AS event) AS page
        WHERE before <= {PAGE_BYTES}) AS page
 ORDER BY cursor.run, page.seq""".encode()

_MOVED = b"""
SELECT run.number, run.last
  FROM unnest($1::bigint[], $2::bigint[]) AS known (number, last)
  JOIN forebay.run ON run.number = known.number WHERE run.last > known.last"""

_SIZE = b"""
SELECT (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'forebay'::regnamespace),
       (SELECT created FROM forebay.run ORDER BY number LIMIT 1)"""
