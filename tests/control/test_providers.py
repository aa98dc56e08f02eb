"""Watching providers: what /ready tells of models that cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from forebay.control.providers import ProviderWatch
from forebay.ports.models import Finding
from forebay.testing.clock import ManualClock
from tests.support.models import PlayedModel
from tests.support.waiting import until


@dataclass(slots=True)
class Failing(PlayedModel):
    """A model whose provider is away for some looks."""

    plays: list[list[object]] = field(default_factory=list[list[object]])  # pyright: ignore[reportIncompatibleVariableOverride]
    away: int = 0
    looks: int = 0
    raises: Exception | None = None

    async def validate(self, *, dry_call: bool = True) -> Sequence[Finding]:
        assert not dry_call
        if self.raises is not None:
            raise self.raises
        self.looks += 1
        is_away = self.looks <= self.away
        return [Finding("reachable", not is_away, f"{self.name} is away." if is_away else "")]


async def test_a_provider_that_is_away_is_named_until_it_is_back() -> None:
    clock = ManualClock()
    good, bad = Failing("good"), Failing("bad", away=2)
    watch = ProviderWatch([good, bad], clock)
    assert watch.problems == []
    watch.start()
    await until(lambda: bad.looks == 1)
    assert watch.problems == ["bad is away."]
    for looks in (2, 3):
        clock.advance(20)
        await until(lambda looks=looks: bad.looks == looks)
    assert watch.problems == []
    assert good.looks == 1
    await watch.aclose()


async def test_without_models_there_is_nothing_to_watch() -> None:
    watch = ProviderWatch([], ManualClock())
    watch.start()
    await watch.aclose()
    assert watch.problems == []


async def test_a_plugin_that_raises_is_a_problem_too() -> None:
    watch = ProviderWatch([Failing("odd", raises=KeyError("x"))], ManualClock())
    watch.start()
    await until(lambda: bool(watch.problems))
    assert watch.problems == ["odd cannot be looked at: KeyError."]
    await watch.aclose()
