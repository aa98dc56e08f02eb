"""A pgbouncer in transaction mode, in front of a cluster."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from .cluster import PostgresCluster

_PORT = 6432  # of a socket in a folder of its own
_PATIENCE_SECONDS = 10.0

_SETTINGS = """\
[databases]
* = host={server} user=postgres

[pgbouncer]
pool_mode = transaction
default_pool_size = {connections}
unix_socket_dir = {folder}
listen_port = {port}
auth_type = any
logfile = {folder}/log
pidfile = {folder}/pid
"""


class Bouncer:
    """Where a pgbouncer listens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, url: str) -> str:
        """The same database, through the pool."""
        query = f"host={self._folder}&port={_PORT}"
        return urlunsplit(urlsplit(url)._replace(query=query))


@contextmanager
def bouncing(cluster: PostgresCluster, *, connections: int) -> Generator[Bouncer]:
    """A pgbouncer that shares so few connections among everybody, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="forebay-") as name:
        folder = Path(name)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                server=cluster.socket_folder, folder=folder, port=_PORT, connections=connections
            )
        )
        if cluster.user:  # it refuses to run as root
            shutil.chown(folder, cluster.user)
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        as_user = ["-u", cluster.user] if cluster.user else []
        process = subprocess.Popen([program, "-q", *as_user, str(settings)])
        try:
            bouncer = Bouncer(folder)
            _wait_for(bouncer.url(cluster.url()))
            yield bouncer
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return
