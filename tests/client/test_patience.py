"""How long a client goes on trying."""

import pytest

from forebay.client import Patience, Unreachable


class Time:
    """Seconds that a test passes by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def patience(seconds: float, time: Time, chance: float = 1.0) -> Patience:
    return Patience(seconds, now=time, chance=lambda: chance)


def pauses(patience: Patience, time: Time, count: int) -> list[float]:
    """Fail so often, and wait as told."""
    found: list[float] = []
    for _ in range(count):
        found.append(patience.after(Unreachable("away")))
        time.now += found[-1]
    return found


def test_the_first_try_follows_at_once_and_then_pauses_double() -> None:
    time = Time()
    assert pauses(patience(60, time), time, 5) == pytest.approx([0, 0.2, 0.4, 0.8, 1.6])


def test_pauses_have_an_end() -> None:
    time = Time()
    assert max(pauses(patience(600, time), time, 30)) == 5.0


def test_chance_shortens_pauses_by_up_to_a_half() -> None:
    time = Time()
    assert pauses(patience(60, time, 0.0), time, 3) == pytest.approx([0, 0.1, 0.2])


def test_patience_ends_with_the_error() -> None:
    time = Time()
    with pytest.raises(Unreachable, match="away"):
        pauses(patience(10, time), time, 100)
    assert 1004 < time.now <= 1010


def test_without_patience_the_first_failure_is_the_last() -> None:
    with pytest.raises(Unreachable):
        patience(0, Time()).after(Unreachable("away"))


def test_a_server_that_asks_for_time_gets_it() -> None:
    assert patience(60, Time()).after(Unreachable("busy"), 7.0) == 7.0
    with pytest.raises(Unreachable):
        patience(60, Time()).after(Unreachable("busy"), 61.0)


def test_a_sign_of_life_restores_patience_but_not_haste() -> None:
    time = Time()
    waiting = patience(10, time)
    pauses(waiting, time, 4)
    waiting.restored()
    time.now += 8.0
    assert waiting.after(Unreachable("away")) == pytest.approx(1.6)


def test_something_new_restores_haste_too() -> None:
    time = Time()
    waiting = patience(10, time)
    pauses(waiting, time, 4)
    waiting.rewarded()
    assert waiting.after(Unreachable("away")) == 0.0
