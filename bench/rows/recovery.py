"""The only worker is killed in the middle of a job that is followed."""

from collections.abc import Sequence

from bench.measure import Figure
from bench.queued import warm_up
from bench.relayed import seconds_to_recover
from bench.report import Goal, Row
from bench.stage import Stage

_PIECES = 3
_DELAY_MS = 50


def rows(stage: Stage) -> Sequence[Row]:
    """A new server for each round: a worker that dies often is started later and later."""
    stage.tell("recovery: the only worker is killed in the middle of a job")
    rounds = [_measure(stage) for _ in range(stage.sizes.recoveries)]
    return [
        Row(
            group="recovery",
            name="kill -9 of the worker, until the next piece",
            durability="durable",
            connections=1,
            counted="wall time until the client hears a new piece of the next attempt; echo says "
            f"one every {_DELAY_MS} ms, and the {_PIECES} it had said are not said again",
            figure=Figure.of(rounds, "s"),
            goal=Goal(2),
        )
    ]


def _measure(stage: Stage) -> float:
    with stage.forebay() as server:
        stage.client.run(warm_up, server.target)
        worker = server.crew().worker
        return stage.client.run(
            seconds_to_recover, server.target, worker, pieces=_PIECES, delay=_DELAY_MS
        )
