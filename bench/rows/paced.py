"""Streams that speak as fast as a model does, against the same on raw ASGI."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from bench.connection import Ask, Target
from bench.load import paced as measure_paced
from bench.measure import Figure, Load, cpu_figure, interleaved, ratio_figure
from bench.report import Durability, Goal, Row
from bench.stage import Stage

from .chunks import our_stream, raw_stream

_DELAY_MS = 20
_LEAD_SECONDS = 0.5
_LIMITS: dict[Durability, float] = {"light": 1.5, "durable": 3}


def rows(stage: Stage) -> Sequence[Row]:
    """Measured in the middle of the streams, when all of them flow."""
    stage.tell(f"paced: {stage.sizes.paced_streams} streams at {1000 // _DELAY_MS}/s")
    # The last stream starts later than the first one; the first must outlive the measurement.
    seconds = stage.sizes.paced_seconds + _LEAD_SECONDS * 2 + stage.sizes.paced_streams * 0.005
    chunks = int(seconds * 1000 / _DELAY_MS)
    with ExitStack() as stack:
        ceiling = stack.enter_context(stage.ceiling()).target
        ours = stack.enter_context(stage.forebay()).target
        asked: dict[Durability, tuple[Target, Ask]] = {
            "none": (ceiling, raw_stream(chunks, delay=_DELAY_MS)),
            "light": (ours, our_stream(chunks, "light", delay=_DELAY_MS)),
            "durable": (ours, our_stream(chunks, "durable", delay=_DELAY_MS)),
        }
        sides: dict[str, Callable[[], Load]] = {
            name: partial(_measure, stage, *each) for name, each in asked.items()
        }
        loads = interleaved(min(3, stage.sizes.rounds), sides)
    return [_row(stage, name, loads[name], loads["none"]) for name in asked]


def _measure(stage: Stage, target: Target, asked: Ask) -> Load:
    return stage.client.run(
        measure_paced,
        target,
        asked,
        streams=stage.sizes.paced_streams,
        lead=_LEAD_SECONDS,
        seconds=stage.sizes.paced_seconds,
    )


def _row(
    stage: Stage, durability: Durability, loads: Sequence[Load], ceiling: Sequence[Load]
) -> Row:
    limit = _LIMITS.get(durability)
    rate = Figure.of([load.per_second for load in loads], "/s")
    return Row(
        group="paced",
        name="raw ASGI" if limit is None else durability,
        durability=durability,
        connections=stage.sizes.paced_streams,
        counted=f"CPU of the API process per frame, every {_DELAY_MS} ms on each stream, "
        "streams out of step, while all of them flow",
        figure=cpu_figure(loads, "µs"),
        ratio=ratio_figure(loads, ceiling) if limit else None,
        goal=Goal(limit, "ratio") if limit else None,
        frames=sum(load.frames for load in loads),
        wall=f"{rate.median:,.0f} frames/s",
    )
