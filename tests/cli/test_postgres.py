"""The command line on PostgreSQL."""

import json
import os
import signal
from collections.abc import Iterator

import pytest

from forebay.client import Client
from tests.cli.processes import PATIENCE_SECONDS, Place, until
from tests.contracts.cluster import PostgresCluster

pytestmark = [pytest.mark.system, pytest.mark.postgres]


@pytest.fixture
def url(postgres: PostgresCluster) -> Iterator[str]:
    """A database with nothing in it."""
    name = postgres.create_database(migrated=False)
    yield postgres.url(name)
    postgres.drop_database(name)


def test_an_empty_database_is_migrated_by_hand_and_then_served(place: Place, url: str) -> None:
    refused = place.run("serve", "--port", "0", "--db", url)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "forebay migrate" in refused.err
    sick = place.run("doctor", "--port", "0", "--db", url)
    assert sick.code == 1
    assert "forebay migrate" in sick.out

    assert place.run("migrate", "--json", "--db", url).json()["applied"][0] == "0001 runs"
    assert place.run("migrate", "--db", url).out == "the schema is up to date\n"
    assert place.run("doctor", "--port", "0", "--db", url).code == 0

    server = place.serve("--db", url.replace("postgresql://", "postgresql+asyncpg://"))
    with Client(server.url) as client:
        assert client.run("hello").output == "hello"
    assert server.process.stop() == 0
    run = place.run("run", "--json", "--db", url, "echo", "again")
    assert json.loads(run.out)["output"] == "again"


def test_it_may_be_migrated_by_the_server(place: Place, url: str) -> None:
    server = place.serve("--db", url, FOREBAY_AUTO_MIGRATE="true")
    assert server.process.stop() == 0


def test_its_backups_are_made_by_its_own_tools(place: Place, url: str) -> None:
    for command in ("backup", "restore"):
        ended = place.run(command, "x.db", "--db", url)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "pg_dump" in ended.err


def test_two_servers_and_a_worker_share_the_runs_of_the_dead(place: Place, url: str) -> None:
    place.run("migrate", "--db", url)
    one = place.serve("--db", url, "--run-workers", "0", FOREBAY_CONCURRENCY="1")
    other = place.serve("--db", url, "--run-workers", "1")
    with Client(one.url, patience_seconds=PATIENCE_SECONDS) as client:
        runs = [client.submit(f"chunks=200 delay=10 {number}") for number in range(4)]
        until(lambda: all(client.get(run).events > 10 for run in runs))
        os.kill(other.workers[0], signal.SIGKILL)
        for run in runs:
            numbers = [entry.number for entry in client.events(run)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert client.get(run).succeeded
    assert one.process.stop() == 0
    assert other.process.stop() == 0


@pytest.fixture
def own_cluster() -> Iterator[PostgresCluster]:
    """A server that this test may kill."""
    cluster = PostgresCluster(f"{os.getpid()}-cli")
    yield cluster
    cluster.close()


def test_all_processes_wait_for_a_database_that_is_away(
    place: Place, own_cluster: PostgresCluster
) -> None:
    url = own_cluster.url(own_cluster.create_database(migrated=False))
    place.run("migrate", "--db", url)
    server = place.serve("--db", url)
    until(lambda: bool(server.workers))
    worker = place.begin("worker", "--json", "--db", url)
    worker.line()
    with Client(server.url, patience_seconds=PATIENCE_SECONDS) as client:
        run = client.submit("chunks=300 delay=10")
        until(lambda: client.get(run).events > 10)
        children = (server.api, server.workers)
        own_cluster.kill()
        late = place.begin("worker", "--json", "--db", url)
        until(lambda: "Trying again" in late.errors())
        own_cluster.start()
        assert client.wait(run).succeeded
        assert client.wait(client.submit("hello")).succeeded
        late.line()
    assert (server.api, server.workers) == children, "nobody had to be started again"
    assert [server.process.stop(), worker.stop(), late.stop()] == [0, 0, 0]
