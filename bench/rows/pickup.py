"""From a submission to its agent, through the queue and a worker process."""

from collections.abc import Sequence

from bench.agents import SERVED
from bench.measure import Figure, quantile
from bench.queued import pickups, warm_up
from bench.report import Goal, Row
from bench.stage import Stage


def rows(stage: Stage) -> Sequence[Row]:
    """One submission every 20 ms; the worker has nothing else to do, and is warm."""
    stage.tell(f"pickup: {stage.sizes.pickups} submissions, one every 20 ms")
    with stage.forebay(SERVED) as server:
        stage.client.run(warm_up, server.target)
        found = [
            stage.client.run(pickups, server.target, stage.sizes.pickups)
            for _ in range(stage.sizes.latency_rounds)
        ]
    return [_row("p50", found, 0.5, 10), _row("p99", found, 0.99, 50)]


def _row(name: str, rounds: Sequence[Sequence[float]], part: float, limit: float) -> Row:
    return Row(
        group="pickup",
        name=name,
        durability="durable",
        connections=1,
        counted="wall time from just before the request until its agent is called in the worker; "
        "one every 20 ms; quantile of each round",
        figure=Figure.of([quantile(values, part) for values in rounds], "ms"),
        goal=Goal(limit),
        note=f"{len(rounds[0]):,} submissions in each round",
    )
