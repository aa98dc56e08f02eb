"""A worker process that has nothing to do."""

import time
from collections.abc import Sequence

from bench.measure import Figure, resident_bytes
from bench.queued import warm_up
from bench.report import Goal, Row
from bench.stage import Stage

_MB = 1_000_000
_SETTLE_SECONDS = 2.0


def rows(stage: Stage) -> Sequence[Row]:
    """Some runs after its start, so that everything it needs is loaded."""
    seconds = stage.sizes.idle_seconds
    stage.tell(f"idle: a worker without work, for {seconds:g} s")
    with stage.forebay() as server:
        stage.client.run(warm_up, server.target)
        crew = server.crew()
        time.sleep(_SETTLE_SECONDS)
        before = crew.read()
        time.sleep(seconds)
        used = crew.read().since(before)
        memory = [resident_bytes(pid) / _MB for pid in (crew.worker, crew.supervisor)]
    cpu = [100 * each / used.wall for each in (used.worker, used.supervisor, used.api)]
    others = f"supervisor {cpu[1]:.2f} %, API process {cpu[2]:.2f} %"
    return [
        _row("CPU of the worker", Figure.of(cpu[:1], "%"), 1, others),
        _row("resident memory", Figure.of(memory[:1], "MB"), 80, f"supervisor {memory[1]:.1f} MB"),
    ]


def _row(name: str, figure: Figure, limit: float, note: str) -> Row:
    return Row(
        group="idle",
        name=name,
        durability="durable",
        connections=0,
        counted="the worker process of `forebay serve`, with the built-in agents",
        figure=figure,
        goal=Goal(limit),
        note=note,
    )
