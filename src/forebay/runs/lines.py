"""One log line for each run that ends, written in batches: one by one they cost more than a run."""

import asyncio
from typing import Literal, NamedTuple, TextIO

from forebay.core.clock import Millis, rfc3339
from forebay.core.codec import encode_json
from forebay.core.ids import as_uuid
from forebay.core.run import Run

_DELAY_SECONDS = 0.1


class _Line(NamedTuple):
    at: Millis
    run: Run
    trace: str | None


class RunLines:
    """Writes the lines of ended runs to a stream."""

    def __init__(self, out: TextIO, form: Literal["text", "json"]) -> None:
        self._out = out
        self._form = form
        self._waiting: list[_Line] = []

    def ended(self, run: Run, trace: str | None) -> None:
        """A run has ended."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(_DELAY_SECONDS, self.flush)
        self._waiting.append(_Line(run.finished or run.created, run, trace))

    def flush(self) -> None:
        """Write what is waiting."""
        lines, self._waiting = self._waiting, []
        write = _json if self._form == "json" else _text
        self._out.write("".join([write(line) for line in lines]))
        self._out.flush()


def _text(line: _Line) -> str:
    run = line.run
    why = f" ({run.reason})" if run.reason else ""
    return (
        f"{rfc3339(line.at)} run {as_uuid(run.id)} {run.agent}: {run.status}{why}"
        f" in {_seconds(line):.3f} s, {run.last} events\n"
    )


def _json(line: _Line) -> str:
    run = line.run
    told = {
        "time": rfc3339(line.at),
        "level": "info",
        "message": "run ended",
        "run": as_uuid(run.id),
        "agent": run.agent,
        "status": run.status,
        "reason": run.reason,
        "seconds": round(_seconds(line), 3),
        "events": run.last,
        "trace": line.trace,
    }
    return encode_json(told).decode() + "\n"


def _seconds(line: _Line) -> float:
    return (line.at - line.run.created) / 1000
