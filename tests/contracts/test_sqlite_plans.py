"""What each statement costs must not grow with the database: none may read a whole table."""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from forebay.ports.store import RunQuery
from forebay.storage.sqlite.storage import SqliteStorage
from forebay.testing.runs import (
    HOLDER,
    NOW,
    a_lease,
    admission,
    admit,
    answer,
    chunks,
    found,
    kept,
    key,
    queued_run,
    success,
    wait,
    written,
)

from .test_sqlite import SqliteFile

_IN_ORDER = "SCAN run USING INDEX sqlite_autoindex_run_1"  # a page of runs, until it is full
_THE_QUEUE = "SCAN run USING COVERING INDEX run_queued"  # counting it: of queued runs alone
_NO_TABLE = re.compile(
    r"^SCAN (append|(name|json_each) VIRTUAL TABLE|CONSTANT ROW|\(subquery|.* VALUES CLAUSE)"
)


@pytest.fixture
def statements() -> Generator[dict[str, Any]]:
    """Every statement that connections opened from now on execute."""
    seen: dict[str, Any] = {}

    def trace(_: apsw.Cursor, sql: str, values: Any) -> bool:
        seen.setdefault(sql, values)
        return True

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = trace

    apsw.connection_hooks.append(hook)
    yield seen
    apsw.connection_hooks.remove(hook)


async def test_no_statement_reads_a_whole_table(statements: dict[str, Any], tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "test.db")
    storage = await file.open()
    assert isinstance(storage, SqliteStorage)
    statements.clear()  # migrations may
    await _use(file, storage)

    await file.aclose()
    connection = cast(Any, apsw.Connection(str(file.path)))
    scans = {
        (sql, str(step))
        for sql, values in tuple(statements.items())
        if sql.split()[0] in {"SELECT", "UPDATE", "INSERT", "DELETE", "WITH"}
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        if str(step).startswith("SCAN") and not _NO_TABLE.search(str(step))
    }
    connection.close()

    assert {step for _, step in scans} == {_IN_ORDER, _THE_QUEUE}, scans
    assert any("FROM event NOT INDEXED" in sql for sql in statements), "the look was seen"
    assert any("RETURNING" in sql for sql in statements), "a lease was seen"


async def _use(file: SqliteFile, storage: SqliteStorage) -> None:
    run = admission(key=key())
    number = await admit(storage, run)
    await admit(storage, kept("x"))
    await written(storage, chunks(number, 3, "a", "b"))
    await storage.find(run.run.id)
    await storage.list(RunQuery("default"))
    await storage.read(number, types=["output.chunk"])
    await storage.read_many({number: 0})
    await storage.read_object(number, "none")
    await storage.renew(HOLDER, 1)
    await storage.lost(10)
    await storage.held(HOLDER, 10)
    await storage.due(NOW, 10)
    await storage.last_attempt_that_spoke(number)
    queued = await admit(storage, admission(queued_run()))
    storage._looker.has_queued()  # pyright: ignore[reportPrivateUsage] -- where runs are taken
    await storage.lease(a_lease())
    await written(storage, wait(queued, 3))
    await written(storage, answer(queued, 5))
    assert await storage.lease(a_lease(agents=["another"])) == []
    turn = queued_run(session="s", in_turn=True)
    await admit(storage, admission(turn, only_if_alone=True))
    await storage.earlier(await found(storage, turn), 10)
    await storage.ahead(await found(storage, turn), 10)
    await storage.crowd()
    assert await storage.lease(a_lease(most_of_tenant=1)) == []
    await file.write_silently([success(number, 5)])
    storage._looker.moved(0)  # pyright: ignore[reportPrivateUsage] -- a ring, or the safety poll
    await storage.expire(NOW, 10)
    await storage.delete(run.run.id)
