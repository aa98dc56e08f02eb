"""Connections: how they are made, the few that are kept, and the words for what can go wrong.

Nothing here depends on the session of a connection from one statement to the next: there may be a
pooler in between that gives each transaction another one.
"""

import asyncio
import select
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import ByteaBinaryLoader

from forebay.core.errors import DatabaseUnavailable, DiskFull, SettingError

from .arrays import teach

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
Row: TypeAlias = tuple[Any, ...]
"""A row as psycopg gives it. Whoever asked knows the types of its columns, and casts."""

_UUID = 2950
_DEFAULTS: dict[str, int | str] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
    "client_encoding": "UTF8",
    "application_name": "forebay",
}


async def connect(url: str, *, prepare: bool = False) -> Connection:
    """A new connection; each statement commits by itself. Raises psycopg.Error, SettingError."""
    try:
        parameters = make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(url)})
    except psycopg.ProgrammingError as error:
        raise SettingError(f"db_url: {first_line(error)}") from error
    connection = await psycopg.AsyncConnection.connect(
        parameters, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    )
    teach(connection)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_loader(_UUID, ByteaBinaryLoader)
    connection.prepare_threshold = None
    try:
        if prepare and not await is_pooled(connection):
            connection.prepare_threshold = 0
    except BaseException:
        await connection.close()
        raise
    return connection


async def is_pooled(connection: Connection) -> bool:
    """Whether something stands in between that may hand the server's connection to others too."""
    rows = await fetch(connection, b"SELECT pg_backend_pid()")
    return rows[0][0] != connection.pgconn.backend_pid


async def fetch(connection: Connection, sql: bytes, values: Sequence[object] = ()) -> list[Row]:
    """Every row of a statement's answer."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(sql, values)
    return await cursor.fetchall()


async def execute(connection: Connection, sql: bytes, values: Sequence[object] = ()) -> int:
    """Run a statement that answers nothing; tells how many rows it changed."""
    cursor = await connection.cursor(binary=True).execute(sql, values)
    return cursor.rowcount


class Connections:
    """At most so many connections, made when they are needed and kept while they are whole."""

    def __init__(self, url: str, most: int, *, prepare: bool) -> None:
        self._url = url
        self._prepare = prepare
        self._free = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[Connection]:
        """A connection for the length of the block. Raises DatabaseUnavailable, DiskFull."""
        async with self._free:
            with translated_errors():
                connection = await self._take()
                try:
                    yield connection
                finally:
                    await self._give_back(connection)

    async def drop_idle(self) -> None:
        """The server went away: what stands idle is broken, though nobody has noticed yet."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def aclose(self) -> None:
        """Let go of the server."""
        self._closed = True
        await self.drop_idle()

    async def _take(self) -> Connection:
        if self._closed:
            raise DatabaseUnavailable("The database was closed.")
        while self._idle:
            connection = self._idle.pop()
            if _is_whole(connection):
                return connection
            await connection.close()
        return await connect(self._url, prepare=self._prepare)

    async def _give_back(self, connection: Connection) -> None:
        whole = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if whole and not self._closed:
            self._idle.append(connection)
            return
        await connection.close()
        if not self._closed:
            await self.drop_idle()


def _is_whole(connection: Connection) -> bool:
    # A server that went away has said so to an idle connection: it can be read without asking.
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    try:
        while poll.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn what psycopg raises into our words, at the one edge where it can come up."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise DiskFull from error
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"PostgreSQL: {first_line(error)}") from error


def first_line(error: psycopg.Error) -> str:
    """What happened, without the details for whoever runs the server."""
    return str(error).strip().partition("\n")[0]
