"""Deleting whole runs: one on request, or small batches whose time has come."""

from forebay.core.clock import Millis
from forebay.core.errors import RunUnfinished
from forebay.core.ids import RunId

from .arrays import RunIds
from .connection import Connection, execute, fetch


async def delete(connection: Connection, run: RunId) -> bool:
    """Forget a finished run. Raises RunUnfinished."""
    if await fetch(connection, _DELETE, [RunIds([run])]):
        return True
    if await fetch(connection, _UNFINISHED, [RunIds([run])]):
        raise RunUnfinished
    return False


async def expire(connection: Connection, now: Millis, limit: int) -> int:
    """Forget runs whose time has come, and keys that nobody can use again."""
    await execute(connection, _EXPIRE_KEYS, [now])
    return len(await fetch(connection, _EXPIRE, [now, limit]))


_UNFINISHED = b"SELECT FROM forebay.run WHERE id = ANY ($1) AND finished IS NULL"

_BELONGINGS = """
forgotten_event AS (DELETE FROM forebay.event USING forgotten WHERE run = forgotten.number),
forgotten_object AS (DELETE FROM forebay.object USING forgotten WHERE run = forgotten.number)
SELECT number FROM forgotten"""

_DELETE = f"""
WITH forgotten AS (
    DELETE FROM forebay.run WHERE id = ANY ($1) AND finished IS NOT NULL RETURNING number
), {_BELONGINGS}""".encode()

_EXPIRE = f"""
WITH forgotten AS (
    DELETE FROM forebay.run WHERE number IN (
        SELECT number FROM forebay.run WHERE expires <= $1
         ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING number
), {_BELONGINGS}""".encode()

_EXPIRE_KEYS = b"""
DELETE FROM forebay.idempotency
 WHERE expires <= $1 AND NOT EXISTS (SELECT FROM forebay.run WHERE run.id = idempotency.run)"""
