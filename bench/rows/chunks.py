"""Streams whose chunks are all asked for at once, against raw ASGI that encodes and sends each."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.connection import Ask, Target, ask
from bench.load import Pressure, repeat
from bench.measure import Figure, Load, cpu_figure, interleaved, ratio_figure
from bench.native import stream_ask
from bench.report import Durability, Goal, Row
from bench.stage import Stage

_CHUNKS = 200
_OWN_EVENTS = 3  # run.submitted, run.started, run.succeeded
_CONNECTIONS = (1, 16)
_CEILING = "raw ASGI, a send for each"


def raw_stream(chunks: int, *, delay: int = 0, joined: bool = False) -> Ask:
    """A stream of the ceiling."""
    body = {"input": "", "chunks": chunks, "delay": delay, "joined": joined}
    return ask("POST", "/stream", body, frames=chunks, ends_with=(b"id: %d\n" % chunks,))


def our_stream(chunks: int, durability: Durability, *, delay: int = 0) -> Ask:
    """The same stream of ours, which has its first and last events too."""
    said = f"chunks={chunks} delay={delay}" if delay else f"chunks={chunks}"
    return stream_ask(
        {"input": said, "durable": durability == "durable"},
        frames=chunks + _OWN_EVENTS,
        with_ids=durability == "durable",
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One server's way to send the chunks."""

    name: str
    durability: Durability
    target: Target
    asked: Ask
    limit: float | None = None


def rows(stage: Stage) -> Sequence[Row]:
    """One stream after another, on one connection and on several."""
    stage.tell("chunks: streams of 200 chunks, all at once")
    with ExitStack() as stack:
        ceiling = stack.enter_context(stage.ceiling()).target
        ours = stack.enter_context(stage.forebay()).target
        sides = (
            _Side(_CEILING, "none", ceiling, raw_stream(_CHUNKS)),
            _Side("light, log written", "light", ours, our_stream(_CHUNKS, "light"), 2.5),
            _Side("durable", "durable", ours, our_stream(_CHUNKS, "durable"), 5),
            _Side("raw ASGI, one send for all", "none", ceiling, raw_stream(_CHUNKS, joined=True)),
        )
        return [row for count in _CONNECTIONS for row in _rows_at(stage, sides, count)]


def _rows_at(stage: Stage, sides: Sequence[_Side], connections: int) -> list[Row]:
    measured: dict[str, Callable[[], Load]] = {
        side.name: partial(_measure, stage, side, connections) for side in sides
    }
    for warm_up in measured.values():
        warm_up()
    loads = interleaved(stage.sizes.rounds, measured)
    return [_row(side, connections, loads[side.name], loads[_CEILING]) for side in sides]


def _measure(stage: Stage, side: _Side, connections: int) -> Load:
    pressure = Pressure(
        connections=connections,
        seconds=stage.sizes.seconds,
        drained=side.durability == "light",
    )
    load = stage.client.run(repeat, side.target, side.asked, pressure)
    return Load(load.operations * _CHUNKS, load.used, load.frames)


def _row(side: _Side, connections: int, loads: Sequence[Load], ceiling: Sequence[Load]) -> Row:
    rate = Figure.of([load.per_second for load in loads], "/s")
    return Row(
        group="chunks",
        name=side.name,
        durability=side.durability,
        connections=connections,
        counted=f"CPU of the API process per chunk, {_CHUNKS} chunks in a stream, all at once; "
        "lines about ended runs off",
        figure=cpu_figure(loads, "µs"),
        ratio=ratio_figure(loads, ceiling) if side.name != _CEILING else None,
        goal=Goal(side.limit, "ratio") if side.limit else None,
        frames=sum(load.frames for load in loads),
        wall=f"{rate.median:,.0f} chunks/s",
    )
