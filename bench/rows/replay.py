"""Replaying a long finished run through HTTP."""

from collections.abc import Sequence
from contextlib import ExitStack

from bench.connection import Target
from bench.load import Pressure, produce, repeat
from bench.measure import Figure, Load, cpu_figure
from bench.native import events_ask
from bench.postgres import NoPostgres, postgres
from bench.report import Goal, Row
from bench.servers import NotStarted, forebay
from bench.stage import Stage

_OWN_EVENTS = 3
_BYTES = 24
_EVENTS_PER_SECOND = 250_000


def rows(stage: Stage) -> Sequence[Row]:
    """Produced once, replayed several times."""
    stage.tell(f"replay: {stage.sizes.replay_events:,} events")
    with stage.forebay() as server:
        found = _rows(stage, "SQLite", 1.5, _replays(stage, server.target))
    try:
        with ExitStack() as stack:
            url = stack.enter_context(postgres(stage.folder))
            settings = {"FOREBAY_AUTO_MIGRATE": "true"}
            server = stack.enter_context(forebay(stage.folder, url, settings))
            found += _rows(stage, "PostgreSQL", 3, _replays(stage, server.target))
    except (NoPostgres, NotStarted) as error:
        found += _rows(stage, "PostgreSQL", 3, [], note=str(error))
    return found


def _replays(stage: Stage, target: Target) -> list[Load]:
    events = stage.sizes.replay_events
    path = stage.client.run(produce, target, {"input": f"chunks={events} bytes={_BYTES}"})
    asked = events_ask(path, frames=events + _OWN_EVENTS)
    rounds: list[Load] = []
    for _ in range(stage.sizes.rounds + 1):
        load = stage.client.run(repeat, target, asked, Pressure(connections=1, count=1))
        rounds.append(Load(load.frames, load.used, load.frames))
    return rounds[1:]  # the first one warms up


def _rows(
    stage: Stage, database: str, limit: float, loads: Sequence[Load], note: str = ""
) -> list[Row]:
    cpu = cpu_figure(loads, "µs") if loads else None
    fast_enough = Goal(_EVENTS_PER_SECOND, at_least=True)
    rate = Figure.of([load.per_second for load in loads], "events/s") if loads else None
    return [
        _row(stage, f"{database}, CPU", loads, cpu, Goal(limit), note),
        _row(stage, f"{database}, rate", loads, rate, fast_enough, note),
    ]


def _row(
    stage: Stage, name: str, loads: Sequence[Load], figure: Figure | None, goal: Goal, note: str
) -> Row:
    return Row(
        group="replay",
        name=name,
        durability="durable",
        connections=1,
        counted=f"CPU of the API process per event, and wall; {stage.sizes.replay_events:,} events "
        f"of {_BYTES} bytes of text, one connection",
        figure=figure,
        goal=goal,
        frames=sum(load.frames for load in loads),
        note=note,
    )
