"""Clients that follow runs which say nothing."""

from collections.abc import Sequence
from contextlib import ExitStack

from bench.following import Idleness, idle_followers
from bench.measure import Figure, Reading
from bench.report import Goal, Row
from bench.servers import client_cores, forebay
from bench.stage import Stage

_RUNS = 10
_OTHERS_PER_SECOND = 150


def rows(stage: Stage) -> Sequence[Row]:
    """Alone, and while another server on the same file commits and rings."""
    sizes = stage.sizes
    stage.tell(f"followers: {sizes.followers:,} that hear nothing")
    database = str(stage.new_database())
    with ExitStack() as stack:
        ours = stack.enter_context(forebay(stage.folder, database)).target
        other = stack.enter_context(forebay(stage.folder, database, cores=client_cores())).target
        found = stage.client.run(
            idle_followers,
            ours,
            other,
            followers=sizes.followers,
            runs=_RUNS,
            seconds=sizes.idle_seconds,
            per_second=_OTHERS_PER_SECOND,
        )
    return [
        _row("resident memory, each", found, found.bytes_each / 1024, "KiB", 14),
        _row("CPU, nothing else happens", found, _percent(found.idle), "%", 1),
        _row(
            f"CPU beside {_OTHERS_PER_SECOND} runs per second of another server",
            found,
            _percent(found.beside_others),
            "%",
            3,
            f"{found.other_runs:,} runs with {found.other_commits:,} commits, none followed",
        ),
    ]


def _percent(used: Reading) -> float:
    return 100 * used.cpu / used.wall


def _row(name: str, found: Idleness, value: float, unit: str, limit: float, note: str = "") -> Row:
    return Row(
        group="followers",
        name=name,
        durability="durable",
        connections=found.followers,
        counted=f"the API process whose {_RUNS} sleeping runs are followed; "
        "buffers of the kernel are not counted",
        figure=Figure.of([value], unit),
        goal=Goal(limit),
        wall=f"over {found.idle.wall:.1f} s" if unit == "%" else "",
        note=note,
    )
