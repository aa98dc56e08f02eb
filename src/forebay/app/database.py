"""The database that the settings name: opening it, and what is done to it without serving it."""

from dataclasses import replace
from pathlib import Path

from forebay.core.clock import Clock
from forebay.core.errors import StartError
from forebay.ports.storage import Storage
from forebay.settings import Settings, database


def open_storage(settings: Settings, clock: Clock, *, hears: bool = True) -> Storage:
    """The database that the settings name, not opened yet. Who follows nothing need not hear."""
    where = database(settings.db_url)
    match where.engine:
        case "postgres":
            from forebay.storage.postgres.storage import PostgresStorage

            assert where.url is not None
            return PostgresStorage(
                where.url,
                direct_url=_direct_url(settings),
                prepare=settings.db_prepared_statements,
                auto_migrate=settings.auto_migrate,
                hears=hears,
            )
        case "sqlite":
            from forebay.storage.sqlite.storage import SqliteStorage

            assert where.path is not None
            return SqliteStorage(where.path, clock, hears=hears)
        case _:
            from forebay.storage.memory import MemoryStorage

            return MemoryStorage(clock)


async def migrate(settings: Settings, clock: Clock) -> list[str]:
    """Bring the schema up to date; tells what changed. Raises StartError, DatabaseUnavailable."""
    where = database(settings.db_url)
    if where.url is not None:
        from forebay.storage.postgres.migrate import migrate as migrate_postgres

        applied = await migrate_postgres(_direct_url(settings) or where.url)
    elif where.path is not None:
        from forebay.storage.sqlite.backup import bring_up_to_date

        applied = bring_up_to_date(where.path, clock.now())
    else:
        applied = []
    return [f"{change.number:04d} {change.name}" for change in applied]


def back_up(settings: Settings, file: Path, *, force: bool) -> int:
    """Copy the database as it is now to a file, and tell its size. Raises StartError."""
    from forebay.storage.sqlite.backup import back_up as back_up_sqlite

    return back_up_sqlite(_sqlite_file(settings), file, force=force).size_bytes


def restore(settings: Settings, file: Path, *, force: bool) -> Path | None:
    """Make the database what a backup holds; tells where the old one is kept. Raises StartError."""
    from forebay.storage.sqlite.backup import restore as restore_sqlite

    return restore_sqlite(file, _sqlite_file(settings), force=force)


async def look_at_database(settings: Settings, clock: Clock) -> str:
    """In what state the database is. Raises StartError, MigrationNeeded, DatabaseUnavailable."""
    where = database(settings.db_url)
    if where.path is None:
        storage = open_storage(replace(settings, auto_migrate=False), clock)
        await storage.open()
        await storage.aclose()
        return "up to date"
    if not where.path.exists():
        return "does not exist yet; serve creates it"
    from forebay.storage.sqlite.backup import look_at

    found = look_at(where.path)
    if found.version < found.newest:
        return f"schema {found.version} of {found.newest}; serve brings it up to date"
    return f"schema {found.version}, {found.size_bytes / 2**20:.1f} MiB"


def sqlite_version() -> str:
    """The version of the SQLite that Forebay brings."""
    from forebay.storage.sqlite.backup import library_version

    return library_version()


def _direct_url(settings: Settings) -> str | None:
    return database(settings.db_direct_url).url if settings.db_direct_url else None


def _sqlite_file(settings: Settings) -> Path:
    where = database(settings.db_url)
    if where.path is None:
        advice = "use pg_dump and pg_restore" if where.url else "this one keeps nothing"
        raise StartError(f"Forebay backs up and restores SQLite databases; {advice}.")
    return where.path
