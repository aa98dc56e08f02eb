"""The contract of following: whoever writes and wherever, a follower sees each entry once."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import pytest

from forebay.core.clock import SystemClock
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES
from forebay.core.run import Run
from forebay.ports.storage import Storage
from forebay.ports.store import Append
from forebay.runs.follow import Follower

from .database import Database, DatabaseTests
from .runs import admission, admit, cancel, chunks, kept, new_run, success, written

_PATIENCE_SECONDS = 20.0


class Process:
    """A storage and what follows on it, as one process has them."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.follower = Follower(storage, SystemClock())

    async def append(self, run: RunId, append: Append) -> int:
        """Append entries and hand them to the followers here; the number of the last of them."""
        first = await written(self.storage, append)
        for number, entry in enumerate(append.entries, first):
            entry.number = number
        self.follower.deliver(run, append.entries)
        return first + len(append.entries) - 1

    async def follow(self, run: Run, number: RunNumber, after: int = 0) -> list[int]:
        """Every number that a follower is given after this one, until the run has ended."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async with aclosing(self.follower.follow(run.id, number, after)) as pages:
                return [entry.number async for page in pages for entry in page.entries]

    async def attach(self, run: Run, number: RunNumber) -> asyncio.Task[list[int]]:
        """Follow a run from its beginning: return when the first of it has been seen."""
        pages = self.follower.follow(run.id, number, 0)
        seen = [entry.number for entry in (await anext(pages)).entries]

        async def go_on() -> list[int]:
            async with asyncio.timeout(_PATIENCE_SECONDS), aclosing(pages):
                return seen + [entry.number async for page in pages for entry in page.entries]

        return asyncio.create_task(go_on())


class HeardRuns:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.waits_for: dict[RunNumber, int] = {}
        self.told: dict[RunNumber, int] = {}
        self.takes_runs = False
        self.times_queued = 0
        self._news = asyncio.Event()

    @property
    def interested(self) -> bool:
        return bool(self.waits_for)

    def followed(self) -> Mapping[RunNumber, int]:
        return {
            number: max(last, self.told.get(number, 0)) for number, last in self.waits_for.items()
        }

    def moved(self, runs: Mapping[RunNumber, int]) -> None:
        for number, last in runs.items():
            self.told[number] = max(last, self.told.get(number, 0))
        self._news.set()

    def queued(self) -> None:
        self.times_queued += 1
        self._news.set()

    def missed(self) -> None:
        """Nothing was missed that matters here."""

    async def heard(self, number: RunNumber, last: int) -> None:
        """Wait until it was told that this run has got so far."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.told.get(number, 0) < last:
                self._news.clear()
                await self._news.wait()

    async def heard_of_queue(self, times: int = 1) -> None:
        """Wait until it was told so often that there may be queued runs."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.times_queued < times:
                self._news.clear()
                await self._news.wait()


class FollowingContract(DatabaseTests):
    """What listen promises, and what follows from it for everybody who follows a run."""

    @pytest.fixture
    async def here(self, storage: Storage) -> AsyncGenerator[Process]:
        """A process."""
        process = Process(storage)
        process.follower.start()
        yield process
        await process.follower.aclose()

    @pytest.fixture
    async def there(self, here: Process, other: Storage) -> AsyncGenerator[Process]:
        """Another process; where there is only one storage, the same."""
        if other is here.storage:
            yield here
            return
        process = Process(other)
        process.follower.start()
        yield process
        await process.follower.aclose()

    async def test_a_listener_hears_of_what_another_storage_writes(
        self, storage: Storage, other: Storage
    ) -> None:
        heard = HeardRuns()
        storage.listen(heard)
        number = await admit(other)
        heard.waits_for[number] = 2

        last = await written(other, chunks(number, 3, "a", "b")) + 1

        await heard.heard(number, last)

    async def test_every_follower_sees_every_entry_once_while_two_write(
        self, here: Process, there: Process
    ) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        followers = [
            asyncio.create_task(process.follow(run, number, after))
            for process in (here, there)
            for after in (0, 1, 2, 5, 40)
        ]

        async def speak() -> None:
            last = 2
            for text in range(60):
                last = await here.append(run.id, chunks(number, last + 1, str(text)))

        async def interfere() -> None:
            for at in range(30):
                await there.append(run.id, cancel(number, at + 3))

        await asyncio.gather(speak(), interfere())
        last = await here.append(run.id, success(number, 93))

        assert last == 93
        for after, seen in zip([0, 1, 2, 5, 40] * 2, await asyncio.gather(*followers), strict=True):
            assert seen == list(range(after + 1, last + 1))

    async def test_a_follower_who_comes_late_sees_everything(
        self, here: Process, there: Process
    ) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        await here.append(run.id, chunks(number, 3, "a", "b"))
        await here.append(run.id, success(number, 5))

        assert await there.follow(run, number) == [1, 2, 3, 4, 5]
        assert await there.follow(run, number, after=4) == [5]

    async def test_a_kept_run_is_followed_to_its_end(self, here: Process, there: Process) -> None:
        light = kept("a", "b")
        number = await admit(here.storage, light)

        assert await there.follow(light.run, number) == [1, 2, 3, 4, 5]

    async def test_a_burst_of_several_pages_arrives_whole(
        self, here: Process, there: Process
    ) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        follower = await here.attach(run, number)

        last = 2
        for _ in range(3):
            texts = map(str, range(PAGE_ENTRIES))
            last = await there.append(run.id, chunks(number, last + 1, *texts))
        last = await there.append(run.id, success(number, last + 1))

        assert await follower == list(range(1, last + 1))

    async def test_a_follower_who_stands_still_holds_nobody_up_and_misses_nothing(
        self, here: Process, there: Process
    ) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        slow = here.follower.follow(run.id, number, 0)
        seen = [entry.number for entry in (await anext(slow)).entries]
        fast = [asyncio.create_task(each.follow(run, number)) for each in (here, there)]

        last = 2
        for _ in range(12):
            texts = map(str, range(500))
            last = await here.append(run.id, chunks(number, last + 1, *texts))
        last = await here.append(run.id, success(number, last + 1))

        whole = list(range(1, last + 1))
        assert await asyncio.gather(*fast) == [whole, whole]
        seen += [entry.number async for page in slow for entry in page.entries]
        assert seen == whole

    async def test_lost_rings_are_made_good(self, database: Database, here: Process) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        follower = await here.attach(run, number)

        await database.write_silently([chunks(number, 3, "a")])
        await database.write_silently([success(number, 4)])

        assert await follower == [1, 2, 3, 4]

    async def test_whoever_may_have_missed_rings_looks_again(
        self, here: Process, there: Process
    ) -> None:
        run = new_run()
        number = await admit(here.storage, admission(run))
        follower = await here.attach(run, number)

        last = 2
        for at in range(30):
            last = await (here, there)[at % 2].append(run.id, chunks(number, last + 1, str(at)))
            here.follower.missed()
        last = await there.append(run.id, success(number, last + 1))

        assert await follower == list(range(1, last + 1))

    async def test_many_runs_are_followed_at_once(self, here: Process, there: Process) -> None:
        runs = [new_run() for _ in range(50)]
        numbers = [await admit(here.storage, admission(run)) for run in runs]
        followers = [
            asyncio.create_task(there.follow(run, number))
            for run, number in zip(runs, numbers, strict=True)
        ]

        for first in (3, 5, 7):
            await here.storage.write([chunks(number, first, "a", "b") for number in numbers])
        for run, number in zip(runs, numbers, strict=True):
            await here.append(run.id, success(number, 9))

        assert await asyncio.gather(*followers) == [list(range(1, 10))] * 50
