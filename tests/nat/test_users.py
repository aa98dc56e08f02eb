"""What is built for users: kept while it is used, and for a while after."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from forebay.builtins.agents.nat.owned import Owned
from forebay.builtins.agents.nat.users import Users
from forebay.testing.clock import ManualClock
from tests.support.waiting import settle

IDLE_SECONDS = 60
VARIABLE = ContextVar("VARIABLE", default="outside")


class Things:
    """Makes things, and knows which are there."""

    def __init__(self) -> None:
        self.here: list[str] = []
        self.tasks: list[object] = []

    def make(self, name: str, *, fails: bool = False) -> Owned[str]:
        @asynccontextmanager
        async def thing() -> AsyncGenerator[str]:
            if fails:
                raise ConnectionError(name)
            self.here.append(name)
            self.tasks.append(asyncio.current_task())
            yield name + VARIABLE.get()
            self.here.remove(name)
            self.tasks.append(asyncio.current_task())

        return Owned(thing, name)


async def test_what_is_owned_is_entered_and_left_in_one_task_with_its_own_context():
    things = Things()
    VARIABLE.set("inside")
    owned = things.make("a")
    assert await owned.failure() is None
    assert owned.value == "aoutside"
    await owned.aclose()
    assert things.here == []
    entered, left = things.tasks
    assert entered is left


async def test_everybody_hears_why_something_could_not_be_entered():
    owned = Things().make("a", fails=True)
    failures = await asyncio.gather(owned.failure(), owned.failure())
    assert [str(failure) for failure in failures] == ["a", "a"]
    assert owned.is_over
    await owned.aclose()


async def test_what_cannot_be_entered_for_long_can_be_closed():
    @asynccontextmanager
    async def never() -> AsyncGenerator[str]:
        await asyncio.Event().wait()
        yield ""

    owned = Owned(never, "never")
    await settle()
    await owned.aclose()
    assert owned.is_over


async def test_what_leaving_raises_is_logged(caplog: pytest.LogCaptureFixture):
    @asynccontextmanager
    async def broken() -> AsyncGenerator[str]:
        yield ""
        raise ConnectionError("gone")

    owned = Owned(broken, "broken")
    await owned.failure()
    await owned.aclose()
    assert "broken did not end well: ConnectionError('gone')" in caplog.text


class Kept:
    """Users, with things."""

    def __init__(self, most_idle: int = 10) -> None:
        self.clock = ManualClock()
        self.things = Things()
        self.users: Users[str, str] = Users(IDLE_SECONDS, most_idle, self.clock)

    async def take(self, name: str) -> Owned[str]:
        owned = self.users.take(name, lambda: self.things.make(name))
        await owned.failure()
        return owned

    async def use(self, name: str) -> None:
        self.users.give_back(name, await self.take(name))


async def test_a_user_gets_the_same_again_until_he_stays_away_for_too_long():
    kept = Kept()
    await kept.use("a")
    kept.clock.advance(IDLE_SECONDS)
    kept.users.dismiss_idle()
    await kept.use("a")
    assert len(kept.things.tasks) == 1
    kept.clock.advance(IDLE_SECONDS + 1)
    kept.users.dismiss_idle()
    await kept.users.aclose()
    assert kept.things.here == []


async def test_what_is_in_use_stays_however_long_that_takes():
    kept = Kept()
    first, second = await kept.take("a"), await kept.take("a")
    assert first is second
    kept.users.give_back("a", first)
    kept.clock.advance(IDLE_SECONDS * 10)
    kept.users.dismiss_idle()
    assert len(kept.users) == 1
    kept.users.give_back("a", second)
    await kept.users.aclose()


async def test_of_too_many_who_are_idle_the_one_who_left_first_goes():
    kept = Kept(most_idle=2)
    for name in ("a", "b", "a", "c", "d"):
        await kept.use(name)
    await settle()
    assert kept.things.here == ["c", "d"]
    await kept.users.aclose()


async def test_what_could_not_be_entered_is_made_anew_for_the_next():
    kept = Kept()
    failed = kept.users.take("a", lambda: kept.things.make("a", fails=True))
    assert isinstance(await failed.failure(), ConnectionError)
    made = await kept.take("a")
    kept.users.give_back("a", failed)
    kept.users.give_back("a", made)
    assert kept.things.here == ["a"]
    await kept.users.aclose()
