"""The contract of leases: who holds a run, until when, and who may end it after that."""

from forebay.core.errors import RunFinished, StaleAttempt
from forebay.core.ids import RunId
from forebay.ports.storage import Storage
from forebay.ports.store import Appended

from .database import Database, DatabaseTests
from .runs import (
    HOLDER,
    LEASE_SECONDS,
    admission,
    admit,
    chunks,
    kept,
    loss,
    new_run,
    success,
    write,
    written,
)

_A_LEASE = LEASE_SECONDS + 1


class LeasingContract(DatabaseTests):
    """What renew, lost and `only_if_lost` promise."""

    async def test_a_run_is_lost_when_its_lease_has_run_out(
        self, database: Database, storage: Storage
    ) -> None:
        run = new_run()
        await admit(storage, admission(run))
        assert await self._lost(storage) == []

        await database.pass_time(LEASE_SECONDS / 2)
        assert await self._lost(storage) == []
        await database.pass_time(_A_LEASE)

        assert await self._lost(storage) == [run.id]

    async def test_only_running_runs_can_be_lost(
        self, database: Database, storage: Storage
    ) -> None:
        done = await admit(storage)
        await written(storage, success(done, 3))
        await admit(storage, admission(new_run(status="submitted", last=1, attempt=0)))
        await admit(storage, kept("x"))

        await database.pass_time(_A_LEASE)

        assert await self._lost(storage) == []

    async def test_a_renewed_lease_runs_on(self, database: Database, storage: Storage) -> None:
        await admit(storage)
        await database.pass_time(LEASE_SECONDS - 1)

        assert await storage.renew(HOLDER, LEASE_SECONDS) == 1
        await database.pass_time(LEASE_SECONDS - 1)

        assert await self._lost(storage) == []
        await database.pass_time(2)
        assert len(await self._lost(storage)) == 1

    async def test_a_holder_renews_the_unfinished_runs_it_holds(
        self, database: Database, storage: Storage
    ) -> None:
        theirs = new_run(holder=f"{HOLDER}/another")
        await admit(storage, admission(theirs))
        done, *_ = [await admit(storage) for _ in range(3)]
        await written(storage, success(done, 3))
        await database.pass_time(LEASE_SECONDS - 1)

        assert await storage.renew(HOLDER, LEASE_SECONDS) == 2
        assert await storage.renew("nobody", LEASE_SECONDS) == 0
        await database.pass_time(2)

        assert await self._lost(storage) == [theirs.id]

    async def test_no_more_lost_runs_are_told_than_asked_for(
        self, database: Database, storage: Storage
    ) -> None:
        for _ in range(3):
            await admit(storage)
        await database.pass_time(_A_LEASE)

        assert len(await self._lost(storage, 2)) == 2

    async def test_a_lost_run_is_ended(self, database: Database, storage: Storage) -> None:
        run = new_run()
        number = await admit(storage, admission(run))
        await database.pass_time(_A_LEASE)

        assert await written(storage, loss(number, 3)) == 3

        assert await self._lost(storage) == []
        found = await storage.find(run.id)
        assert found is not None
        assert (found.status, found.reason) == ("interrupted", "server_lost")
        assert isinstance(await write(storage, chunks(number, 4, "late")), RunFinished)

    async def test_a_run_whose_lease_was_renewed_meanwhile_is_not_ended(
        self, database: Database, storage: Storage, other: Storage
    ) -> None:
        theirs = new_run(holder=f"{HOLDER}/another")
        renewed, lost = await admit(storage), await admit(storage, admission(theirs))
        await database.pass_time(_A_LEASE)
        await storage.renew(HOLDER, LEASE_SECONDS)

        outcomes = await other.write([loss(renewed, 3), loss(lost, 3)])

        assert isinstance(outcomes[0], StaleAttempt)
        assert outcomes[1] == Appended(3)
        assert await written(storage, chunks(renewed, 3, "still here")) == 3

    async def test_a_lost_run_is_ended_even_if_it_has_moved_meanwhile(
        self, database: Database, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage)
        stale = loss(number, 3)
        await written(storage, chunks(number, 3, "last words"))
        await database.pass_time(_A_LEASE)

        assert await written(other, stale) == 4

    async def test_what_an_attempt_appends_does_not_renew_its_lease(
        self, database: Database, storage: Storage
    ) -> None:
        number = await admit(storage)
        await database.pass_time(LEASE_SECONDS - 1)
        await written(storage, chunks(number, 3, "busy"))
        await database.pass_time(2)

        assert len(await self._lost(storage)) == 1

    async def _lost(self, storage: Storage, limit: int = 10) -> list[RunId]:
        return [run.id for run in await storage.lost(limit)]
