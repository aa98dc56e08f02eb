"""Leases: queued runs taken by a holder, and the end of his leases moved on."""

from forebay.core.codec import encode_event, type_in
from forebay.core.run import Run
from forebay.ports.store import Lease
from forebay.storage.rows import RUN_COLUMNS, read_run

from .arrays import Texts
from .connection import Connection, execute, fetch

_TRIES = 3


async def lease(connection: Connection, lease: Lease) -> list[Run]:
    """Take queued runs; each of several who ask at once gets others."""
    data = encode_event(lease.started)
    values = [
        Texts(lease.agents),
        lease.limit,
        lease.holder,
        round(lease.seconds * 1000),
        lease.time,
        type_in(data),
        data,
    ]
    for _ in range(_TRIES):
        rows = await fetch(connection, _TAKE, values)
        runs = [read_run(row[1:]) for row in rows if row[1] is not None]
        if runs or not rows[0][0]:
            return sorted(runs, key=lambda run: (-run.priority, run.number or 0))
    return []  # others are at it: every run that was free a moment ago is theirs


async def renew(connection: Connection, holder: str, seconds: float) -> int:
    """Move the end of this holder's leases; tells how many there are."""
    return await execute(connection, _RENEW, [holder, round(seconds * 1000)])


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
                    WHERE status = 'submitted' AND run.agent = name
                    ORDER BY priority DESC, number LIMIT $2) AS urgent
             ORDER BY urgent.priority DESC, urgent.number LIMIT $2) AS urgent
     GROUP BY agent
), locked AS (
    SELECT queued.number
      FROM share CROSS JOIN LATERAL (
           SELECT number FROM forebay.run
            WHERE status = 'submitted' AND run.agent = share.agent
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

# Locked in the order in which everybody locks runs.
_RENEW = b"""
UPDATE forebay.run SET lease_until = clock_timestamp() + $2 * interval '1 millisecond'
 WHERE number IN (SELECT number FROM forebay.run
                   WHERE status = 'running' AND holder COLLATE "C" = $1
                   ORDER BY number FOR UPDATE)"""
