"""Deleting whole runs: one on request, or small batches whose time has come."""

from typing import cast

from forebay.core.clock import Millis
from forebay.core.errors import RunUnfinished
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import FINISHED

from .connection import Connection


class Forgetter:
    """Deletes on the connection that writes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def delete(self, run: RunId) -> bool:
        with self._connection.transaction():
            row = self._connection.row("SELECT number, status FROM run WHERE id = ?", (run,))
            if row is None:
                return False
            number, status = cast(tuple[RunNumber, str], row)
            if status not in FINISHED:
                raise RunUnfinished
            self._forget(number)
            return True

    def expire(self, now: Millis, limit: int) -> int:
        with self._connection.transaction():
            self._connection.execute(
                "DELETE FROM idempotency WHERE expires <= ? "
                "AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = idempotency.run)",
                (now,),
            )
            rows = self._connection.rows(
                "SELECT number FROM run WHERE expires <= ? LIMIT ?", (now, limit)
            )
            for row in rows:
                self._forget(cast(RunNumber, row[0]))
            return len(rows)

    def _forget(self, number: RunNumber) -> None:
        for statement in (
            "DELETE FROM event WHERE run = ?",
            "DELETE FROM object WHERE run = ?",
            "DELETE FROM run WHERE number = ?",
        ):
            self._connection.execute(statement, (number,))
