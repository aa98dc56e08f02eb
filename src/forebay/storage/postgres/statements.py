"""The statements that write: parts of one statement, put together for what a batch consists of.

One statement is one round trip and one transaction. Two rules make it right while others write:

- What stands in a run's row is read only after the row was locked, by `FOR UPDATE`, which answers
  with the newest version of it. What else the statement sees is as old as its beginning: so it
  does only what the newest version of the row says may be done, and leaves everything that needs a
  second look (numbers that are not as expected, names that are taken) to another statement.
- Locks are taken in the same order by everybody: runs by their number, then sessions (only in a
  second look), then keys by their text.
"""

from functools import lru_cache
from typing import NamedTuple

from forebay.ports.store import CONTROL


class Part(NamedTuple):
    """A piece of a statement, with holes for its parameters."""

    sql: str
    parameters: int


APPENDS = Part(
    f"""
append AS (
    SELECT * FROM unnest({{0}}::bigint[], {{1}}::integer[], {{2}}::bigint[], {{3}}::bigint[],
                         {{4}}::text[], {{5}}::text[], {{6}}::boolean[], {{7}}::bigint[],
                         {{8}}::text[], {{9}}::bigint[], {{10}}::text[], {{11}}::boolean[])
        AS append (run, attempt, first, last, allowed, status, wakes, wake, reason, finished,
                   held_by, if_lost)
), held AS (
    SELECT number, last, attempt, status, holder, status = 'running' AND lease_until < now() AS lost
      FROM forebay.run WHERE number = ANY ({{0}}::bigint[]) ORDER BY number FOR UPDATE
), appended AS (
    UPDATE forebay.run
       SET last = append.last,
           status = CASE WHEN append.status IS NOT NULL THEN append.status
                         WHEN append.wakes AND held.status = 'waiting' THEN 'submitted'
                         ELSE held.status END,
           reason = coalesce(append.reason, run.reason),
           finished = append.finished,
           expires = append.finished + run.expiry_seconds * 1000,
           holder = CASE WHEN append.status IS NULL THEN run.holder END,
           lease_until = CASE WHEN append.status IS NULL THEN run.lease_until END,
           wake = CASE WHEN append.status IS NULL AND NOT append.wakes THEN run.wake
                       ELSE append.wake END
      FROM append JOIN held ON held.number = append.run
     WHERE run.number = append.run
       AND held.last = append.first - 1
       AND (append.attempt = {CONTROL} OR held.attempt = append.attempt)
       AND held.status = ANY (string_to_array(append.allowed, ','))
       AND (append.held_by IS NULL OR held.holder = append.held_by)
       AND (NOT append.if_lost OR held.lost)
    RETURNING run.number
), appended_event AS (
    INSERT INTO forebay.event (run, seq, attempt, type, ts, data)
    SELECT event.*
      FROM unnest({{12}}::bigint[], {{13}}::bigint[], {{14}}::integer[], {{15}}::text[],
                  {{16}}::bigint[], {{17}}::bytea[]) AS event (run, seq, attempt, type, ts, data)
      JOIN appended ON appended.number = event.run
)""",
    18,
)

APPENDED_OBJECTS = Part(
    """
appended_object AS (
    INSERT INTO forebay.object (run, id, data)
    SELECT object.*
      FROM unnest({0}::bigint[], {1}::text[], {2}::bytea[]) AS object (run, id, data)
      JOIN appended ON appended.number = object.run
        ON CONFLICT DO NOTHING
)""",
    3,
)

KEYS = Part(
    """
claimed AS (
    INSERT INTO forebay.idempotency (tenant, caller, operation, key, fingerprint, run, expires)
    SELECT * FROM unnest({0}::text[], {1}::text[], {2}::text[], {3}::text[], {4}::bytea[],
                         {5}::uuid[], {6}::bigint[])
        ON CONFLICT DO NOTHING
    RETURNING run
)""",
    7,
)

_NEW_RUN = (
    "id, tenant, caller, agent, session, priority, status, durable, last, attempt, holder, "
    "reason, metadata, created, started, finished, expiry_seconds, expires, deadline, "
    "in_turn, log"
)

_ADMITS = f"""
admit AS (
    SELECT * FROM unnest({{0}}::uuid[], {{1}}::text[], {{2}}::text[], {{3}}::text[], {{4}}::text[],
                         {{5}}::integer[], {{6}}::text[], {{7}}::boolean[], {{8}}::bigint[],
                         {{9}}::integer[], {{10}}::text[], {{11}}::text[], {{12}}::text[],
                         {{13}}::bigint[], {{14}}::bigint[], {{15}}::bigint[], {{16}}::bigint[],
                         {{17}}::bigint[], {{18}}::bigint[], {{19}}::boolean[],
                         {{20}}::bytea[], {{21}}::double precision[], {{22}}::boolean[])
        AS admit ({_NEW_RUN}, lease_seconds, has_key)
), admitted AS (
    INSERT INTO forebay.run ({_NEW_RUN}, lease_until)
    SELECT {_NEW_RUN}, now() + lease_seconds * interval '1 second' FROM admit %s
        ON CONFLICT (id) DO NOTHING
    RETURNING id, number
)"""

ADMITS = Part(_ADMITS % "", 23)
ADMITS_WITH_KEYS = Part(
    _ADMITS % "WHERE NOT has_key OR id IN (SELECT run FROM claimed)",
    23,
)

ADMITTED_ENTRIES = Part(
    """
admitted_event AS (
    INSERT INTO forebay.event (run, seq, attempt, type, ts, data)
    SELECT admitted.number, seq, attempt, type, ts, data
      FROM unnest({0}::uuid[], {1}::bigint[], {2}::integer[], {3}::text[], {4}::bigint[],
                  {5}::bytea[]) AS event (run, seq, attempt, type, ts, data)
      JOIN admitted ON admitted.id = event.run
)""",
    6,
)

ADMITTED_OBJECTS = Part(
    """
admitted_object AS (
    INSERT INTO forebay.object (run, id, data)
    SELECT admitted.number, object.id, data
      FROM unnest({0}::uuid[], {1}::text[], {2}::bytea[]) AS object (run, id, data)
      JOIN admitted ON admitted.id = object.run
        ON CONFLICT DO NOTHING
)""",
    3,
)

_ANSWERS = {
    APPENDS: "SELECT NULL::uuid, number FROM appended",
    ADMITS: "SELECT id, number FROM admitted",
    ADMITS_WITH_KEYS: "SELECT id, number FROM admitted",
}


@lru_cache(maxsize=64)
def statement(parts: tuple[Part, ...]) -> bytes:
    """One statement of these parts. It answers the runs that were written: a new one's id, and the
    number."""
    pieces: list[str] = []
    at = 1
    for part in parts:
        pieces.append(part.sql.format(*(f"${n}" for n in range(at, at + part.parameters))))
        at += part.parameters
    # Appends come first, and so their locks.
    answers = " UNION ALL ".join(_ANSWERS[part] for part in parts if part in _ANSWERS)
    return f"WITH{','.join(pieces)}\n{answers}".encode()
