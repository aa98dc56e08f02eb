"""The contract of reading: pages that are bounded, in order, and never without a run's end."""

import pytest

from forebay.core.codec import MAX_EVENT_BYTES
from forebay.core.events import ModelChunk, OutputChunk, RunSucceeded
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_BYTES, PAGE_ENTRIES
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import RunQuery

from .database import DatabaseTests
from .runs import NOW, admission, admit, append, chunks, kept, new_run, success, written

_LARGE = "x" * (MAX_EVENT_BYTES - 100)


class ReadingContract(DatabaseTests):
    """What read, read_many, find, list and stats promise."""

    async def test_a_log_is_read_in_pages(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, chunks(number, 3, *map(str, range(2 * PAGE_ENTRIES))))

        first = await storage.read(number)
        second = await storage.read(number, after=first[-1].number)
        third = await storage.read(number, after=second[-1].number)

        log = [*first, *second, *third]
        assert [len(page) for page in (first, second, third)] == [PAGE_ENTRIES, PAGE_ENTRIES, 2]
        assert [entry.number for entry in log] == list(range(1, 2 * PAGE_ENTRIES + 3))
        assert await storage.read(number, after=2 * PAGE_ENTRIES + 2) == []

    async def test_a_page_has_at_most_as_many_entries_as_asked_for(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, chunks(number, 3, "a", "b", "c"))

        assert [entry.number for entry in await storage.read(number, after=1, limit=3)] == [2, 3, 4]

    async def test_a_page_is_bounded_in_bytes(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, chunks(number, 3, *[_LARGE] * 8))

        page = await storage.read(number)

        assert sum(len(entry.data) for entry in page) <= PAGE_BYTES + MAX_EVENT_BYTES
        log = list(page)
        while page := await storage.read(number, after=log[-1].number):
            log += page
        assert [entry.number for entry in log] == list(range(1, 11))

    async def test_an_unknown_run_has_no_entries(self, storage: Storage) -> None:
        assert await storage.read(RunNumber(4_711)) == []
        assert await storage.find(RunId(bytes(16))) is None
        assert await storage.read_object(RunNumber(4_711), "large") is None

    @pytest.mark.parametrize("limit", [1, 2, PAGE_ENTRIES])
    async def test_only_asked_for_types_are_shown_but_always_the_end(
        self, storage: Storage, limit: int
    ) -> None:
        number = await admit(storage)
        said = [OutputChunk("a"), ModelChunk("1", "thought"), OutputChunk("b"), RunSucceeded()]
        await written(storage, append(number, 3, *said))

        shown: list[int] = []
        while page := await storage.read(
            number, after=max(shown, default=0), limit=limit, types=["model.chunk"]
        ):
            shown += [entry.number for entry in page]

        assert shown == [4, 6]
        assert [each.number for each in await storage.read(number, types=[])] == [6]

    async def test_several_runs_are_read_at_once(self, storage: Storage) -> None:
        first, second, third = [await admit(storage) for _ in range(3)]
        await written(storage, chunks(first, 3, "a", "b"))
        await written(storage, chunks(second, 3, *map(str, range(PAGE_ENTRIES + 10))))

        found = await storage.read_many({first: 3, second: 0, third: 2, RunNumber(4_711): 0})

        assert [entry.number for entry in found[first]] == [4]
        assert [entry.number for entry in found[second]] == list(range(1, PAGE_ENTRIES + 1))
        assert not found.get(third)
        assert not found.get(RunNumber(4_711))

    async def test_several_runs_are_read_in_bounded_pages(self, storage: Storage) -> None:
        number = await admit(storage)
        await written(storage, chunks(number, 3, *[_LARGE] * 8))

        found = await storage.read_many({number: 2})

        assert 1 <= len(found[number]) <= PAGE_BYTES // len(_LARGE) + 2

    # --- which runs there are -------------------------------------------------------------------

    async def test_runs_are_listed_newest_first(self, storage: Storage) -> None:
        runs = await self._admit(storage, *(new_run() for _ in range(3)))

        assert await self._listed(storage) == [run.id for run in reversed(runs)]

    async def test_runs_are_listed_in_pages(self, storage: Storage) -> None:
        runs = await self._admit(storage, *(new_run() for _ in range(5)))

        first = await self._listed(storage, limit=3)
        second = await self._listed(storage, limit=3, before=first[-1])

        assert [*first, *second] == [run.id for run in reversed(runs)]
        assert await self._listed(storage, before=second[-1]) == []

    @pytest.mark.parametrize("field", ["caller", "agent", "session"])
    async def test_runs_are_listed_by(self, storage: Storage, field: str) -> None:
        _, wanted, _ = await self._admit(
            storage, new_run(), new_run(**{field: "this"}), new_run(**{field: "that"})
        )

        assert await self._listed(storage, **{field: "this"}) == [wanted.id]
        assert await self._listed(storage, **{field: "this", "before": wanted.id}) == []

    async def test_runs_are_listed_by_status(self, storage: Storage) -> None:
        done, under_way = await self._admit(storage, new_run(), new_run())
        found = await storage.find(done.id)
        assert found is not None
        assert found.number is not None
        await written(storage, success(found.number, 3))

        assert await self._listed(storage, status="success") == [done.id]
        assert await self._listed(storage, status="running") == [under_way.id]
        assert await self._listed(storage, status="success", caller="anonymous") == [done.id]

    async def test_runs_of_another_tenant_are_never_listed(self, storage: Storage) -> None:
        await self._admit(storage, new_run(), new_run(tenant="another"))

        assert len(await self._listed(storage)) == 1
        assert await storage.list(RunQuery("a third")) == []

    async def test_kept_runs_are_listed_with_the_others(self, storage: Storage) -> None:
        light = kept("x")
        await admit(storage, light)
        (durable,) = await self._admit(storage, new_run())

        assert await self._listed(storage) == [durable.id, light.run.id]

    async def _admit(self, storage: Storage, *runs: Run) -> tuple[Run, ...]:
        for run in runs:
            await admit(storage, admission(run))
        return runs

    async def _listed(self, storage: Storage, **filters: object) -> list[RunId]:
        query = RunQuery("default", **filters)  # pyright: ignore[reportArgumentType] -- of the tests above
        return [run.id for run in await storage.list(query)]

    # --- the database itself --------------------------------------------------------------------

    async def test_the_database_answers(self, storage: Storage) -> None:
        await storage.ping()

    async def test_the_database_tells_its_size_and_age(self, storage: Storage) -> None:
        assert (await storage.stats()).oldest_run is None
        run = new_run()
        await admit(storage, admission(run))
        await admit(storage)

        stats = await storage.stats()

        assert stats.oldest_run == run.created >= NOW
        assert stats.size_bytes > 0
