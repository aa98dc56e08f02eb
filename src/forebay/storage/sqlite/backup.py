"""What is done to a file by hand: copied while others use it, put back, looked at, migrated.

Nothing here copies files: what is copied are the pages of one moment, through SQLite.
"""

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import apsw

from forebay.core.clock import Millis
from forebay.core.errors import NewerSchema, StartError
from forebay.storage.migrations import Migration, migrations

from .connection import Connection, make_folder, refuse_foreign_file, translated_errors
from .migrate import migrate

_SIDE_FILES = ("-wal", "-journal")


class Found(NamedTuple):
    """A database file of ours."""

    version: int
    """Its schema; 0 before its first start."""
    newest: int
    """The schema this Forebay knows."""
    size_bytes: int


def library_version() -> str:
    """Which SQLite this is."""
    return apsw.sqlite_lib_version()


def look_at(path: Path) -> Found:
    """What a file is; what it holds stays. Raises ForeignDatabase, NewerSchema, StartError."""
    _expect_file(path)
    refuse_foreign_file(path)
    with translated_errors(), closing(Connection(path)) as connection:
        return _found(connection, path)


def bring_up_to_date(path: Path, now: Millis) -> list[Migration]:
    """Apply the schema changes that are missing. Raises ForeignDatabase, NewerSchema."""
    refuse_foreign_file(path)
    make_folder(path)
    with translated_errors(), closing(Connection(path)) as connection:
        return migrate(connection, path, now)


def back_up(database: Path, file: Path, *, force: bool) -> Found:
    """Write the database as it is now to a file, checked. Raises StartError."""
    look_at(database)
    if file.exists() and not force:
        raise StartError(f"{file} exists already. Choose another name, or add --force.")
    if file.exists() and file.samefile(database):
        raise StartError(f"{file} is the database itself.")
    with _replacing(file) as unfinished:
        with translated_errors(), closing(Connection(database)) as source:
            _copy(source, unfinished)
        with translated_errors(), closing(Connection(unfinished)) as copy:
            copy.value("PRAGMA journal_mode = delete")  # one file, readable from anywhere
            _expect_intact(copy, unfinished)
            return _found(copy, unfinished)


def restore(file: Path, database: Path, *, force: bool) -> Path | None:
    """Make the database what a backup holds; tells where the old one is kept. Raises StartError.

    The whole change is one transaction under an exclusive lock: a server that starts meanwhile
    waits, and a crash leaves the old database.
    """
    _check_backup(file)
    old = database.exists() and database.stat().st_size > 0
    if old and not force:
        raise StartError(f"{database} exists already. To replace it, add --force.")
    refuse_foreign_file(database)
    if database.exists() and file.samefile(database):
        raise StartError(f"{file} is the database itself.")
    make_folder(database)
    with translated_errors(), closing(Connection(database)) as connection:
        _lock(connection, database)
        kept = _copy(connection, _free_name(database)) if old else None
        connection.become(file)
        _expect_intact(connection, database)
    return kept


# --- parts --------------------------------------------------------------------------------------


def _check_backup(file: Path) -> None:
    _expect_file(file)
    for suffix in _SIDE_FILES:
        if file.with_name(file.name + suffix).exists():
            raise StartError(f"{file} is a database in use, no backup: {file.name}{suffix} exists.")
    if look_at(file).version == 0:
        raise StartError(f"{file} is empty: it was never a Forebay database.")
    with translated_errors(), closing(Connection(file)) as connection:
        _expect_intact(connection, file)


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise StartError(f"There is no file {path}.")


def _expect_intact(connection: Connection, path: Path) -> None:
    try:
        problems = [str(row[0]) for row in connection.rows("PRAGMA integrity_check(5)")]
    except apsw.CorruptError as error:
        problems = [str(error)]
    if problems != ["ok"]:
        raise StartError(f"{path} is damaged: {'; '.join(problems)}.")


def _found(connection: Connection, path: Path) -> Found:
    has_history = connection.value("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'")
    version = 0
    if has_history:
        version = cast(int, connection.value("SELECT coalesce(max(number), 0) FROM migration"))
    newest = migrations("sqlite")[-1].number
    if version > newest:
        raise NewerSchema(f"{path} has schema {version}; this Forebay knows {newest}.")
    return Found(version, newest, path.stat().st_size)


def _copy(source: Connection, file: Path) -> Path:
    # Inside a read transaction: a copy in steps would start again whenever somebody writes.
    source.execute("BEGIN")
    source.value("SELECT count(*) FROM sqlite_schema")
    try:
        source.backup_to(file)
    finally:
        source.execute("COMMIT")
    return file


def _lock(connection: Connection, database: Path) -> None:
    # A database with a write-ahead log is locked against its readers by leaving that mode.
    connection.wait_ourselves()
    try:
        connection.execute("PRAGMA locking_mode = exclusive")
        connection.value("PRAGMA journal_mode = delete")
        connection.execute("BEGIN EXCLUSIVE; COMMIT")
    except apsw.BusyError as error:
        raise StartError(f"{database} is in use. Stop its server first.") from error


def _free_name(database: Path) -> Path:
    name = f"{database.name}.before-restore"
    path, number = database.with_name(name), 1
    while path.exists():
        number += 1
        path = database.with_name(f"{name}-{number}")
    return path


@contextmanager
def _replacing(file: Path) -> Generator[Path]:
    """Somewhere to write a file that appears under its name when it is complete."""
    if not file.parent.is_dir():
        raise StartError(f"There is no folder {file.parent}.")
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
