"""The contract of forgetting: a run goes as a whole, and its number never comes back."""

import pytest

from forebay.core.clock import Millis
from forebay.core.codec import Object
from forebay.core.errors import RunNotFound, RunUnfinished
from forebay.core.ids import RunNumber
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import RunQuery

from .database import DatabaseTests
from .runs import NOW, admission, admit, chunks, kept, new_run, success, write, written

_LARGE = [Object("large", b"1")]


class ForgettingContract(DatabaseTests):
    """What delete and expire promise."""

    async def test_a_deleted_run_leaves_nothing_behind(self, storage: Storage) -> None:
        run, neighbour = new_run(), new_run()
        number = await self._finished(storage, run)
        kept_number = await self._finished(storage, neighbour)

        assert await storage.delete(run.id)

        assert await storage.find(run.id) is None
        assert await storage.read(number) == []
        assert await storage.read_object(number, "large") is None
        assert isinstance(await write(storage, chunks(number, 4, "x")), RunNotFound)
        assert [each.id for each in await storage.list(RunQuery("default"))] == [neighbour.id]
        assert len(await storage.read(kept_number)) == 3
        assert await storage.read_object(kept_number, "large") == b"1"

    async def test_a_run_is_deleted_once(self, storage: Storage) -> None:
        run = new_run()
        await self._finished(storage, run)

        assert await storage.delete(run.id)
        assert not await storage.delete(run.id)

    async def test_an_unfinished_run_is_not_deleted(self, storage: Storage) -> None:
        run = new_run()
        number = await admit(storage, admission(run))

        with pytest.raises(RunUnfinished):
            await storage.delete(run.id)

        assert len(await storage.read(number)) == 2

    async def test_a_kept_run_is_deleted_like_any_other(self, storage: Storage) -> None:
        keep = kept("x", objects=_LARGE)
        number = await admit(storage, keep)

        assert await storage.delete(keep.run.id)

        assert await storage.read(number) == []
        assert await storage.read_object(number, "large") is None

    async def test_runs_expire_when_their_time_has_come(self, storage: Storage) -> None:
        soon, later, never = (new_run(expiry_seconds=seconds) for seconds in (10, 20, 10))
        gone = await self._finished(storage, soon)
        await self._finished(storage, later)
        await admit(storage, admission(never))
        light = kept(run=new_run(expiry_seconds=10))
        await admit(storage, light)

        assert await storage.expire(Millis(NOW + 9_999), 10) == 0
        assert await storage.expire(Millis(NOW + 10_000), 10) == 2

        assert await storage.read(gone) == []
        assert await storage.read_object(gone, "large") is None
        left = await storage.list(RunQuery("default"))
        assert {run.id for run in left} == {later.id, never.id}

    async def test_runs_expire_in_batches(self, storage: Storage) -> None:
        for _ in range(5):
            await self._finished(storage, new_run(expiry_seconds=10))

        told = [await storage.expire(Millis(NOW + 10_000), 2) for _ in range(4)]

        assert told == [2, 2, 1, 0]

    async def test_the_number_of_a_deleted_run_never_comes_back(self, storage: Storage) -> None:
        runs = [new_run() for _ in range(3)]
        used = [await self._finished(storage, run) for run in runs]
        for run in runs:
            await storage.delete(run.id)

        numbers = [await admit(storage) for _ in range(3)]

        assert not set(numbers) & set(used)
        assert [len(await storage.read(number)) for number in numbers] == [2, 2, 2]

    async def _finished(self, storage: Storage, run: Run) -> RunNumber:
        number = await admit(storage, admission(run, objects=_LARGE))
        await written(storage, success(number, 3))
        return number
