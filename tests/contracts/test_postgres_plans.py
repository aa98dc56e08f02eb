"""What PostgreSQL reads must not grow with the database: no verb may read a whole table of runs."""

import pytest

from forebay.ports.store import Admitted
from forebay.storage.postgres.storage import PostgresStorage
from forebay.testing.runs import (
    HOLDER,
    NOW,
    a_lease,
    admission,
    admit,
    answer,
    chunks,
    found,
    new_run,
    queued_run,
    success,
    wait,
    written,
)
from tests.support.waiting import until

from .databases import PostgresDatabase

pytestmark = pytest.mark.postgres

_MANY = b"""
INSERT INTO forebay.run (id, tenant, caller, agent, status, durable, last, attempt, holder,
                         lease_until, created, finished, expiry_seconds)
SELECT gen_random_uuid(), 'default', 'somebody', agent, status, true, 0, 0,
       CASE WHEN status = 'running' THEN 'holder ' || turn % 10 END,
       CASE WHEN status = 'running' THEN now() + interval '1 hour' END,
       0, CASE WHEN status = 'success' THEN 0 END, 60
  FROM (VALUES ('echo', 'success', 20000), ('echo', 'submitted', 2000), ('echo', 'running', 500),
               ('another', 'submitted', 8000)) AS kind (agent, status, many)
 CROSS JOIN LATERAL generate_series(1, many) AS turn"""


@pytest.mark.parametrize("analysed", [True, False])
async def test_no_verb_reads_every_run(postgres_database: PostgresDatabase, analysed: bool) -> None:
    with postgres_database.cluster.connect(postgres_database.name) as filler:
        filler.execute(_MANY)
        if analysed:
            filler.execute("ANALYZE forebay.run")
    before = await _scans(postgres_database)

    storage = await postgres_database.open()
    await _use(storage)
    await storage.aclose()

    assert await _scans(postgres_database) == before


async def test_the_queue_is_counted_without_reading_every_run(
    postgres_database: PostgresDatabase,
) -> None:
    with postgres_database.cluster.connect(postgres_database.name) as filler:
        filler.execute(_MANY)
        filler.execute("DELETE FROM forebay.run WHERE status = 'submitted' AND number % 50 > 0")
        filler.execute("VACUUM forebay.run")
        filler.execute("ANALYZE forebay.run")
    before = await _scans(postgres_database)

    storage = await postgres_database.open()
    run = queued_run()
    await admit(storage, admission(run))
    assert await storage.ahead(await found(storage, run), 1_000) == 200
    assert (await storage.crowd()).queued == {"default": 201}
    await storage.aclose()

    assert await _scans(postgres_database) == before


async def _use(storage: PostgresStorage) -> None:
    run = new_run()
    number = await admit(storage, admission(run))
    (waiting,) = await storage.write([admission(new_run())])
    assert isinstance(waiting, Admitted)
    await storage.write([chunks(number, 3, "a"), wait(waiting.number, 3)])
    await written(storage, answer(waiting.number, 5))
    assert len(await storage.lease(a_lease(limit=64))) == 64
    assert await storage.lease(a_lease(agents=["nobody's"])) == []
    assert await storage.renew(HOLDER, 9) == 1
    assert len(await storage.held("holder 1", 500)) == 50
    await storage.due(NOW, 500)
    assert len(await storage.lease(a_lease(limit=64, most_of_tenant=600))) == 35
    turn = queued_run(session="s", in_turn=True)
    await admit(storage, admission(turn, only_if_alone=True))
    assert await storage.earlier(await found(storage, turn), 10) == []
    await storage.lost(500)
    assert await storage.last_attempt_that_spoke(number) == 1
    await storage.read(number)
    await storage.read_many({number: 0})
    assert (await found(storage, run)).last == 3
    await written(storage, success(number, 4))
    await admit(storage, admission(queued_run()))
    await storage.delete(run.id)


async def _scans(database: PostgresDatabase) -> int:
    """How often anybody read the whole table until now: told when a connection has ended."""
    with database.cluster.connect(database.name) as connection:

        def alone() -> bool:
            others = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return others.fetchone() == (0,)

        await until(alone)
        counted = connection.execute(
            "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'run'"
        ).fetchone()
    assert counted is not None
    return counted[0]
