"""How soon a server answers, and how much memory it takes."""

from collections.abc import Sequence

from bench.connection import Target, ask
from bench.load import Pressure, repeat
from bench.measure import Figure, resident_bytes
from bench.native import stream_ask
from bench.report import Goal, Row
from bench.stage import Stage

_MB = 1_000_000
_CHUNKS = 200


def rows(stage: Stage) -> Sequence[Row]:
    """Start several times; put load on the last server, light and durable, blocking and streams."""
    stage.tell("start, and memory before and after load")
    seconds: list[float] = []
    idle: list[float] = []
    rounds = stage.sizes.rounds
    while True:
        with stage.forebay() as server:
            seconds.append(server.start_seconds)
            idle.append(resident_bytes(server.target.pid) / _MB)
            if len(seconds) == rounds:
                answers = _put_load_on(stage, server.target)
                loaded = resident_bytes(server.target.pid) / _MB
                break
    return [
        _row("first 200 of /ready", Figure.of(seconds, "s"), 1.0),
        _row("resident memory, idle", Figure.of(idle, "MB"), 60),
        _row("resident memory, after load", Figure.of([loaded], "MB"), 80, note=answers),
    ]


def _row(name: str, figure: Figure, limit: float, note: str = "") -> Row:
    return Row(
        group="start",
        name=name,
        durability="none",
        connections=0,
        counted="the API process, on a new SQLite file; wall time from the start of the command",
        figure=figure,
        goal=Goal(limit),
        note=note,
    )


def _put_load_on(stage: Stage, target: Target) -> str:
    done: list[str] = []
    for durable in (False, True):
        said = {"input": "hello big wide world", "durable": durable}
        chunks = {"input": f"chunks={_CHUNKS}", "durable": durable}
        asked = {
            "answers": ask("POST", "/api/runs", said),
            "streams": stream_ask(chunks, frames=_CHUNKS + 3, with_ids=durable),
        }
        for what, each in asked.items():
            load = stage.client.run(
                repeat,
                target,
                each,
                Pressure(connections=16, seconds=stage.sizes.seconds * 2, drained=not durable),
            )
            done.append(f"{load.operations:,} {'durable' if durable else 'light'} {what}")
    return "after " + ", ".join(done)
