"""A streamed model call through `ctx`, against the same call with the plain HTTP library."""

import socket
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.agents import SERVED
from bench.connection import Ask, ask
from bench.measure import Figure, Load, interleaved
from bench.modelled import cpu_of_a_reply, first_pieces
from bench.report import Durability, Goal, Row
from bench.stage import Stage

_RAW = "raw"
_GOALS: dict[Durability, float] = {"light": 5, "durable": 15}
_FIRST_PIECE_MS = 2.0


def rows(stage: Stage) -> Sequence[Row]:
    """What a piece costs on top, and how much later the first one comes."""
    sizes = stage.sizes
    stage.tell(f"models: a reply of {sizes.model_chunks:,} pieces, then first pieces")
    port = _free_port()
    url = f"http://127.0.0.1:{port}/v1"
    settings = {**SERVED, "FOREBAY_CONFIG_FILE": str(_workflow(stage.folder, url))}
    with stage.forebay(settings) as server:
        target = server.target

        def hear(asked: Ask) -> Load:
            return stage.client.run(cpu_of_a_reply, target, port, asked, sizes.model_chunks)

        sides: dict[str, Callable[[], Load]] = {
            _RAW: partial(hear, _run("raw_model", {"url": url}, durable=False)),
            "light": partial(hear, _run("model", None, durable=False)),
            "durable": partial(hear, _run("model", None, durable=True)),
        }
        found = interleaved(sizes.rounds, sides)
        ours, theirs = stage.client.run(
            first_pieces, target, port, _stream_request(), _direct_request(), sizes.first_pieces
        )
    return [
        *(_row(found, durability, goal) for durability, goal in _GOALS.items()),
        _first_piece(ours, theirs),
    ]


def _run(agent: str, given: object, *, durable: bool) -> Ask:
    return ask("POST", "/api/runs", {"agent": agent, "input": given, "durable": durable})


def _stream_request() -> bytes:
    body = {"agent": "model", "input": None, "mode": "stream", "durable": False}
    return ask("POST", "/api/runs", body).request


def _direct_request() -> bytes:
    messages = [{"role": "user", "content": "go"}]
    body = {"model": "bench", "messages": messages, "stream": True}
    return ask("POST", "/v1/chat/completions", body).request


def _row(found: dict[str, list[Load]], durability: Durability, limit: float) -> Row:
    pairs = list(zip(found[durability], found[_RAW], strict=True))
    added = Figure.of([ours.cpu_micros - raw.cpu_micros for ours, raw in pairs], "µs")
    raw = statistics.median(load.cpu_micros for load in found[_RAW])
    return Row(
        group="models",
        name="a piece of a reply, on top of the raw client",
        durability=durability,
        connections=1,
        counted="CPU of the API process, which executes the run itself, per piece, without that "
        "of the same call with httpx2 and a loop over lines",
        figure=added,
        ratio=Figure.of([ours.cpu_micros / raw.cpu_micros for ours, raw in pairs], "x"),
        goal=Goal(limit),
        note=f"raw client {raw:.1f} µs",
    )


def _first_piece(ours: Sequence[float], theirs: Sequence[float]) -> Row:
    added = statistics.median(ours) - statistics.median(theirs)
    return Row(
        group="models",
        name="the first piece of a reply, added by us, p50",
        durability="light",
        connections=1,
        counted="wall time from the request to the first piece, less that of asking the provider",
        figure=Figure(added, min(ours) - min(theirs), max(ours) - max(theirs), "ms"),
        goal=Goal(_FIRST_PIECE_MS),
        note=f"{statistics.median(ours):.2f} ms through us, {statistics.median(theirs):.2f} direct",
    )


def _workflow(folder: Path, url: str) -> Path:
    path = folder / "bench.yml"
    path.write_text(
        "llms:\n  bench:\n    _type: openai_compatible\n"
        f"    base_url: {url}\n    model_name: bench\n"
    )
    return path


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
