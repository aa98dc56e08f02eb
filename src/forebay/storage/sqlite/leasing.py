"""Leases: queued runs taken by a holder, and the end of his leases moved on."""

from collections.abc import Sequence
from typing import cast

from forebay.core.clock import Clock
from forebay.core.codec import encode_event, encode_json, type_in
from forebay.core.run import Run
from forebay.ports.store import Lease
from forebay.storage.room import Room
from forebay.storage.rows import RUN_COLUMNS, read_run

from .connection import Connection, Row
from .writing import Writer


class Leaser:
    """Takes and renews on the connection that writes."""

    def __init__(self, connection: Connection, writer: Writer, clock: Clock) -> None:
        self._connection = connection
        self._writer = writer
        self._clock = clock

    def lease(self, lease: Lease) -> Sequence[Run]:
        """Take queued runs. Writes only if there are any: looking for them locks nobody out."""
        if not self._free(self._room(lease), 1):
            return []
        with self._connection.transaction():
            runs = self._take(lease)
            data = encode_event(lease.started)
            self._writer.insert_entries(
                (run.number, run.last, run.attempt, type_in(data), lease.time, data) for run in runs
            )
        return sorted(runs, key=lambda run: (-run.priority, run.number))

    def _take(self, lease: Lease) -> Sequence[Run]:
        room = self._room(lease)
        until = self._clock.boot() + int(lease.seconds * 1000)
        runs: list[Run] = []
        while len(runs) < lease.limit:
            free = self._free(room, lease.limit - len(runs))
            numbers = [number for number, tenant, agent in free if room.take(tenant, agent)]
            if not numbers:
                break  # else some may have been passed over for others that are too many now
            values = (_listed(numbers), lease.holder, until, lease.time)
            runs += map(read_run, self._connection.rows(_TAKE, values))
        return runs

    def _room(self, lease: Lease) -> Room:
        rows: Sequence[Row] = self._connection.rows(_RUNNING) if lease.is_limited else ()
        return Room(lease, cast(list[tuple[str, str, int]], rows))

    def _free(self, room: Room, limit: int) -> list[tuple[int, str, str]]:
        values = (_listed(room.agents), _listed(room.full_tenants), limit)
        return cast(list[tuple[int, str, str]], self._connection.rows(_FREE, values))

    def renew(self, holder: str, seconds: float) -> int:
        """Move the end of this holder's leases; tells how many there are."""
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE run SET lease_until = ? "
                "WHERE finished IS NULL AND status = 'running' AND holder = ?",
                (self._clock.boot() + int(seconds * 1000), holder),
            )
            return self._connection.changes()


def _listed(values: Sequence[str] | Sequence[int]) -> str:
    return encode_json(list(values)).decode()


_RUNNING = """
SELECT tenant, agent, count(*) FROM run
 WHERE finished IS NULL AND status = 'running' GROUP BY tenant, agent"""

# The most urgent of each agent, and of these the most urgent: a long queue of runs that nobody
# here can execute costs nothing.
_FREE = """
SELECT run.number, run.tenant, run.agent FROM json_each(?1) AS name CROSS JOIN run
 WHERE run.number IN (
       SELECT number FROM run AS queued
        WHERE status = 'submitted' AND agent = name.value
          AND tenant NOT IN (SELECT value FROM json_each(?2))
          AND (NOT in_turn OR NOT EXISTS (
               SELECT 1 FROM run AS earlier
                WHERE earlier.tenant = queued.tenant AND earlier.session = queued.session
                  AND earlier.finished IS NULL AND earlier.number < queued.number))
        ORDER BY priority DESC, number LIMIT ?3)
 ORDER BY run.priority DESC, run.number LIMIT ?3"""

_TAKE = f"""
UPDATE run
   SET status = 'running', last = last + 1, attempt = attempt + 1, holder = ?2, lease_until = ?3,
       started = coalesce(started, ?4)
 WHERE number IN (SELECT value FROM json_each(?1))
RETURNING {RUN_COLUMNS}"""
