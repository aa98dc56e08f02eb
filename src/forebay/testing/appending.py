"""The contract of appending: the store gives the numbers, and refuses who must not write."""

import asyncio
from collections.abc import Sequence

from forebay.core.codec import Entry, Object, unpack
from forebay.core.errors import RunFinished, RunNotFound, StaleAttempt
from forebay.core.events import OutputChunk, RunFailed, RunSucceeded
from forebay.core.ids import RunNumber
from forebay.ports.storage import Storage
from forebay.ports.store import Admitted, Appended, Outcome

from .database import Database, DatabaseTests
from .runs import (
    NOW,
    admission,
    admit,
    append,
    cancel,
    chunks,
    kept,
    new_run,
    success,
    write,
    written,
)

_STORAGES = 3
_RUNS = 4
_ENTRIES = 30


class AppendingContract(DatabaseTests):
    """What Append and Keep promise."""

    async def test_entries_stand_under_the_next_numbers(self, storage: Storage) -> None:
        number = await admit(storage)
        more = chunks(number, 3, "one", "two")

        assert await written(storage, more) == 3
        assert (await storage.read(number))[2:] == more.entries

    async def test_a_run_moves_together_with_its_entries(self, storage: Storage) -> None:
        run = new_run(expiry_seconds=100)
        number = await admit(storage, admission(run))

        failed = RunFailed("agent_error", "it broke", error="ValueError")
        await written(storage, append(number, 3, OutputChunk("x"), failed))

        found = await storage.find(run.id)
        assert found is not None
        assert (found.status, found.reason, found.last) == ("failure", "agent_error", 4)
        assert (found.finished, found.expires) == (NOW, NOW + 100_000)

    async def test_somebody_who_writes_in_between_takes_the_next_number(
        self, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage)
        await written(other, cancel(number, 3))

        assert await written(storage, chunks(number, 3, "one", "two")) == 4

        log = await storage.read(number)
        assert [entry.number for entry in log] == [1, 2, 3, 4, 5]
        assert [entry.attempt for entry in log] == [1, 1, 0, 1, 1]

    async def test_two_writers_of_one_run_in_one_batch_are_numbered_in_turn(
        self, storage: Storage
    ) -> None:
        number = await admit(storage)

        outcomes = await storage.write([chunks(number, 3, "x"), cancel(number, 3)])

        assert outcomes == [Appended(3), Appended(4)]
        assert [entry.type for entry in await storage.read(number, after=2)] == [
            "output.chunk",
            "run.cancel_requested",
        ]

    async def test_a_late_writer_is_refused_without_failing_its_neighbours(
        self, storage: Storage
    ) -> None:
        late = await admit(storage, admission(new_run(attempt=2)))
        others = [await admit(storage) for _ in range(3)]
        batch = [chunks(others[0], 3, "a"), chunks(late, 3, "late"), chunks(others[1], 3, "b")]

        outcomes = await storage.write([*batch, admission(), chunks(others[2], 3, "c")])

        assert isinstance(outcomes[1], StaleAttempt)
        assert [outcomes[at] for at in (0, 2, 4)] == [Appended(3)] * 3
        assert isinstance(outcomes[3], Admitted)
        assert len(await storage.read(late)) == 2
        assert [len(await storage.read(run)) for run in others] == [3, 3, 3]

    async def test_a_later_attempt_than_the_run_has_is_refused(self, storage: Storage) -> None:
        number = await admit(storage)

        assert isinstance(await write(storage, chunks(number, 3, "x", attempt=2)), StaleAttempt)

    async def test_a_finished_run_takes_no_entry(self, storage: Storage) -> None:
        number, neighbour = await admit(storage), await admit(storage)
        await written(storage, success(number, 3))

        outcomes = await storage.write(
            [chunks(number, 4, "x"), chunks(neighbour, 3, "y"), cancel(number, 4)]
        )

        assert isinstance(outcomes[0], RunFinished)
        assert outcomes[1] == Appended(3)
        assert isinstance(outcomes[2], RunFinished)
        assert len(await storage.read(number)) == 3

    async def test_the_second_end_of_a_run_is_refused(
        self, storage: Storage, other: Storage
    ) -> None:
        numbers = [await admit(storage) for _ in range(10)]

        outcomes = await asyncio.gather(
            *(
                write(where, success(number, 3, attempt=attempt))
                for number in numbers
                for where, attempt in ((storage, 1), (other, 0))
            )
        )

        assert outcomes.count(Appended(3)) == 10
        assert sum(isinstance(outcome, RunFinished) for outcome in outcomes) == 10

    async def test_an_event_that_may_not_follow_is_refused(self, storage: Storage) -> None:
        run = new_run(status="submitted", last=1, started=None)
        number = await admit(storage, admission(run))

        assert isinstance(await write(storage, chunks(number, 2, "x")), StaleAttempt)
        impossible = append(number, 2, RunSucceeded(), OutputChunk("after the end"))
        assert isinstance(await write(storage, impossible), StaleAttempt)
        assert len(await storage.read(number)) == 1

    async def test_control_may_write_in_every_unfinished_state(self, storage: Storage) -> None:
        for run in (new_run(status="submitted", last=1, attempt=0), new_run(attempt=7)):
            number = await admit(storage, admission(run))

            assert await written(storage, cancel(number, run.last + 1)) == run.last + 1

            found = await storage.find(run.id)
            assert found is not None
            assert found.status == run.status

    async def test_an_unknown_run_is_refused_alone(self, storage: Storage) -> None:
        number = await admit(storage)
        unknown = RunNumber(number + 1_000)

        outcomes = await storage.write([chunks(unknown, 3, "x"), chunks(number, 3, "y")])

        assert isinstance(outcomes[0], RunNotFound)
        assert outcomes[1] == Appended(3)

    async def test_objects_are_appended_with_their_entries(self, storage: Storage) -> None:
        number, other_number = await admit(storage), await admit(storage)
        large = [Object("one", b'"1"'), Object("two", b'"2"')]

        await written(storage, append(number, 3, OutputChunk("x"), objects=large))
        await written(storage, append(number, 4, OutputChunk("x"), objects=large[:1]))

        assert await storage.read_object(number, "one") == b'"1"'
        assert await storage.read_object(number, "two") == b'"2"'
        assert await storage.read_object(other_number, "one") is None
        assert await storage.read_object(number, "three") is None

    async def test_the_objects_of_a_refused_append_are_not_kept(self, storage: Storage) -> None:
        number = await admit(storage)
        refused = append(number, 3, OutputChunk("x"), attempt=5, objects=[Object("one", b"1")])

        assert isinstance(await write(storage, refused), StaleAttempt)
        assert await storage.read_object(number, "one") is None

    # --- sent again, because its fate was unknown -----------------------------------------------

    async def test_a_batch_sent_again_stands_once(self, storage: Storage) -> None:
        number, ended = await admit(storage), await admit(storage)
        batch = [
            append(number, 3, OutputChunk("a"), OutputChunk("b"), objects=[Object("one", b"1")]),
            append(ended, 3, OutputChunk("c"), RunSucceeded()),
        ]
        first = await storage.write(batch)

        assert await storage.write(batch) == first
        assert [len(await storage.read(run)) for run in (number, ended)] == [4, 4]

    async def test_a_batch_sent_again_stands_once_though_somebody_wrote_before_it(
        self, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage)
        await written(other, cancel(number, 3))
        more = chunks(number, 3, "a", "b")
        await written(storage, more)

        assert await written(storage, more) == 4
        assert len(await storage.read(number)) == 5

    async def test_a_batch_sent_again_stands_once_though_somebody_wrote_after_it(
        self, storage: Storage, other: Storage
    ) -> None:
        number = await admit(storage)
        more = chunks(number, 3, "a", "b")
        await written(storage, more)
        await written(other, cancel(number, 5))

        assert await written(storage, more) == 3
        assert len(await storage.read(number)) == 5

    async def test_what_follows_a_batch_sent_again_follows_it_in_the_log(
        self, storage: Storage
    ) -> None:
        number = await admit(storage)
        more = chunks(number, 3, "a", "a")
        await written(storage, more)
        await written(storage, more)

        assert await written(storage, chunks(number, 5, "a")) == 5

    # --- many at once ---------------------------------------------------------------------------

    async def test_numbers_are_contiguous_under_many_concurrent_writers(
        self, database: Database
    ) -> None:
        storages = [await database.open() for _ in range(_STORAGES)]
        runs = [new_run() for _ in range(_RUNS)]
        numbers = [await admit(storages[0], admission(run)) for run in runs]

        async with asyncio.timeout(40):
            told = await asyncio.gather(
                *(
                    self._say_much(storages[at % _STORAGES], number, f"run {at}")
                    for at, number in enumerate(numbers)
                ),
                *(self._interfere(storage, numbers) for storage in storages),
            )

        for at, number in enumerate(numbers):
            log = await self._whole(storages[0], number)
            assert [entry.number for entry in log] == list(range(1, len(log) + 1))
            texts = [entry.event.text for entry in log if isinstance(entry.event, OutputChunk)]
            assert texts == [f"run {at}: {said}" for said in range(2 * _ENTRIES)]
            assert len(log) == 2 + 2 * _ENTRIES + _STORAGES * _ENTRIES
            found = await storages[0].find(runs[at].id)
            assert found is not None
            assert found.last == len(log)
        firsts = [(number, first) for some in told for number, first in some]
        assert len(set(firsts)) == len(firsts)

    async def _say_much(
        self, storage: Storage, number: RunNumber, name: str
    ) -> list[tuple[RunNumber, int]]:
        told: list[tuple[RunNumber, int]] = []
        last = 2
        for said in range(0, 2 * _ENTRIES, 2):
            texts = (f"{name}: {said}", f"{name}: {said + 1}")
            first = await written(storage, chunks(number, last + 1, *texts))
            told += [(number, first), (number, first + 1)]
            last = first + 1
        return told

    async def _interfere(
        self, storage: Storage, numbers: Sequence[RunNumber]
    ) -> list[tuple[RunNumber, int]]:
        told: list[tuple[RunNumber, int]] = []
        for at in range(_ENTRIES):
            order = numbers if at % 2 else list(reversed(numbers))
            batch = [cancel(number, at + 3) for number in order]
            outcomes = await storage.write(batch)
            told += zip(order, map(_first, outcomes), strict=True)
        return told

    async def _whole(self, storage: Storage, number: RunNumber) -> list[Entry]:
        log: list[Entry] = []
        while page := await storage.read(number, after=len(log)):
            log += page
        return log

    # --- the log of a light run -----------------------------------------------------------------

    async def test_a_kept_log_reads_like_any_other(self, storage: Storage) -> None:
        keep = kept("one", "two", objects=[Object("large", b"1")])

        number = await admit(storage, keep)

        found = await storage.find(keep.run.id)
        assert found is not None
        assert (found.status, found.durable, found.last) == ("success", False, 5)
        log = await storage.read(number)
        assert log == unpack(keep.log)
        assert await storage.read(number, after=1, limit=2) == log[1:3]
        assert await storage.read(number, types=["output.chunk"]) == log[2:]
        assert await storage.read(number, after=5) == []
        assert (await storage.read_many({number: 3}))[number] == log[3:]
        assert await storage.read_object(number, "large") == b"1"

    async def test_a_kept_run_takes_no_further_entry(self, storage: Storage) -> None:
        number = await admit(storage, kept("one"))

        assert isinstance(await write(storage, cancel(number, 5)), RunFinished)

    async def test_a_batch_of_everything_is_answered_in_order(self, storage: Storage) -> None:
        number, done = await admit(storage), await admit(storage)
        await written(storage, success(done, 3))

        outcomes = await storage.write(
            [kept("x"), chunks(number, 3, "y"), admission(), cancel(done, 4), kept(), admission()]
        )

        assert [type(outcome) for outcome in outcomes] == [
            Admitted,
            Appended,
            Admitted,
            RunFinished,
            Admitted,
            Admitted,
        ]


def _first(outcome: Outcome) -> int:
    assert isinstance(outcome, Appended), outcome
    return outcome.first
