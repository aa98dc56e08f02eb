"""A durable background run into one client that was attached before the run began to speak.

The API process executes the run itself; `relay` measures the same across processes.
"""

import statistics
from collections.abc import Sequence

from bench.connection import Target
from bench.load import follow_background_run
from bench.measure import Figure, Load, cpu_figure
from bench.report import Goal, Row
from bench.stage import Stage

_OWN_EVENTS = 3
_SLEEP_MS = 300
_READS = "forebay_page_reads_total"
_NO_WORKER = {"FOREBAY_RUN_WORKERS": "0"}


def rows(stage: Stage) -> Sequence[Row]:
    """As fast as it goes, and one event at a time."""
    stage.tell("burst: one durable run, all events at once, then one by one")
    sizes = stage.sizes
    with stage.forebay(_NO_WORKER) as server:
        burst = [_follow(stage, server.target, sizes.burst_events) for _ in range(sizes.rounds)]
        paced = [
            _follow(stage, server.target, sizes.paced_events, delay=1)
            for _ in range(min(3, sizes.rounds))
        ]
    return [
        _row(f"{sizes.burst_events:,} events, burst", burst, 15),
        _row(f"{sizes.paced_events:,} events, one per commit", paced, 350),
    ]


def _follow(
    stage: Stage, target: Target, events: int, *, delay: int = 0
) -> tuple[Load, dict[str, float]]:
    said = f"sleep={_SLEEP_MS} chunks={events} delay={delay}"
    return stage.client.run(
        follow_background_run, target, {"input": said}, frames=events + _OWN_EVENTS
    )


def _row(name: str, measured: Sequence[tuple[Load, dict[str, float]]], limit: float) -> Row:
    loads = [load for load, _ in measured]
    commits = statistics.median(rose["forebay_commits_total"] for _, rose in measured)
    reads = [rose[_READS] for _, rose in measured if _READS in rose]
    read_note = f", {statistics.median(reads):g} page reads" if reads else ""
    seconds = Figure.of([load.used.wall for load in loads], "s")
    return Row(
        group="burst",
        name=name,
        durability="durable",
        connections=1,
        counted="CPU of the API process, which executes the run itself, per event, from the "
        "moment the client is attached",
        figure=cpu_figure(loads, "µs"),
        goal=Goal(limit),
        frames=sum(load.frames for load in loads),
        wall=f"{seconds.median:.2f} s with {_SLEEP_MS / 1000:g} s of sleep in front",
        note=f"{commits:,.0f} commits{read_note}",
    )
