"""A queued job that speaks as fast as it can: worker, server, client."""

import statistics
from collections.abc import Sequence

from bench.measure import Figure
from bench.queued import warm_up
from bench.relayed import Relayed, follow_job
from bench.report import Goal, Row
from bench.stage import Stage

_OWN_EVENTS = 3
_SLEEP_MS = 300


def rows(stage: Stage) -> Sequence[Row]:
    """One client is attached before the job begins to speak."""
    events = stage.sizes.burst_events
    stage.tell(f"relay: a job of {events:,} events across processes")
    text = f"sleep={_SLEEP_MS} chunks={events}"
    with stage.forebay() as server:
        stage.client.run(warm_up, server.target)
        crew = server.crew()
        rounds = [
            stage.client.run(follow_job, server.target, crew, text, frames=events + _OWN_EVENTS)
            for _ in range(stage.sizes.rounds)
        ]
    cpu = [each.used.together.cpu / each.frames * 1e6 for each in rounds]
    middle = statistics.median_low(cpu)
    shares = rounds[cpu.index(middle)].used.told_per(rounds[0].frames)
    rate = [each.frames / each.seconds for each in rounds]
    return [
        _row(f"{events:,} events, CPU", rounds, Figure.of(cpu, "µs"), Goal(25), shares),
        _row(
            f"{events:,} events, rate",
            rounds,
            Figure.of(rate, "events/s"),
            Goal(30_000, at_least=True),
        ),
    ]


def _row(name: str, rounds: Sequence[Relayed], figure: Figure, goal: Goal, note: str = "") -> Row:
    return Row(
        group="relay",
        name=name,
        durability="durable",
        connections=1,
        counted="CPU of supervisor, API process and worker together per event, from the moment "
        "the client is attached; rate from the first event's time to the last frame",
        figure=figure,
        goal=goal,
        frames=sum(each.frames for each in rounds),
        note=note,
    )
