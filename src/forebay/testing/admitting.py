"""The contract of admission: a run comes into being once, with its first entries."""

import asyncio

from forebay.core.clock import Millis
from forebay.core.codec import Object
from forebay.core.errors import KeyReused
from forebay.ports.storage import Storage
from forebay.ports.store import Admitted, Joined, RunQuery

from .database import Database, DatabaseTests
from .runs import NOW, admission, admit, cancel, kept, key, new_run, success, write, written

_DAY = 86_400_000


class AdmittingContract(DatabaseTests):
    """What Admit promises."""

    async def test_a_run_begins_with_its_entries_from_one(self, storage: Storage) -> None:
        first = admission()

        number = await admit(storage, first)

        assert await storage.read(number) == first.entries

    async def test_a_run_is_found_as_it_was_admitted(self, storage: Storage) -> None:
        run = new_run(
            tenant="a tenant",
            caller="a caller",
            agent="an agent",
            session="a session",
            priority=3,
            expiry_seconds=60,
            metadata={"who": "we", "deep": [1, {"and": None}], "odd": "\u0000 é 漢 🦀"},
        )

        number = await admit(storage, admission(run))

        found = await storage.find(run.id)
        assert found is not None
        assert {name: getattr(found, name) for name in run.__struct_fields__} == {
            name: number if name == "number" else getattr(run, name)
            for name in run.__struct_fields__
        }

    async def test_every_run_of_a_batch_has_a_number_of_its_own(self, storage: Storage) -> None:
        batch = [admission() for _ in range(70)]

        outcomes = await storage.write(batch)

        numbers = [outcome.number for outcome in outcomes if isinstance(outcome, Admitted)]
        assert len(set(numbers)) == 70
        for admit_one, number in zip(batch, numbers, strict=True):
            found = await storage.find(admit_one.run.id)
            assert found is not None
            assert found.number == number

    async def test_a_run_that_nobody_started_is_submitted(self, storage: Storage) -> None:
        run = new_run(status="submitted", last=1, attempt=0, started=None, holder=None)

        await admit(storage, admission(run))

        found = await storage.find(run.id)
        assert found is not None
        assert (found.status, found.last, found.attempt) == ("submitted", 1, 0)

    async def test_objects_are_admitted_with_their_run(self, storage: Storage) -> None:
        number = await admit(storage, admission(objects=[Object("large", b'"a value"')]))

        assert await storage.read_object(number, "large") == b'"a value"'

    async def test_the_same_key_joins_the_run_it_started(self, storage: Storage) -> None:
        first = admission(key=key())
        await admit(storage, first)

        assert await write(storage, admission(key=key())) == Joined(first.run.id)
        assert len(await storage.list(RunQuery("default"))) == 1

    async def test_the_same_key_with_another_body_is_refused(self, storage: Storage) -> None:
        await admit(storage, admission(key=key(body=b"one")))

        outcome = await write(storage, admission(key=key(body=b"another")))

        assert isinstance(outcome, KeyReused)
        assert len(await storage.list(RunQuery("default"))) == 1

    async def test_a_key_counts_for_its_tenant_caller_and_operation(self, storage: Storage) -> None:
        keys = [key(), key(tenant="x"), key(caller="x"), key(operation="x"), key(name="x")]

        outcomes = [await write(storage, admission(key=each)) for each in keys]

        assert all(isinstance(outcome, Admitted) for outcome in outcomes)

    async def test_a_joined_or_refused_start_leaves_its_neighbours_alone(
        self, storage: Storage
    ) -> None:
        first = admission(key=key())
        await admit(storage, first)
        batch = [admission(), admission(key=key()), admission(key=key(body=b"x")), admission()]

        outcomes = await storage.write(batch)

        assert isinstance(outcomes[0], Admitted)
        assert outcomes[1] == Joined(first.run.id)
        assert isinstance(outcomes[2], KeyReused)
        assert isinstance(outcomes[3], Admitted)
        assert len(await storage.list(RunQuery("default"))) == 3

    async def test_two_starts_with_one_key_in_one_batch_are_one_run(self, storage: Storage) -> None:
        first, second = admission(key=key()), admission(key=key())

        outcomes = await storage.write([first, second])

        assert isinstance(outcomes[0], Admitted)
        assert outcomes[1] == Joined(first.run.id)

    async def test_of_many_concurrent_starts_with_one_key_one_begins_a_run(
        self, storage: Storage, other: Storage
    ) -> None:
        starts = [admission(key=key()) for _ in range(20)]

        outcomes = await asyncio.gather(
            *(write((storage, other)[at % 2], start) for at, start in enumerate(starts))
        )

        (begun,) = await storage.list(RunQuery("default"))
        assert sum(isinstance(outcome, Admitted) for outcome in outcomes) == 1
        assert outcomes.count(Joined(begun.id)) == 19

    async def test_starts_that_claim_keys_in_opposite_orders_do_not_block_each_other(
        self, storage: Storage, other: Storage
    ) -> None:
        for turn in range(20):
            names = [f"{turn}-{at}" for at in range(8)]
            there = [admission(key=key(name)) for name in names]
            back = [admission(key=key(name)) for name in reversed(names)]

            outcomes = await asyncio.gather(storage.write(there), other.write(back))

            admitted = [isinstance(each, Admitted) for batch in outcomes for each in batch]
            assert sum(admitted) == 8

    async def test_a_start_sent_again_is_answered_as_the_first_time(self, storage: Storage) -> None:
        batch = [admission(key=key(), objects=[Object("large", b"1")]), admission(), kept("x")]
        first = await storage.write(batch)

        again = await storage.write(batch)

        assert again == first
        assert len(await storage.list(RunQuery("default"))) == 3

    async def test_a_key_lasts_as_long_as_its_run(self, storage: Storage) -> None:
        first = admission(key=key(expires=NOW))
        number = await admit(storage, first)

        await storage.expire(Millis(NOW + 10 * _DAY), 10)
        assert await write(storage, admission(key=key())) == Joined(first.run.id)
        await written(storage, success(number, 3))
        await storage.expire(Millis(NOW + 10 * _DAY), 10)

        assert await write(storage, admission(key=key())) == Joined(first.run.id)

    async def test_a_key_outlives_its_deleted_run_until_its_time_has_come(
        self, storage: Storage
    ) -> None:
        first = admission(key=key(expires=Millis(NOW + _DAY)))
        number = await admit(storage, first)
        await written(storage, success(number, 3))
        await storage.delete(first.run.id)

        await storage.expire(Millis(NOW + _DAY - 1), 10)
        assert await write(storage, admission(key=key())) == Joined(first.run.id)
        await storage.expire(Millis(NOW + _DAY), 10)

        assert isinstance(await write(storage, admission(key=key())), Admitted)

    async def test_what_was_admitted_is_there_for_every_other_storage(
        self, database: Database, storage: Storage, other: Storage
    ) -> None:
        first = admission(key=key())
        number = await admit(storage, first)
        await written(other, cancel(number, 3))

        third = await database.open()

        assert len(await third.read(number)) == 3
        assert await write(third, admission(key=key())) == Joined(first.run.id)
