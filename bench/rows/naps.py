"""Queued runs that mostly wait, all on one worker, against the same as plain coroutines."""

from collections.abc import Sequence

from bench import servers
from bench.agents import SERVED
from bench.measure import Figure
from bench.queued import occupy, queued_naps, seconds_of_coroutines, seconds_of_runs
from bench.report import Goal, Row
from bench.stage import Stage

_TIMES = 20
_MILLISECONDS = 20


def rows(stage: Stage) -> Sequence[Row]:
    """They are queued while nobody takes them; then a worker is started."""
    count = stage.sizes.napping_runs
    stage.tell(f"naps: {count} queued runs, each with {_TIMES} naps of {_MILLISECONDS} ms")
    # The server executes queued runs itself, one at a time, and that one never ends.
    full = {"FOREBAY_RUN_WORKERS": "0", "FOREBAY_CONCURRENCY": "1"}
    database = str(stage.new_database())
    ours: list[float] = []
    plain: list[float] = []
    with servers.forebay(stage.folder, database, {**SERVED, **full}) as server:
        stage.client.run(occupy, server.target)
        for _ in range(min(3, stage.sizes.rounds)):
            nap = {"times": _TIMES, "milliseconds": _MILLISECONDS}
            plain.append(stage.client.run(seconds_of_coroutines, count, **nap))
            stage.client.run(queued_naps, server.target, count, nap)
            room = {"FOREBAY_CONCURRENCY": str(count)}
            with servers.worker(stage.folder, database, {**SERVED, **room}):
                ours.append(stage.client.run(seconds_of_runs, server.target, count))
    pairs = zip(ours, plain, strict=True)
    ratio = Figure.of([run / coroutine for run, coroutine in pairs], "x")
    return [
        _row("plain coroutines", count, Figure.of(plain, "s")),
        _row(f"one worker, concurrency {count}", count, Figure.of(ours, "s"), ratio),
    ]


def _row(name: str, count: int, figure: Figure, ratio: Figure | None = None) -> Row:
    return Row(
        group="naps",
        name=name,
        durability="durable" if ratio else "none",
        connections=0,
        counted=f"wall time of {count} runs with {_TIMES} naps of {_MILLISECONDS} ms each, from "
        "the first start to the last end as their logs tell",
        figure=figure,
        ratio=ratio,
        goal=Goal(2, "ratio") if ratio else None,
    )
