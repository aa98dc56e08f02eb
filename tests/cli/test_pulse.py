"""When a child is given up, and when it is not."""

import os

import pytest

from forebay.cli.pulse import Pulse, Signs, signs_of
from forebay.core.clock import Millis

IDLE = Signs(is_stopped=False, is_runnable=False, cpu_seconds=1.0, resident_bytes=50 << 20)
STOPPED = IDLE._replace(is_stopped=True)


def pulse(*, memory: int = 0, beaten: bool = True) -> Pulse:
    """A child that may be silent for 10 s."""
    made = Pulse(10, memory, Millis(0))
    if beaten:
        made.beat(Millis(0))
    return made


def first_verdict(child: Pulse, signs: Signs, *, until: int, cpu_per_second: float = 0.0) -> int:
    """After how many seconds of looking once a second the child is given up; 0: not until then."""
    for second in range(1, until + 1):
        seen = signs._replace(cpu_seconds=signs.cpu_seconds + second * cpu_per_second)
        if child.judge(seen, Millis(second * 1000)):
            return second
    return 0


def test_a_silent_child_that_does_nothing_is_given_up_after_the_bound() -> None:
    assert first_verdict(pulse(), IDLE, until=60) == 11


def test_a_silent_child_that_uses_cpu_is_busy() -> None:
    assert first_verdict(pulse(), IDLE, until=600, cpu_per_second=0.5) == 0


def test_a_silent_child_that_would_use_cpu_but_gets_none_is_busy() -> None:
    assert first_verdict(pulse(), IDLE._replace(is_runnable=True), until=600) == 0


def test_what_a_waiting_process_uses_does_not_count() -> None:
    assert first_verdict(pulse(), IDLE, until=60, cpu_per_second=0.005) == 11


def test_what_it_used_before_it_fell_silent_does_not_count() -> None:
    child = pulse()
    child.beat(Millis(3_600_000))
    used = IDLE._replace(cpu_seconds=3_000)
    verdicts = [child.judge(used, Millis(3_600_000 + second * 1000)) for second in range(1, 12)]
    assert verdicts[:-1] == [None] * 10
    assert verdicts[-1] == "it said nothing and used no CPU for 10 s"


def test_a_single_look_proves_nothing() -> None:
    child = pulse()
    assert child.judge(IDLE, Millis(60_000)) is None
    busy = IDLE._replace(cpu_seconds=IDLE.cpu_seconds + 0.5)
    assert child.judge(busy, Millis(61_000)) is None
    assert child.judge(busy, Millis(72_000)) is not None


def test_a_busy_child_that_is_stopped_gets_the_whole_bound() -> None:
    child = pulse()
    assert first_verdict(child, IDLE, until=100, cpu_per_second=1.0) == 0
    stopped = STOPPED._replace(cpu_seconds=101.0)
    assert child.judge(stopped, Millis(109_000)) is None
    assert child.judge(stopped, Millis(111_000)) == "it was stopped for 10 s"


def test_a_beat_begins_the_bound_anew() -> None:
    child = pulse()
    child.judge(IDLE, Millis(9_000))
    child.beat(Millis(9_500))
    assert child.judge(IDLE, Millis(11_000)) is None
    assert child.judge(IDLE, Millis(19_000)) is None
    assert child.judge(IDLE, Millis(20_000)) is not None


def test_who_was_away_himself_begins_anew() -> None:
    child = pulse()
    child.forgive(Millis(3_600_000))
    assert child.judge(STOPPED, Millis(3_601_000)) is None
    assert child.judge(STOPPED, Millis(3_610_000)) is None
    assert child.judge(STOPPED, Millis(3_611_000)) is not None


def test_a_child_that_has_not_begun_may_take_its_time_unless_it_is_stopped() -> None:
    assert first_verdict(pulse(beaten=False), IDLE, until=600) == 0
    assert first_verdict(pulse(beaten=False), STOPPED, until=600) == 11


def test_a_child_that_takes_too_much_memory_is_given_up_at_once() -> None:
    child = pulse(memory=49 << 20)
    assert child.judge(IDLE, Millis(1)) == "it used 50 MiB of memory, and may use 49"


def test_the_system_is_asked_only_about_the_silent_unless_memory_counts() -> None:
    assert not pulse().is_in_question(Millis(2_000))
    assert pulse().is_in_question(Millis(3_000))
    assert pulse(memory=1).is_in_question(Millis(0))


def test_the_system_knows_us() -> None:
    before = signs_of(os.getpid())
    assert before is not None
    assert not before.is_stopped
    assert before.is_runnable
    assert before.resident_bytes > 10 << 20
    while (now := signs_of(os.getpid())) and now.cpu_seconds <= before.cpu_seconds:
        pass
    assert now is not None


def test_of_a_process_that_is_gone_the_system_says_nothing() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit"], {})
    os.waitpid(pid, 0)
    assert signs_of(pid) is None


@pytest.mark.parametrize("seconds", [3, 15])
def test_the_reason_tells_the_bound(seconds: int) -> None:
    child = Pulse(seconds, 0, Millis(0))
    child.judge(STOPPED, Millis(1_000))
    assert child.judge(STOPPED, Millis(60_000)) == f"it was stopped for {seconds} s"
