"""Opening the file: pragmas, whose file it is, and the words for what can go wrong with it.

Rules that were paid for: one SQLite library per process; nobody opens, copies or closes the
database, `-wal` or `-shm` files except through it (closing one drops the locks of all).
"""

import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import apsw

from forebay.core.errors import DatabaseUnavailable, DiskFull, ForeignDatabase, StartError

SqlValue: TypeAlias = int | float | bytes | str | None
Row: TypeAlias = tuple[SqlValue, ...]

APPLICATION_ID = 0x46424159  # "FBAY"

_BUSY_SECONDS = 5.0
_STATEMENTS = 200  # the write path uses a statement for every batch size


class Connection:
    """One connection, used by one thread: the few verbs of apsw that are needed, typed."""

    def __init__(self, path: Path) -> None:
        with translated_errors():
            self._apsw = apsw.Connection(str(path), statementcachesize=_STATEMENTS)
            self._apsw.set_busy_timeout(int(_BUSY_SECONDS * 1000))
            self.execute("PRAGMA synchronous = FULL")
            self.execute("PRAGMA fullfsync = ON")  # only macOS knows what to do with these two
            self.execute("PRAGMA checkpoint_fullfsync = ON")

    def execute(self, sql: str, values: Row = ()) -> None:
        """Run statements that answer nothing."""
        self._apsw.execute(sql, values)  # pyright: ignore[reportUnknownMemberType]

    def rows(self, sql: str, values: Row = ()) -> list[Row]:
        """Every row of the answer."""
        return self._apsw.execute(sql, values).fetchall()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    def row(self, sql: str, values: Row = ()) -> Row | None:
        """The first row of the answer."""
        return self._apsw.execute(sql, values).fetchone()  # pyright: ignore[reportUnknownMemberType]

    def rows_up_to(self, most: int, sql: str, values: Row) -> list[Row]:
        """Rows whose last columns together have at most so many bytes, but one at least."""
        rows: list[Row] = []
        size = 0
        cursor = self._apsw.execute(sql, values)  # pyright: ignore[reportUnknownMemberType]
        for row in cursor:
            rows.append(row)
            size += len(row[-1])  # a blob
            if size > most:
                cursor.close()
                break
        return rows

    def value(self, sql: str, values: Row = ()) -> SqlValue:
        """The first value of the first row, or None."""
        row = self.row(sql, values)
        return row[0] if row else None

    def changes(self) -> int:
        """How many rows the last statement changed."""
        return self._apsw.changes()

    def last_rowid(self) -> int:
        """The number that the last inserted row got."""
        return self._apsw.last_insert_rowid()

    def wait_ourselves(self) -> None:
        """Make this a connection that writes: `transaction` does the waiting for other writers."""
        self._apsw.set_busy_timeout(0)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """One write transaction: all of it, or nothing."""
        self._begin()
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._apsw.in_transaction:
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._apsw.close()

    def backup_to(self, path: Path) -> None:
        """Copy the database as it is now, page by page, while others go on using it."""
        with apsw.Connection(str(path)) as copy, copy.backup("main", self._apsw, "main") as backup:
            while not backup.done:
                backup.step(1000)

    def become(self, path: Path) -> None:
        """Replace everything by what another file holds, which is only read."""
        with closing(_untouched(path)) as file, self._apsw.backup("main", file, "main") as backup:
            while not backup.done:
                backup.step(1000)

    def _begin(self) -> None:
        # SQLite's own waiting starts at a millisecond and grows; between writers that hold the
        # lock for a fraction of one, retrying at once keeps the slowest of four under 40 ms.
        pause, give_up = 0.0003, time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
            else:
                return


def refuse_foreign_file(path: Path) -> None:
    """Look at a file without touching it. Raises ForeignDatabase if it is not ours."""
    if _is_empty(path):
        return
    advice = f"{path} is not a Forebay database. Choose another file, for example --db ./forebay.db"
    try:
        with closing(_untouched(path)) as connection:
            application = connection.pragma("application_id")  # pyright: ignore[reportUnknownMemberType]
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").get  # pyright: ignore[reportUnknownMemberType]
    except apsw.NotADBError as error:
        raise ForeignDatabase(advice) from error
    except apsw.Error as error:
        raise DatabaseUnavailable(f"{path} cannot be read: {error}") from error
    if application != APPLICATION_ID and tables:
        raise ForeignDatabase(advice)


def make_folder(path: Path) -> None:
    """Make the folder of a database. Raises StartError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{path.parent} cannot be created: {error.strerror}.") from error


def _is_empty(path: Path) -> bool:
    try:
        if path.is_dir():
            raise ForeignDatabase(f"{path} is a folder, not a database.")
        return not path.exists() or path.stat().st_size == 0
    except OSError as error:
        raise StartError(f"{path} cannot be opened: {error.strerror}.") from error


def _untouched(path: Path) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags)


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn what apsw raises into our words, at the one edge where it can come up."""
    try:
        yield
    except apsw.FullError as error:
        raise DiskFull from error
    except apsw.Error as error:
        raise DatabaseUnavailable(f"SQLite: {error}") from error
