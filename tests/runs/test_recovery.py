"""Leases and sweeps: the runs of servers that are gone end, those of servers that live do not.

Nothing is resumed here, so that each loss can be seen; test_resume.py is about going on.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from forebay.core.errors import DatabaseUnavailable, DiskFull, ForebayError
from forebay.ports.store import RunQuery
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock
from tests.support.agents import Gated
from tests.support.server import Server
from tests.support.server import serving as serving_any
from tests.support.storage import Audience, Fault, FaultyStorage
from tests.support.waiting import pass_time, settle, until

BOUND = 15.0

serving = partial(serving_any, resume=False)


class Place:
    """A database that several servers use."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStorage(self.clock)
        self._audience = Audience()
        self.memory.listen(self._audience)
        self.storage = self.access()

    def access(self) -> FaultyStorage:
        """The database as one server sees it."""
        return FaultyStorage(self.memory, self._audience)

    async def runs(self) -> list[tuple[str, str | None]]:
        found = await self.memory.list(RunQuery(tenant="default"))
        return [(run.status, run.reason) for run in found]

    @asynccontextmanager
    async def doomed(self, gated: Gated) -> AsyncGenerator[tuple[Server, FaultyStorage]]:
        """A server with a run under way. When it is killed, it reaches no database any more."""
        access = self.access()
        async with serving(gated.agent, storage=access, clock=self.clock) as server:
            got = await server.run("x", mode="background")
            assert got.status == 202
            await gated.gate.reached()
            await settle()
            try:
                yield server, access
            finally:
                access.come_back()
                gated.gate.open()


async def test_the_runs_of_a_server_that_was_killed_end_within_their_bound():
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (_, theirs),
        serving(storage=place.storage, clock=place.clock) as server,
    ):
        theirs.go_away()
        await pass_time(place.clock, 4)
        assert await place.runs() == [("running", None)]
        await pass_time(place.clock, BOUND - 4)
        assert await place.runs() == [("interrupted", "server_lost")]
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        entries = await server.entries(run["id"])
        assert [entry["number"] for entry in entries] == [1, 2, 3, 4]
        assert [entry["type"] for entry in entries][-1] == "run.interrupted"
        assert entries[-1]["attempt"] == 0


async def test_a_server_that_starts_later_ends_them_too():
    place, gated = Place(), Gated()
    async with place.doomed(gated) as (_, theirs):
        theirs.go_away()
        await pass_time(place.clock, 60, step=3)
        async with serving(storage=place.storage, clock=place.clock):
            await settle()
        assert await place.runs() == [("interrupted", "server_lost")]


async def test_the_runs_of_a_server_that_lives_are_left_alone_however_long_they_take():
    place, gated = Place(), Gated()
    async with (
        serving(gated.agent, storage=place.access(), clock=place.clock) as owner,
        serving(storage=place.storage, clock=place.clock),
    ):
        run = (await owner.run("x", mode="background")).json()["id"]
        await gated.gate.reached()
        await pass_time(place.clock, 120)
        assert await place.runs() == [("running", None)]
        gated.gate.open()
        assert (await owner.ended(run))["status"] == "success"


async def test_followers_of_a_lost_run_see_its_end():
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (_, theirs),
        serving(storage=place.storage, clock=place.clock) as server,
    ):
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        stream = server.client.begin("GET", f"/api/runs/{run['id']}/events")
        await stream.until(lambda got: len(got.events) == 3)
        theirs.go_away()
        await pass_time(place.clock, BOUND)
        await stream.until_over()
        assert [entry["number"] for entry in stream.entries] == [1, 2, 3, 4]
        assert stream.entries[-1]["reason"] == "server_lost"


async def test_a_machine_that_slept_ends_nothing_at_once():
    """Its own runs had no chance to be renewed, and those of others neither."""
    place, mine, theirs = Place(), Gated("mine"), Gated("theirs")
    async with (
        serving(mine.agent, storage=place.access(), clock=place.clock) as one,
        serving(theirs.agent, storage=place.access(), clock=place.clock) as other,
    ):
        await one.run("x", mode="background")
        await other.run("x", mode="background")
        await mine.gate.reached()
        await theirs.gate.reached()
        await pass_time(place.clock, 30)
        place.clock.advance(3600)
        await settle()
        await pass_time(place.clock, 30)
        assert await place.runs() == [("running", None)] * 2
        mine.gate.open()
        theirs.gate.open()


