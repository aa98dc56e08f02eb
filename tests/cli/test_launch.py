"""What a child is told, and how long its supervisor waits before the next one."""

import pytest

from forebay.cli.launch import AsChild
from forebay.cli.supervise import Falls


@pytest.mark.parametrize(
    "told",
    [AsChild("api", True, 7, [3, 4]), AsChild("api", False, 7, [3]), AsChild("worker", True, 5)],
)
def test_what_a_child_is_told_comes_back_as_it_was(told: AsChild) -> None:
    read = AsChild.read(str(told))
    assert (*read[:3], list(read.sockets)) == (*told[:3], list(told.sockets))


def test_one_that_lived_is_followed_at_once() -> None:
    falls = Falls()
    assert [falls.pause_seconds(60) for _ in range(5)] == [0] * 5


def test_those_that_die_at_once_are_followed_later_and_later() -> None:
    falls = Falls()
    pauses = [falls.pause_seconds(0.2) for _ in range(12)]
    assert pauses[:4] == [0, 0, 0.5, 1]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5
    falls.pause_seconds(60)
    assert falls.pause_seconds(0.2) == 0
