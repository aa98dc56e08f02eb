"""The groups of rows, by the name that `--only` takes. Each measures its own servers."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from bench.report import Row
from bench.stage import Stage

from . import (
    burst,
    chunks,
    followers,
    idle,
    latency,
    models,
    naps,
    paced,
    pickup,
    queue,
    recovery,
    relay,
    replay,
    start,
    steps,
    wait,
)

Group: TypeAlias = Callable[[Stage], Sequence[Row]]

GROUPS: Mapping[str, Group] = {
    "start": start.rows,
    "wait": wait.rows,
    "chunks": chunks.rows,
    "paced": paced.rows,
    "burst": burst.rows,
    "latency": latency.rows,
    "replay": replay.rows,
    "followers": followers.rows,
    "pickup": pickup.rows,
    "queue": queue.rows,
    "naps": naps.rows,
    "relay": relay.rows,
    "steps": steps.rows,
    "models": models.rows,
    "idle": idle.rows,
    "recovery": recovery.rows,
}
