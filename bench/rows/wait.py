"""`echo` in `wait` mode against a raw ASGI echo."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from bench.connection import Ask, Target, ask
from bench.load import Pressure, repeat
from bench.measure import Figure, Load, cpu_figure, interleaved, ratio_figure
from bench.report import Durability, Goal, Row
from bench.stage import Stage

_CONNECTIONS = 16
_MORE_ROUTES = 400
_TEXT = "hello big wide world"
_CEILING = "raw ASGI echo"


class _Setup(NamedTuple):
    """How our server is started."""

    keeps_light_runs: bool = True
    tells_ended_runs: bool = False
    more_routes: int = 0

    @property
    def settings(self) -> dict[str, str]:
        return {
            "FOREBAY_KEEP_LIGHT_RUNS": str(self.keeps_light_runs),
            "FOREBAY_LOG_LEVEL": "info" if self.tells_ended_runs else "warning",
        }


@dataclass(frozen=True, slots=True)
class _Side:
    """One variant of our server, and how it is asked."""

    name: str
    durability: Durability
    setup: _Setup
    limit: float | None = None
    like: str | None = None
    """The side that differs in the number of routes only."""

    def behind_more_routes(self) -> "_Side":
        setup = self.setup._replace(more_routes=_MORE_ROUTES)
        name = f"{self.name}; {_MORE_ROUTES} more routes"
        return replace(self, name=name, setup=setup, like=self.name)


_QUIET = _Setup()
_JUDGED = (
    _Side("light, without its write-behind", "light", _Setup(keeps_light_runs=False), 2),
    _Side("light, log written and backlog 0", "light", _QUIET, 3),
    _Side("durable", "durable", _QUIET, 6),
)
_SIDES = (
    *_JUDGED,
    *(side.behind_more_routes() for side in _JUDGED),
    _Side("light, log written; a line per ended run on", "light", _Setup(tells_ended_runs=True)),
)


def rows(stage: Stage) -> Sequence[Row]:
    """All variants round by round."""
    stage.tell("wait: 16 connections that ask and wait")
    with ExitStack() as stack:
        ceiling = stack.enter_context(stage.ceiling()).target
        setups = dict.fromkeys(side.setup for side in _SIDES)
        targets = {
            setup: stack.enter_context(
                stage.forebay(setup.settings, more_routes=setup.more_routes)
            ).target
            for setup in setups
        }
        measured: dict[str, Callable[[], Load]] = {
            _CEILING: partial(_measure, stage, ceiling, _raw_ask())
        }
        for side in _SIDES:
            drained = side.durability == "light" and side.setup.keeps_light_runs
            measured[side.name] = partial(
                _measure, stage, targets[side.setup], _our_ask(side), drained=drained
            )
        for warm_up in measured.values():
            warm_up()
        loads = interleaved(stage.sizes.rounds, measured)
    return [_row(_CEILING, "none", loads[_CEILING]), *(_our_row(side, loads) for side in _SIDES)]


def _measure(stage: Stage, target: Target, asked: Ask, *, drained: bool = False) -> Load:
    pressure = Pressure(connections=_CONNECTIONS, seconds=stage.sizes.seconds, drained=drained)
    return stage.client.run(repeat, target, asked, pressure)


def _raw_ask() -> Ask:
    return ask("POST", "/echo", {"input": _TEXT}, ends_with=(b'{"output":"hello big wide world"}',))


def _our_ask(side: _Side) -> Ask:
    return ask(
        "POST",
        "/api/runs",
        {"input": _TEXT, "durable": side.durability == "durable"},
        ends_with=(b'"output":"hello big wide world"', b'"status":"success"'),
    )


def _our_row(side: _Side, loads: dict[str, list[Load]]) -> Row:
    ours = loads[side.name]
    fewer = ratio_figure(ours, loads[side.like]) if side.like else None
    return _row(
        side.name,
        side.durability,
        ours,
        ratio=ratio_figure(ours, loads[_CEILING]),
        goal=Goal(side.limit, "ratio") if side.limit else None,
        note=f"{fewer.median:.2f} x the same without them" if fewer else "",
    )


def _row(
    name: str,
    durability: Durability,
    loads: Sequence[Load],
    *,
    ratio: Figure | None = None,
    goal: Goal | None = None,
    note: str = "",
) -> Row:
    rate = Figure.of([load.per_second for load in loads], "/s")
    return Row(
        group="wait",
        name=name,
        durability=durability,
        connections=_CONNECTIONS,
        counted="CPU of the API process per request; lines about ended runs off if not said "
        "otherwise",
        figure=cpu_figure(loads, "µs"),
        ratio=ratio,
        goal=goal,
        wall=f"{rate.median:,.0f} requests/s",
        note=note,
    )
