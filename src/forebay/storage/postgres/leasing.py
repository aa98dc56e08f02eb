"""Leases: queued runs taken by a holder, and the end of his leases moved on."""

from collections.abc import Sequence
from typing import cast

from forebay.core.codec import encode_event, type_in
from forebay.core.ids import RunNumber
from forebay.core.run import Run
from forebay.ports.store import Lease
from forebay.storage.room import Room
from forebay.storage.rows import RUN_COLUMNS, read_run

from .arrays import BigInts, Texts
from .connection import Connection, execute, fetch

_TRIES = 3


async def lease(connection: Connection, lease: Lease) -> list[Run]:
    """Take queued runs; each of several who ask at once gets others."""
    take = _take_within_limits if lease.is_limited else _take
    return sorted(await take(connection, lease), key=lambda run: (-run.priority, run.number or 0))


async def _take(connection: Connection, lease: Lease) -> list[Run]:
    values = [Texts(lease.agents), lease.limit, *_leased(lease)]
    for _ in range(_TRIES):
        rows = await fetch(connection, _TAKE, values)
        runs = [read_run(row[1:]) for row in rows if row[1] is not None]
        if runs or not rows[0][0]:
            return runs
    return []  # others are at it: every run that was free a moment ago is theirs


async def _take_within_limits(connection: Connection, lease: Lease) -> list[Run]:
    """Take what fits, one taker after the other: each counts what those before him have taken."""
    room = Room(lease, await _running(connection))
    if not await _free(connection, room, 1):
        return []
    runs: list[Run] = []
    async with connection.transaction():
        await execute(connection, _GIVE_UP_IDLE)
        await fetch(connection, _ONE_AT_A_TIME)
        room = Room(lease, await _running(connection))
        while len(runs) < lease.limit:
            free = await _free(connection, room, lease.limit - len(runs))
            numbers = [number for number, tenant, agent in free if room.take(tenant, agent)]
            rows = await fetch(connection, _TAKE_THESE, [BigInts(numbers), *_leased(lease)])
            if not rows:
                break  # else some may have been passed over for others that are too many now
            runs += map(read_run, rows)
    return runs


def _leased(lease: Lease) -> list[object]:
    data = encode_event(lease.started)
    return [lease.holder, round(lease.seconds * 1000), lease.time, type_in(data), data]


async def _running(connection: Connection) -> list[tuple[str, str, int]]:
    return cast(list[tuple[str, str, int]], await fetch(connection, _RUNNING))


async def _free(
    connection: Connection, room: Room, limit: int
) -> Sequence[tuple[RunNumber, str, str]]:
    values = [Texts(room.agents), Texts(room.full_tenants), limit]
    return cast(list[tuple[RunNumber, str, str]], await fetch(connection, _FREE, values))


async def renew(connection: Connection, holder: str, seconds: float) -> int:
    """Move the end of this holder's leases; tells how many there are."""
    return await execute(connection, _RENEW, [holder, round(seconds * 1000)])


# Whose turn it is: a finished run stays finished, so that what a statement sees of the past of a
# session, however old, is never too kind.
_MAY_BEGIN = """status = 'submitted' AND (NOT in_turn OR NOT EXISTS (
                          SELECT 1 FROM forebay.run AS earlier
                           WHERE earlier.tenant = run.tenant AND earlier.session = run.session
                             AND earlier.finished IS NULL AND earlier.number < run.number))"""

# First how many of each agent are among the most urgent: a long queue of runs that nobody here can
# execute costs nothing. Then so many of each are locked, and whatever others have locked is left to
# them; what is written to a run is read after that, in its newest version. An array of numbers,
# since the planner takes a join for one of very many runs, and reads the whole table for it.
_TAKE = f"""
WITH share AS (
    SELECT agent, count(*) AS runs
      FROM (SELECT name AS agent
              FROM unnest($1::text[]) AS name CROSS JOIN LATERAL (
                   SELECT priority, number FROM forebay.run
                    WHERE {_MAY_BEGIN} AND run.agent = name
                    ORDER BY priority DESC, number LIMIT $2) AS urgent
             ORDER BY urgent.priority DESC, urgent.number LIMIT $2) AS urgent
     GROUP BY agent
), locked AS (
    SELECT queued.number
      FROM share CROSS JOIN LATERAL (
           SELECT number FROM forebay.run
            WHERE {_MAY_BEGIN} AND run.agent = share.agent
            ORDER BY priority DESC, number LIMIT share.runs FOR UPDATE SKIP LOCKED) AS queued
), leased AS (
    UPDATE forebay.run
       SET status = 'running', last = run.last + 1, attempt = run.attempt + 1, holder = $3,
           lease_until = clock_timestamp() + $4 * interval '1 millisecond',
           started = coalesce(run.started, $5)
     WHERE number = ANY (ARRAY(SELECT number FROM locked))
    RETURNING {RUN_COLUMNS}
), leased_event AS (
    INSERT INTO forebay.event (run, seq, attempt, type, ts, data)
    SELECT number, last, attempt, $6, $5, $7 FROM leased
)
SELECT wanted.runs, leased.*
  FROM (SELECT coalesce(sum(runs), 0)::bigint AS runs FROM share) AS wanted
  LEFT JOIN leased ON true""".encode()

# Whoever takes runs within limits waits for whoever does at this moment: a lock of our own.
_ONE_AT_A_TIME = b"SELECT pg_advisory_xact_lock(hashtextextended('forebay: limits of runs', 0))"

# A process that is stopped in here must not hold it for long.
_GIVE_UP_IDLE = b"SET LOCAL idle_in_transaction_session_timeout = '5s'"

_RUNNING = b"""
SELECT tenant, agent, count(*) FROM forebay.run WHERE status = 'running' GROUP BY tenant, agent"""

_FREE = f"""
SELECT queued.number, queued.tenant, queued.agent
  FROM unnest($1::text[]) AS name CROSS JOIN LATERAL (
       SELECT number, tenant, agent, priority FROM forebay.run
        WHERE {_MAY_BEGIN} AND run.agent = name AND tenant <> ALL ($2)
        ORDER BY priority DESC, number LIMIT $3) AS queued
 ORDER BY queued.priority DESC, queued.number LIMIT $3""".encode()

_TAKE_THESE = f"""
WITH locked AS (
    SELECT number FROM forebay.run WHERE number = ANY ($1) AND status = 'submitted'
     ORDER BY number FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE forebay.run
       SET status = 'running', last = run.last + 1, attempt = run.attempt + 1, holder = $2,
           lease_until = clock_timestamp() + $3 * interval '1 millisecond',
           started = coalesce(run.started, $4)
     WHERE number = ANY (ARRAY(SELECT number FROM locked))
    RETURNING {RUN_COLUMNS}
), leased_event AS (
    INSERT INTO forebay.event (run, seq, attempt, type, ts, data)
    SELECT number, last, attempt, $5, $4, $6 FROM leased
)
SELECT * FROM leased""".encode()

# Locked in the order in which everybody locks runs.
_RENEW = b"""
UPDATE forebay.run SET lease_until = clock_timestamp() + $2 * interval '1 millisecond'
 WHERE number IN (SELECT number FROM forebay.run
                   WHERE status = 'running' AND holder COLLATE "C" = $1
                   ORDER BY number FOR UPDATE)"""
