"""For all tests: programs that a machine may lack, and a PostgreSQL server for those who ask."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.contracts.cluster import PostgresCluster

_PROGRAMS = {
    "needs_chromium": (("chromium", "chromium-browser", "google-chrome"), "apt install chromium"),
    "needs_pgbouncer": (("pgbouncer",), "apt install pgbouncer; on macOS: brew install pgbouncer"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing, saying how to get it. Where nothing may lack, fail."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    for mark in item.iter_markers():
        names, install = _PROGRAMS.get(mark.name, ((), ""))
        if not names or any(shutil.which(name, path=path) for name in names):
            continue
        reason = f"{names[0]} is missing: {install}"
        if os.environ.get("TEST_NEEDS") == "required":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A server that all tests share, also those of other workers; each test has its database."""
    cluster = PostgresCluster(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))
    cluster.prepare()
    yield cluster
    cluster.close()
