"""migrate, backup and restore, on files."""

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from forebay.cli.main import main
from forebay.core.clock import SystemClock
from forebay.core.errors import StartError
from forebay.storage.sqlite.backup import back_up, bring_up_to_date, look_at
from forebay.storage.sqlite.connection import APPLICATION_ID, Connection


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Path:
    """A database with a note in it."""
    path = folder / "forebay.db"
    bring_up_to_date(path, SystemClock().now())
    note(path, "before")
    return path


def note(path: Path, text: str) -> None:
    """Write something that can be found again."""
    connection = Connection(path)
    connection.execute("CREATE TABLE IF NOT EXISTS note (text TEXT)")
    connection.execute("INSERT INTO note VALUES (?)", (text,))
    connection.close()


def notes(path: Path) -> Sequence[object]:
    """What was written."""
    connection = Connection(path)
    found = [row[0] for row in connection.rows("SELECT text FROM note")]
    connection.close()
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is refused; tells its one line."""
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


# --- migrate ------------------------------------------------------------------------------------


def test_migrate_tells_what_it_has_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--json", "--db", str(folder / "new.db")]) == 0
    assert "0001 runs" in json.loads(capsys.readouterr().out)["applied"]
    assert main(["migrate", "--db", str(folder / "new.db")]) == 0
    told = capsys.readouterr().out
    assert "up to date" in told
    assert "serve does this itself" in told


# --- backup -------------------------------------------------------------------------------------


def test_a_backup_is_one_file_that_says_it_has_no_key(
    database: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = Connection(database)  # somebody goes on using it
    assert main(["backup", "copy.db"]) == 0
    connection.close()
    assert "contains no key" in capsys.readouterr().out
    assert sorted(each.name for each in folder.iterdir()) == ["copy.db", "forebay.db"]
    with sqlite3.connect(folder / "copy.db") as copy:
        assert copy.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()
    assert notes(folder / "copy.db") == ["before"]


def test_a_backup_is_not_held_up_by_somebody_who_writes(database: Path, folder: Path) -> None:
    filler = Connection(database)
    for _ in range(20):  # more pages than are copied in one step
        filler.execute("INSERT INTO note VALUES (hex(randomblob(500000)))")
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        connection = Connection(database)
        while not stop.is_set():
            connection.execute("INSERT INTO note VALUES ('during')")
            begun.set()
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(10)
    found = back_up(database, folder / "copy.db", force=False)
    stop.set()
    writer.join()
    filler.close()
    assert found.size_bytes > 20_000_000
    assert found.version == found.newest


def test_a_file_that_exists_is_replaced_only_by_force(
    database: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del database
    (folder / "copy.db").write_text("mine")
    assert "--force" in refused(capsys, "backup", "copy.db")
    assert (folder / "copy.db").read_text() == "mine"
    assert main(["backup", "copy.db", "--force"]) == 0
    assert notes(folder / "copy.db") == ["before"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["copy.db", "--db", "nowhere.db"], "nowhere.db"),
        (["forebay.db", "--force"], "the database itself"),
        (["no/such/folder/copy.db"], "folder"),
        (["copy.db", "--db", "memory:"], "keeps nothing"),
        (["copy.db", "--db", "postgresql://db/x"], "pg_dump"),
    ],
)
def test_a_backup_that_cannot_be_is_told_in_one_line(
    database: Path,
    folder: Path,
    arguments: list[str],
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert word in refused(capsys, "backup", *arguments)
    assert not (folder / "copy.db").exists()
    assert notes(database) == ["before"]


def test_a_damaged_database_makes_no_backup(database: Path, folder: Path) -> None:
    note(database, "x" * 50_000)
    content = bytearray(database.read_bytes())
    content[8192:40_000] = b"\xff" * (40_000 - 8192)
    database.write_bytes(content)
    with pytest.raises(StartError, match="damaged"):
        back_up(database, folder / "copy.db", force=False)
    assert sorted(each.name for each in folder.iterdir()) == ["forebay.db"]


# --- restore ------------------------------------------------------------------------------------


@pytest.fixture
def backup(database: Path, folder: Path) -> Path:
    """A backup of the database, to which something was added since."""
    path = folder / "copy.db"
    back_up(database, path, force=False)
    note(database, "after")
    return path


def test_a_backup_is_put_back_where_nothing_is(
    backup: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", str(backup), "--json", "--db", "elsewhere/new.db"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"database": str(folder / "elsewhere" / "new.db"), "kept": None}
    assert notes(folder / "elsewhere" / "new.db") == ["before"]


def test_an_existing_database_is_replaced_by_force_and_kept(
    backup: Path, database: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--force" in refused(capsys, "restore", str(backup))
    assert notes(database) == ["before", "after"]
    assert main(["restore", str(backup), "--force"]) == 0
    assert notes(database) == ["before"]
    assert notes(folder / "forebay.db.before-restore") == ["before", "after"]
    assert main(["restore", str(backup), "--force"]) == 0
    assert notes(folder / "forebay.db.before-restore-2") == ["before"]
    bring_up_to_date(database, SystemClock().now())
    assert look_at(database).version == look_at(database).newest


def test_a_database_in_use_is_not_replaced(
    backup: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_up_to_date(database, SystemClock().now())
    user = Connection(database)
    assert user.value("SELECT count(*) FROM note") == 2
    assert "in use" in refused(capsys, "restore", str(backup), "--force")
    user.execute("INSERT INTO note VALUES ('later')")
    user.close()
    assert notes(database) == ["before", "after", "later"]


def test_what_is_no_backup_is_refused(
    backup: Path, database: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.db").write_text("nothing like it" * 100)
    with sqlite3.connect(folder / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE precious (it TEXT)")
    theirs.close()
    content = bytearray(backup.read_bytes())
    content[8192:20_000] = b"\xff" * (20_000 - 8192)
    (folder / "damaged.db").write_bytes(content)
    with sqlite3.connect(backup) as newer:
        newer.execute("INSERT INTO migration VALUES (9999, 'later', 0)")
    newer.close()
    for name, word in [
        ("text.db", "not a Forebay database"),
        ("theirs.db", "not a Forebay database"),
        ("damaged.db", "damaged"),
        ("copy.db", "9999"),
        ("nowhere.db", "no file"),
    ]:
        assert word in refused(capsys, "restore", str(folder / name), "--force")
    assert notes(database) == ["before", "after"]


def test_a_copy_with_a_log_beside_it_is_no_backup(
    backup: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "copy.db-wal").write_bytes(b"")
    assert "no backup" in refused(capsys, "restore", str(backup), "--db", "new.db")


def test_a_file_of_another_program_is_never_replaced(
    backup: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(folder / "theirs.db") as theirs:
        theirs.execute("CREATE TABLE precious (it TEXT)")
    theirs.close()
    before = (folder / "theirs.db").read_bytes()
    told = refused(capsys, "restore", str(backup), "--db", "theirs.db", "--force")
    assert "not a Forebay database" in told
    assert (folder / "theirs.db").read_bytes() == before
