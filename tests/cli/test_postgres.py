"""The command line on PostgreSQL."""

import json
from collections.abc import Iterator

import pytest

from forebay.client import Client
from tests.cli.processes import Place
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
