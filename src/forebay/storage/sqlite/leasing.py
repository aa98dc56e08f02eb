"""Leases: queued runs taken by a holder, and the end of his leases moved on."""

from collections.abc import Sequence

from forebay.core.clock import Clock
from forebay.core.codec import encode_event, encode_json, type_in
from forebay.core.run import Run
from forebay.ports.store import Lease
from forebay.storage.rows import RUN_COLUMNS, read_run

from .connection import Connection
from .writing import Writer


class Leaser:
    """Takes and renews on the connection that writes."""

    def __init__(self, connection: Connection, writer: Writer, clock: Clock) -> None:
        self._connection = connection
        self._writer = writer
        self._clock = clock

    def lease(self, lease: Lease) -> Sequence[Run]:
        """Take queued runs. Writes only if there are any: looking for them locks nobody out."""
        agents = encode_json(list(lease.agents)).decode()
        if self._connection.row(_ANY_QUEUED, (agents,)) is None:
            return []
        data = encode_event(lease.started)
        until = self._clock.boot() + int(lease.seconds * 1000)
        with self._connection.transaction():
            rows = self._connection.rows(
                _TAKE, (agents, lease.limit, lease.holder, until, lease.time)
            )
            runs = sorted(map(read_run, rows), key=lambda run: (-run.priority, run.number))
            self._writer.insert_entries(
                (run.number, run.last, run.attempt, type_in(data), lease.time, data) for run in runs
            )
        return runs

    def renew(self, holder: str, seconds: float) -> int:
        """Move the end of this holder's leases; tells how many there are."""
        with self._connection.transaction():
            self._connection.execute(
                "UPDATE run SET lease_until = ? "
                "WHERE finished IS NULL AND status = 'running' AND holder = ?",
                (self._clock.boot() + int(seconds * 1000), holder),
            )
            return self._connection.changes()


_ANY_QUEUED = """
SELECT 1 FROM json_each(?) AS name
 CROSS JOIN run ON run.status = 'submitted' AND run.agent = name.value LIMIT 1"""

# The most urgent of each agent, and of these the most urgent: a long queue of runs that nobody
# here can execute costs nothing.
_TAKE = f"""
UPDATE run
   SET status = 'running', last = last + 1, attempt = attempt + 1, holder = ?3, lease_until = ?4,
       started = coalesce(started, ?5)
 WHERE number IN (
       SELECT run.number FROM json_each(?1) AS name CROSS JOIN run
        WHERE run.number IN (
              SELECT number FROM run WHERE status = 'submitted' AND agent = name.value
               ORDER BY priority DESC, number LIMIT ?2)
        ORDER BY run.priority DESC, run.number LIMIT ?2)
RETURNING {RUN_COLUMNS}"""
