"""Bringing a file up to date: under the write lock, after a copy beside the file."""

from pathlib import Path
from typing import cast

from forebay.core.clock import Millis
from forebay.core.errors import NewerSchema
from forebay.storage.migrations import Migration, migrations

from .connection import APPLICATION_ID, Connection

_HISTORY = """
CREATE TABLE IF NOT EXISTS migration (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


def migrate(connection: Connection, path: Path, now: Millis) -> list[Migration]:
    """Apply what is missing; tells what it applied. Raises NewerSchema.

    Several processes may do this at once: each looks again once it holds the lock.
    """
    # The mark of ownership must be in the main file before the journal moves into another one.
    missing = _missing(connection)
    if missing and _version(connection) > 0:
        _copy_beside(connection, path)
    if missing:
        with connection.transaction():
            missing = _missing(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(_HISTORY)
            for change in missing:
                connection.execute(change.sql)
                connection.execute(
                    "INSERT INTO migration VALUES (?, ?, ?)", (change.number, change.name, now)
                )
    if connection.value("PRAGMA journal_mode") != "wal":
        connection.value("PRAGMA journal_mode = wal")
    return missing


def _missing(connection: Connection) -> list[Migration]:
    version = _version(connection)
    known = migrations("sqlite")
    if version > known[-1].number:
        raise NewerSchema(
            f"The database has schema {version}; this Forebay knows {known[-1].number}. "
            "Start the newer Forebay, or restore the backup made before it."
        )
    return [change for change in known if change.number > version]


def _version(connection: Connection) -> int:
    known = connection.value("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'")
    if not known:
        return 0
    return cast(int, connection.value("SELECT coalesce(max(number), 0) FROM migration"))


def _copy_beside(connection: Connection, path: Path) -> None:
    copy = path.with_name(f"{path.name}.before-{_version(connection) + 1:04d}")
    if not copy.exists():  # another process of this start may have been first
        connection.execute("VACUUM INTO ?", (str(copy),))
