"""Journalled steps that do nothing: many runs at once, and one alone against plain commits."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.agents import SERVED
from bench.connection import Ask, Target
from bench.measure import Crew, Figure, Shares, interleaved
from bench.native import background
from bench.queued import cpu_until_final, warm_up
from bench.report import Goal, Row
from bench.stage import Stage

_SLEEP_MS = 1_000
_COMMIT = "an event of its own commit, one run alone"
_ALONE = "a step, one run alone"


def rows(stage: Stage) -> Sequence[Row]:
    """The runs sleep first: admitting and taking them is not measured."""
    sizes = stage.sizes
    stage.tell(f"steps: {sizes.stepping_runs} runs of {sizes.steps_each} steps, then one alone")
    crowd = f"a step, {sizes.stepping_runs} runs at once"
    operations = {
        crowd: sizes.stepping_runs * sizes.steps_each,
        _COMMIT: sizes.steps_alone,
        _ALONE: sizes.steps_alone,
    }
    with stage.forebay(SERVED) as server:
        stage.client.run(warm_up, server.target)
        measure = partial(_measure, stage, server.target, server.crew())
        sides: dict[str, Callable[[], Shares]] = {
            crowd: partial(measure, _walk(sizes.steps_each), sizes.stepping_runs),
            _COMMIT: partial(measure, _talk(sizes.steps_alone), 1),
            _ALONE: partial(measure, _walk(sizes.steps_alone), 1),
        }
        found = interleaved(min(3, sizes.rounds), sides)
    goals = {crowd: Goal(60), _ALONE: Goal(2.5, "ratio")}
    return [_row(name, operations, found, goals.get(name)) for name in sides]


def _walk(steps: int) -> Ask:
    return background("walk", {"sleep": _SLEEP_MS, "steps": steps})


def _talk(events: int) -> Ask:
    return background("echo", f"sleep={_SLEEP_MS} chunks={events} delay=1")


def _measure(stage: Stage, target: Target, crew: Crew, asked: Ask, count: int) -> Shares:
    return stage.client.run(cpu_until_final, target, crew, asked, count, asleep=_SLEEP_MS / 1000)


def _row(
    name: str,
    operations: Mapping[str, int],
    found: Mapping[str, Sequence[Shares]],
    goal: Goal | None,
) -> Row:
    cpu = _micros(found[name], operations[name])
    middle = statistics.median_low(cpu)
    commits = zip(cpu, _micros(found[_COMMIT], operations[_COMMIT]), strict=True)
    ratio = Figure.of([step / commit for step, commit in commits], "x")
    return Row(
        group="steps",
        name=name,
        durability="durable",
        connections=0,
        counted="CPU of supervisor, API process and worker together per step or event; nobody "
        "follows; ratio to an event that is a commit of its own",
        figure=Figure.of(cpu, "µs"),
        ratio=None if name == _COMMIT else ratio,
        goal=goal,
        note=found[name][cpu.index(middle)].told_per(operations[name]),
    )


def _micros(shares: Sequence[Shares], operations: int) -> list[float]:
    return [each.together.cpu / operations * 1e6 for each in shares]
