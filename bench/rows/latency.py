"""From an agent that tells the time to a client on the same machine, over a durable stream."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from bench.agents import SERVED
from bench.connection import Target, ask
from bench.load import Pressure, latencies, repeat
from bench.measure import Figure, interleaved, quantile
from bench.postgres import NoPostgres, postgres
from bench.report import Goal, Row
from bench.servers import NotStarted, forebay
from bench.stage import Stage

_PER_SECOND = 150
_NOISE_CONNECTIONS = 16


def rows(stage: Stage) -> Sequence[Row]:
    """On SQLite alone and beside a load of light runs, then on PostgreSQL."""
    stage.tell("latency: 150 events a second")
    with stage.forebay(SERVED) as server:
        sides: dict[str, Callable[[], list[float]]] = {
            "alone": partial(_measure, stage, server.target),
            "beside": partial(_measure_beside_load, stage, server.target),
        }
        found = interleaved(stage.sizes.latency_rounds, sides)
    alone, beside = found["alone"], found["beside"]
    loaded = f"SQLite beside {_NOISE_CONNECTIONS} connections of light runs"
    return [
        _row("SQLite, p50", alone, 0.5, 3),
        _row("SQLite, p99", alone, 0.99, 20),
        _row(f"{loaded}, p50", beside, 0.5, 10),
        _row(f"{loaded}, p99", beside, 0.99, 50),
        _postgres_row(stage),
    ]


def _postgres_row(stage: Stage) -> Row:
    try:
        with _on_postgres(stage) as target:
            found = [_measure(stage, target) for _ in range(stage.sizes.latency_rounds)]
    except (NoPostgres, NotStarted) as error:
        return _row("PostgreSQL, p50", [], 0.5, 8, note=str(error))
    p99 = Figure.of([quantile(values, 0.99) for values in found], "ms")
    return _row("PostgreSQL, p50", found, 0.5, 8, note=f"p99 {p99.median:.1f} ms")


@contextmanager
def _on_postgres(stage: Stage) -> Generator[Target]:
    with ExitStack() as stack:
        url = stack.enter_context(postgres(stage.folder))
        settings = {**SERVED, "FOREBAY_AUTO_MIGRATE": "true"}
        yield stack.enter_context(forebay(stage.folder, url, settings)).target


def _measure(stage: Stage, target: Target) -> list[float]:
    count = int(_PER_SECOND * stage.sizes.latency_seconds)
    return stage.client.run(latencies, target, count=count, per_second=_PER_SECOND)


def _measure_beside_load(stage: Stage, target: Target) -> list[float]:
    asked = ask(
        "POST",
        "/api/runs",
        {"agent": "echo", "input": "hello big wide world", "durable": False},
        ends_with=(b'"status":"success"',),
    )
    pressure = Pressure(
        connections=_NOISE_CONNECTIONS,
        seconds=stage.sizes.latency_seconds + 1,
        drained=True,
        awake=False,
    )
    noise = stage.second_client.start(repeat, target, asked, pressure)
    found = _measure(stage, target)
    _ = noise.result()
    return found


def _row(
    name: str, rounds: Sequence[Sequence[float]], part: float, limit: float, note: str = ""
) -> Row:
    return Row(
        group="latency",
        name=name,
        durability="durable",
        connections=1,
        counted=f"wall time of {_PER_SECOND} events a second, one stream, each event committed "
        "before it is sent; quantile of each round",
        figure=Figure.of([quantile(values, part) for values in rounds], "ms") if rounds else None,
        goal=Goal(limit),
        frames=sum(len(values) for values in rounds),
        note=note,
    )
