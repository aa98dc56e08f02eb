"""The contract of sharing: so many runs of a tenant or an agent run at once, and who is ahead."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Crowd, Lease

from .database import DatabaseTests
from .runs import (
    HOLDER,
    TAKER,
    a_lease,
    admission,
    admit,
    admit_all,
    found,
    kept,
    new_run,
    queued_run,
    requeue,
    success,
    wait,
    written,
)


class SharingContract(DatabaseTests):
    """What the limits of a lease, `ahead` and `crowd` promise."""

    async def test_no_more_runs_of_a_tenant_are_leased_than_may_run(self, storage: Storage) -> None:
        runs = [queued_run(tenant="ab"[at % 2]) for at in range(8)]
        await admit_all(storage, *runs)

        leased = await storage.lease(a_lease(most_of_tenant=3))

        assert [run.id for run in leased] == [run.id for run in runs[:6]]
        assert await storage.lease(a_lease(most_of_tenant=3)) == []
        assert len(await storage.lease(a_lease(most_of_tenant=4))) == 2

    async def test_no_more_runs_of_an_agent_are_leased_than_may_run(self, storage: Storage) -> None:
        runs = [queued_run(agent="ab"[at % 2]) for at in range(8)]
        await admit_all(storage, *runs)
        lease = a_lease(agents=["a", "b"], most_of_agent=2)

        assert [run.id for run in await storage.lease(lease)] == [run.id for run in runs[:4]]
        assert await storage.lease(lease) == []

    async def test_a_tenant_with_a_long_queue_is_in_nobodys_way(self, storage: Storage) -> None:
        await storage.write([admission(queued_run(tenant="a", priority=1)) for _ in range(200)])
        last = queued_run(tenant="b")
        await admit(storage, admission(last))

        leased = await storage.lease(a_lease(most_of_tenant=2, limit=10))

        assert [run.tenant for run in leased] == ["a", "a", "b"]

    async def test_both_limits_hold_together_and_leave_nothing_that_fits(
        self, storage: Storage
    ) -> None:
        kinds = [(tenant, agent) for tenant in "aab" for agent in "xxy"] * 4
        await admit_all(storage, *(queued_run(tenant=t, agent=a) for t, a in kinds))
        lease = a_lease(agents=["x", "y"], most_of_tenant=3, most_of_agent=4, limit=2)

        running = await _all(storage, lease)

        tenants, agents = Counter(r.tenant for r in running), Counter(r.agent for r in running)
        assert tenants == {"a": 3, "b": 3}
        assert max(agents.values()) <= 4

    async def test_whoever_executes_a_run_it_counts(self, storage: Storage) -> None:
        inline = await admit(storage, admission(new_run()))
        waiting = await admit(storage, admission(new_run()))
        await admit_all(storage, *(queued_run() for _ in range(4)))
        lease = a_lease(most_of_tenant=3)

        assert len(await storage.lease(lease)) == 1
        await written(storage, success(inline, 3))
        assert len(await storage.lease(lease)) == 1
        await written(storage, wait(waiting, 3))
        assert len(await storage.lease(lease)) == 1
        assert await storage.lease(lease) == []

    async def test_a_requeued_run_leaves_its_place(self, storage: Storage) -> None:
        first, _ = await admit_all(storage, queued_run(), queued_run())
        lease = a_lease(most_of_agent=1)
        await storage.lease(lease)
        await written(storage, requeue(first, 3))

        assert [run.number for run in await storage.lease(lease)] == [first]

    async def test_of_many_who_lease_at_once_no_more_run_than_may(
        self, storage: Storage, other: Storage
    ) -> None:
        runs = [queued_run(tenant="ab"[at % 2]) for at in range(60)]
        await storage.write([admission(run) for run in runs])
        lease = a_lease(most_of_tenant=7, limit=5)

        taken = await asyncio.gather(
            *(_all(each, lease) for each in (storage, other) for _ in range(4))
        )

        leased = [run for some in taken for run in some]
        assert Counter(run.tenant for run in leased) == {"a": 7, "b": 7}
        assert len({run.id for run in leased}) == 14

    async def test_turns_are_kept_within_limits_too(self, storage: Storage) -> None:
        runs = [queued_run(session=session, in_turn=True) for session in "sst"]
        await admit_all(storage, *runs)

        leased = await storage.lease(a_lease(most_of_tenant=3))

        assert [run.id for run in leased] == [runs[0].id, runs[2].id]

    # --- counting -------------------------------------------------------------------------------

    async def test_a_queued_run_knows_how_many_are_ahead(self, storage: Storage) -> None:
        runs = [queued_run(priority=priority) for priority in (0, 5, 0, -1, 5)]
        await admit_all(storage, *runs)

        assert [await self._ahead(storage, run) for run in runs] == [2, 0, 3, 4, 1]
        assert await storage.ahead(await found(storage, runs[3]), 3) == 3
        await storage.lease(a_lease(limit=2))
        assert [await self._ahead(storage, runs[at]) for at in (0, 2, 3)] == [0, 1, 2]

    async def _ahead(self, storage: Storage, run: Run) -> int:
        return await storage.ahead(await found(storage, run), 1_000)

    async def test_a_crowd_is_counted(self, storage: Storage) -> None:
        await admit_all(storage, *(queued_run(tenant=tenant) for tenant in "aab"))
        await admit_all(storage, new_run(), new_run(agent="other"), new_run(tenant="a"))
        done = await admit(storage, admission(new_run()))
        await written(storage, success(done, 3))
        await admit(storage, kept("x"))
        waiting = await admit(storage, admission(new_run()))
        await written(storage, wait(waiting, 3))

        everybody = {("default", "echo"): 1, ("default", "other"): 1, ("a", "echo"): 1}
        assert await storage.crowd() == Crowd({"a": 2, "b": 1}, everybody)
        assert await storage.crowd(HOLDER) == Crowd({"a": 2, "b": 1}, {})
        await storage.lease(a_lease(limit=1))
        assert (await storage.crowd(HOLDER)).running == {("a", "echo"): 1}
        assert (await storage.crowd(TAKER)).running == everybody


async def _all(storage: Storage, lease: Lease) -> Sequence[Run]:
    taken: list[Run] = []
    while some := await storage.lease(lease):
        taken += some
    return taken
