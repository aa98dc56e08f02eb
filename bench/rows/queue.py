"""Runs that do nothing, through the queue and one worker process."""

import statistics
from collections.abc import Sequence

from bench.agents import SERVED
from bench.measure import Figure
from bench.queued import Drained, through_the_queue, warm_up
from bench.report import Goal, Row
from bench.stage import Stage


def rows(stage: Stage) -> Sequence[Row]:
    """Submitted by 16 connections while the worker executes them."""
    stage.tell(f"queue: {stage.sizes.queued_runs:,} runs that do nothing")
    rounds = [_measure(stage) for _ in range(min(3, stage.sizes.rounds))]
    rate = Figure.of([each.runs / each.seconds for each in rounds], "runs/s")
    cpu = [each.used.together.cpu / each.runs * 1e6 for each in rounds]
    return [
        _row("end to end", rate, Goal(1_000, at_least=True)),
        _row("CPU of all three processes, each run", Figure.of(cpu, "µs"), None, _told(rounds)),
    ]


def _measure(stage: Stage) -> Drained:
    with stage.forebay(SERVED) as server:
        stage.client.run(warm_up, server.target)
        return stage.client.run(
            through_the_queue, server.target, server.crew(), stage.sizes.queued_runs
        )


def _told(rounds: Sequence[Drained]) -> str:
    middle = statistics.median_low([each.used.together.cpu for each in rounds])
    return next(
        each.used.told_per(each.runs) for each in rounds if each.used.together.cpu == middle
    )


def _row(name: str, figure: Figure, goal: Goal | None, note: str = "") -> Row:
    return Row(
        group="queue",
        name=name,
        durability="durable",
        connections=16,
        counted="from the first request to the last run's end; supervisor, API process and one "
        "worker, which share a core",
        figure=figure,
        goal=goal,
        note=note,
    )