async def test_after_an_outage_longer_than_a_lease_nobody_ends_the_runs_of_those_who_live():
    place, mine, theirs = Place(), Gated("mine"), Gated("theirs")
    one_storage, other_storage = place.access(), place.access()
    async with (
        serving(mine.agent, storage=one_storage, clock=place.clock) as one,
        serving(theirs.agent, storage=other_storage, clock=place.clock) as other,
    ):
        await one.run("x", mode="background")
        await other.run("x", mode="background")
        await mine.gate.reached()
        await theirs.gate.reached()
        await pass_time(place.clock, 10)
        one_storage.go_away()
        other_storage.go_away()
        await pass_time(place.clock, 20)
        one_storage.come_back()
        await pass_time(place.clock, 3)  # the other is a little later
        other_storage.come_back()
        await pass_time(place.clock, 30)
        assert await place.runs() == [("running", None)] * 2
        mine.gate.open()
        theirs.gate.open()


async def test_a_run_that_is_renewed_at_the_last_moment_is_not_taken():
    """The sweep looks, the owner renews, the sweep writes: `only_if_lost` decides."""
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (_, theirs),
        serving(storage=place.storage, clock=place.clock),
    ):
        theirs.go_away()
        place.storage.paused.clear()
        await pass_time(place.clock, BOUND)
        await until(lambda: place.storage.writes_begun == 1)
        (run,) = await place.memory.list(RunQuery(tenant="default"))
        assert run.holder
        await place.memory.renew(run.holder, 60)
        place.storage.paused.set()
        await settle()
        assert await place.runs() == [("running", None)]


@pytest.mark.parametrize("error", [DatabaseUnavailable(), DiskFull()], ids=["away", "full"])
async def test_a_sweep_that_fails_is_followed_by_others(error: ForebayError):
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (_, theirs),
        serving(storage=place.storage, clock=place.clock),
    ):
        theirs.go_away()
        await pass_time(place.clock, 8)
        place.storage.faults.extend([Fault(error)] * 3)
        await pass_time(place.clock, 30)
        assert await place.runs() == [("interrupted", "server_lost")]


async def test_two_sweepers_end_a_lost_run_once():
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (_, theirs),
        serving(storage=place.storage, clock=place.clock) as server,
        serving(storage=place.access(), clock=place.clock),
    ):
        theirs.go_away()
        await pass_time(place.clock, BOUND)
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        types = [entry["type"] for entry in await server.entries(run["id"])]
        assert types.count("run.interrupted") == 1


async def test_a_light_run_needs_no_lease():
    place, gated = Place(), Gated()
    async with serving(gated.agent, storage=place.storage, clock=place.clock) as server:
        waiting = server.begin("x")
        await gated.gate.reached()
        await pass_time(place.clock, 60)
        gated.gate.open()
        await waiting.until_over()
        assert waiting.json()["status"] == "success"


async def test_more_than_one_lost_run_ends():
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (doomed, theirs),
        serving(storage=place.storage, clock=place.clock),
    ):
        for _ in range(20):
            assert (await doomed.run("x", mode="background")).status == 202
        await settle()
        theirs.go_away()
        await pass_time(place.clock, BOUND)
        assert await place.runs() == [("interrupted", "server_lost")] * 21


async def test_a_server_that_comes_back_late_writes_nothing_into_what_has_ended():
    place, gated = Place(), Gated()
    async with (
        place.doomed(gated) as (doomed, theirs),
        serving(storage=place.storage, clock=place.clock) as server,
    ):
        theirs.go_away()
        await pass_time(place.clock, BOUND)
        assert await place.runs() == [("interrupted", "server_lost")]
        gated.gate.open()
        await settle()
        theirs.come_back()
        await pass_time(place.clock, 10)
        (run,) = (await server.client.get("/api/runs")).json()["runs"]
        types = [entry["type"] for entry in await server.entries(run["id"])]
        assert types == ["run.submitted", "run.started", "output.chunk", "run.interrupted"]
        assert doomed.app.runs.under_way == 0
