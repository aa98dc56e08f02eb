"""What the client knows of our server: how to ask for runs, and how their streams look."""

import re
from collections.abc import Mapping

from .connection import Ask, Target, WrongAnswer, answer_of, ask

_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')
_GAUGE = re.compile(r"^(forebay_\w+) (\S+)$", re.MULTILINE)


async def metrics(target: Target) -> dict[str, float]:
    """The figures that our server tells of itself, without those that have labels."""
    text = (await answer_of(target, ask("GET", "/metrics"))).decode()
    return {name: float(value) for name, value in _GAUGE.findall(text)}


def stream_ask(body: Mapping[str, object], *, frames: int, with_ids: bool) -> Ask:
    """A native stream of so many frames; only committed ones bear an id."""
    ending = succeeded(frames) if with_ids else b"event: run.succeeded\n"
    return ask("POST", "/api/runs", {**body, "mode": "stream"}, frames=frames, ends_with=(ending,))


def background(agent: str, given: object) -> Ask:
    """Leave a run in the queue."""
    body = {"agent": agent, "input": given, "mode": "background"}
    return ask("POST", "/api/runs", body, status=202)


def events_ask(path: str, *, frames: int) -> Ask:
    """All events of a run, to its end."""
    return ask("GET", path, frames=frames, ends_with=(succeeded(frames),))


def succeeded(number: int) -> bytes:
    """The first lines of the last frame of a run that has so many events."""
    return b"id: %d\nevent: run.succeeded\n" % number


def id_in(answer: bytes) -> str:
    """The id of the run that an answer shows."""
    found = _ID.search(answer)
    if found is None:
        raise WrongAnswer(f"no run in {answer[:200]!r}")
    return found[1].decode()
