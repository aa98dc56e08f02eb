"""Columns as PostgreSQL reads them: what goes in comes out, of the type that was meant."""

import pytest

from forebay.core.ids import RunId
from forebay.storage.postgres.arrays import (
    BigInts,
    Blobs,
    Booleans,
    Column,
    Doubles,
    Integers,
    RunIds,
    Texts,
    Words,
)
from forebay.storage.postgres.connection import connect, fetch

from .databases import PostgresDatabase

pytestmark = pytest.mark.postgres

_COLUMNS: list[tuple[Column, str, list[object]]] = [
    (BigInts([1, -1, None, 2**63 - 1, -(2**63)]), "bigint", [1, -1, None, 2**63 - 1, -(2**63)]),
    (Integers([0, 2**31 - 1, -(2**31)]), "integer", [0, 2**31 - 1, -(2**31)]),
    (Booleans([True, False]), "boolean", [True, False]),
    (Doubles([0.25, None, -1e300]), "double precision", [0.25, None, -1e300]),
    (Texts(["", "é漢🦀", None, "x" * 70_000]), "text", ["", "é漢🦀", None, "x" * 70_000]),
    (Words(["a", "a", ""]), "text", ["a", "a", ""]),
    (Blobs([b"", b"\0\xff", None]), "bytea", [b"", b"\0\xff", None]),
    (RunIds([RunId(bytes(range(16)))]), "uuid", [bytes(range(16))]),
]


@pytest.mark.parametrize(
    ("column", "kind", "values"), _COLUMNS, ids=[type(each[0]).__name__ for each in _COLUMNS]
)
async def test_a_column_arrives_as_it_was(
    postgres_database: PostgresDatabase, column: Column, kind: str, values: list[object]
) -> None:
    connection = await connect(postgres_database.url)

    sql = b"SELECT value, pg_typeof(value)::text FROM unnest($1) AS value"
    rows = await fetch(connection, sql, [column])

    assert [row[0] for row in rows] == values
    assert {row[1] for row in rows} == {kind}
    await connection.close()


@pytest.mark.parametrize(
    "kind", [BigInts, Integers, Booleans, Doubles, Texts, Words, Blobs, RunIds]
)
async def test_an_empty_column_has_its_type(
    postgres_database: PostgresDatabase, kind: type[BigInts]
) -> None:
    connection = await connect(postgres_database.url)

    rows = await fetch(connection, b"SELECT cardinality($1), count(*) FROM unnest($1)", [kind([])])

    assert rows == [(0, 0)]
    await connection.close()
