"""Time: two clocks, and how a time is written."""

import asyncio
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.clock import Millis, SystemClock, boot_id, rfc3339
from forebay.testing.clock import ManualClock
from tests.support.waiting import settle


def test_the_system_clocks_go_forward():
    clock = SystemClock()
    assert clock.boot() <= clock.boot()
    assert clock.now() > 1_700_000_000_000


def test_the_name_of_this_boot_stays_the_same():
    assert boot_id() == boot_id() != ""
    assert "/" not in boot_id()


async def test_sleeping_on_the_system_clock_ends():
    await SystemClock().sleep(0)
    await SystemClock().sleep(0.001)


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_written_with_milliseconds_in_utc(at: int):
    text = rfc3339(Millis(at))
    assert len(text) == len("2026-01-01T00:00:00.000Z")
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert round(read.timestamp() * 1000) == at


def test_a_known_time():
    assert rfc3339(Millis(1_767_225_600_007)) == "2026-01-01T00:00:00.007Z"


# --- the clock of tests -------------------------------------------------------------------------


async def test_a_manual_clock_stands_still_until_it_is_advanced():
    clock = ManualClock(now=1000, boot=50)
    order: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        order.append(name)

    tasks = [asyncio.create_task(sleep(name, seconds)) for name, seconds in
             (("late", 2.0), ("soon", 1.0))]  # fmt: skip
    await settle()
    assert (clock.now(), clock.boot(), order) == (1000, 50, [])
    clock.advance(0.999)
    await settle()
    assert order == []
    clock.advance(5)
    await asyncio.gather(*tasks)
    assert (clock.now(), clock.boot(), order) == (6999, 6049, ["soon", "late"])


async def test_no_sleep_on_a_manual_clock_lets_others_have_their_turn():
    turns: list[str] = []
    other = asyncio.create_task(settle())
    other.add_done_callback(lambda _: turns.append("other"))
    for _ in range(100):
        await ManualClock().sleep(0)
    assert turns == ["other"]


async def test_a_sleeper_that_gives_up_is_forgotten():
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await clock.sleep(1)
    assert clock.sleepers == 0
    clock.advance(2)


async def test_the_clocks_of_a_manual_clock_can_be_set_apart():
    clock = ManualClock(now=1000, boot=50)
    sleeper = asyncio.create_task(clock.sleep(1))
    await settle()
    clock.set_now(10**12)
    await settle()
    assert not sleeper.done()
    assert (clock.now(), clock.boot()) == (10**12, 50)
    clock.set_boot(1050)
    await sleeper
    assert (clock.now(), clock.boot()) == (10**12, 1050)
