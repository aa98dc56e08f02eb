"""Columns of values as parameters: one array of a fixed PostgreSQL type, packed by us.

psycopg packs lists too, but takes an integer's type from its size, so that the same statement
would be prepared once for each mix of sizes; and it asks for every element how to pack it.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct
from typing import ClassVar

from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from forebay.core.ids import RunId


class Column:
    """The values of one column, packed as PostgreSQL's binary array."""

    __slots__ = ("packed",)
    element: ClassVar[int]
    array: ClassVar[int]

    def __init__(self, elements: Sequence[bytes]) -> None:
        shape = _SHAPE(len(elements), 1) if elements else b""
        self.packed = b"".join([_HEAD(bool(elements), 1, self.element), shape, *elements])


class BigInts(Column):
    """A column of bigint."""

    element, array = 20, 1016

    def __init__(self, values: Iterable[int | None]) -> None:
        super().__init__([_NULL if value is None else _BIGINT(8, value) for value in values])


class Integers(Column):
    """A column of integer."""

    element, array = 23, 1007

    def __init__(self, values: Iterable[int]) -> None:
        super().__init__([_INTEGER(4, value) for value in values])


class Booleans(Column):
    """A column of boolean."""

    element, array = 16, 1000

    def __init__(self, values: Iterable[bool]) -> None:
        super().__init__([_BOOLEAN(1, value) for value in values])


class Doubles(Column):
    """A column of double precision."""

    element, array = 701, 1022

    def __init__(self, values: Iterable[float | None]) -> None:
        super().__init__([_NULL if value is None else _DOUBLE(8, value) for value in values])


class Texts(Column):
    """A column of text."""

    element, array = 25, 1009

    def __init__(self, values: Iterable[str | None]) -> None:
        super().__init__([_NULL if value is None else _text(value) for value in values])


class Words(Column):
    """A column of text in which few values come up again and again."""

    element, array = 25, 1009

    def __init__(self, values: Iterable[str]) -> None:
        super().__init__([_word(value) for value in values])


class Blobs(Column):
    """A column of bytea."""

    element, array = 17, 1001

    def __init__(self, values: Iterable[bytes | None]) -> None:
        super().__init__(
            [_NULL if value is None else _LENGTH(len(value)) + value for value in values]
        )


class RunIds(Column):
    """A column of uuid."""

    element, array = 2950, 2951

    def __init__(self, values: Iterable[RunId]) -> None:
        super().__init__([_UUID + value for value in values])


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj.packed


_COLUMNS: tuple[type[Column], ...] = (
    BigInts,
    Integers,
    Booleans,
    Doubles,
    Texts,
    Words,
    Blobs,
    RunIds,
)

_DUMPERS = {
    column: type(f"{column.__name__}Dumper", (_ColumnDumper,), {"oid": column.array})
    for column in _COLUMNS
}


def teach(connection: AsyncConnection) -> None:
    """Let this connection take columns as parameters."""
    for column, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(column, dumper)


_HEAD = Struct("!iii").pack
_SHAPE = Struct("!ii").pack
_LENGTH = Struct("!i").pack
_BIGINT = Struct("!iq").pack
_INTEGER = Struct("!ii").pack
_BOOLEAN = Struct("!i?").pack
_DOUBLE = Struct("!id").pack
_NULL = _LENGTH(-1)
_UUID = _LENGTH(16)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


_word = lru_cache(maxsize=256)(_text)
