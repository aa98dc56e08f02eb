"""Bringing the schema up to date: all that is missing in one transaction, under one lock."""

from typing import cast

from forebay.core.errors import MigrationNeeded, NewerSchema
from forebay.storage.migrations import Migration, migrations

from .connection import Connection, connect, execute, fetch, translated_errors

_LOCK = 0x466F_7265_6261_79  # "Forebay"

_HISTORY = b"""
CREATE TABLE IF NOT EXISTS forebay.migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


async def migrate(url: str) -> list[Migration]:
    """Apply what is missing; tells what it applied. Raises DatabaseUnavailable, NewerSchema.

    Several may do this at once: each looks again once it has the lock. The lock ends with the
    transaction, so that it works through a pooler too.
    """
    with translated_errors():
        connection = await connect(url)
        try:
            async with connection.transaction():
                return await _migrate(connection)
        finally:
            await connection.close()


async def refuse_other_schema(connection: Connection) -> None:
    """Raises MigrationNeeded or NewerSchema unless the schema is the one this Forebay knows."""
    if await _missing(connection):
        raise MigrationNeeded


async def _migrate(connection: Connection) -> list[Migration]:
    await fetch(connection, b"SELECT pg_advisory_xact_lock($1)", [_LOCK])
    missing = await _missing(connection)
    if not missing:
        return missing
    # Asked first: IF NOT EXISTS asks for the right to create a schema even where there is one.
    if (await fetch(connection, b"SELECT to_regnamespace('forebay') IS NULL"))[0][0]:
        await execute(connection, b"CREATE SCHEMA forebay")
    await execute(connection, _HISTORY)
    for change in missing:
        await connection.execute(change.sql.encode())
        await execute(
            connection,
            b"INSERT INTO forebay.migration (number, name) VALUES ($1, $2)",
            [change.number, change.name],
        )
    return missing


async def _missing(connection: Connection) -> list[Migration]:
    version = await _version(connection)
    known = migrations("postgres")
    if version > known[-1].number:
        raise NewerSchema(
            f"The database has schema {version}; this Forebay knows {known[-1].number}. "
            "Start the newer Forebay."
        )
    return [change for change in known if change.number > version]


async def _version(connection: Connection) -> int:
    if (await fetch(connection, b"SELECT to_regclass('forebay.migration') IS NULL"))[0][0]:
        return 0
    rows = await fetch(connection, b"SELECT coalesce(max(number), 0) FROM forebay.migration")
    return cast(int, rows[0][0])
