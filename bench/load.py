"""The load client: jobs that run in a process of their own, on raw sockets, bounded in time.

Every answer is checked: its status, the number of its frames, and how it ends. A job that got a
wrong answer raises; there is no figure for it.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

from .measure import Load, Reading, read, resident_bytes

_HOST = "127.0.0.1"
_LONGEST_SECONDS = 120.0
_TAIL = 600
_APART_SECONDS = 0.003
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOLD_TIME = re.compile(rb'"text":"at=(\d+) "')
_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')
_GAUGE = re.compile(r"^(forebay_\w+) (\S+)$", re.MULTILINE)


class WrongAnswer(AssertionError):
    """The server did not answer as it has to."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and what makes its answer right."""

    request: bytes
    status: int
    frames: int | None
    """How many frames a stream must have; None if the answer is no stream."""
    ends_with: tuple[bytes, ...]
    """What must stand in the last few hundred bytes."""


def ask(
    method: str,
    path: str,
    body: object = None,
    *,
    status: int = 200,
    frames: int | None = None,
    ends_with: tuple[bytes, ...] = (),
) -> Ask:
    """A request whose answer will be checked."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: {_HOST}\r\n"
    if payload:
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n"
    return Ask(f"{head}\r\n".encode() + payload, status, frames, ends_with)


# --- one connection -----------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One request at a time on a connection that is kept alive."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.on_answer: Callable[[], None] = self.close
        self.on_stream: Callable[[bytes], None] | None = None
        self.frames = 0
        self.answer = b""
        self._asked: Ask | None = None
        self._received = b""
        self._length: int | None = None
        self._in_stream = False
        self._frames_before = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self._fail(f"the connection was lost: {exc}")

    def send(self, asked: Ask) -> None:
        """Ask. `on_answer` is called when the whole answer is here and right."""
        self._asked = asked
        self._received = b""
        self._length = None
        self._in_stream = False
        self._frames_before = self.frames
        self._transport.write(asked.request)

    def close(self) -> None:
        """Leave; whatever is still under way does not count."""
        if not self.finished.done():
            self.finished.set_result(None)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._in_stream:
            self._take_stream(data)
        elif self._length is not None:
            self._take_body(data)
        else:
            self._take_head(data)

    def _take_head(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found or self._asked is None:
            return
        if int(head[9:12]) != self._asked.status:
            self._fail(f"{head[:200]!r} {rest[:300]!r}")
            return
        self._received = b""
        length = _LENGTH.search(head)
        if not self.started.done():
            self.started.set_result(None)
        if length is not None:
            self._length = int(length[1])
            self._take_body(rest)
        else:
            self._in_stream = True
            self._take_stream(rest)

    def _take_body(self, data: bytes) -> None:
        self._received += data
        if self._length is not None and len(self._received) >= self._length:
            self.answer = self._received
            self._check()

    def _take_stream(self, data: bytes) -> None:
        # Frames are counted in the raw bytes: the framing of HTTP chunks holds no empty line of
        # bare newlines, and one that is cut in two is found with the last byte before.
        self.frames += (self._received[-1:] + data).count(b"\n\n")
        self._received = (self._received + data)[-_TAIL:]
        if self.on_stream is not None:
            self.on_stream(data)
        if self._received.endswith(b"\r\n0\r\n\r\n"):
            self._check()

    def _check(self) -> None:
        asked = self._asked
        assert asked is not None
        frames = self.frames - self._frames_before
        tail = self._received[-_TAIL:]
        if asked.frames is not None and frames != asked.frames:
            self._fail(f"{frames} frames instead of {asked.frames}; it ends {tail!r}")
        elif not all(part in tail for part in asked.ends_with):
            self._fail(f"{asked.ends_with!r} is not in {tail!r}")
        else:
            self.on_answer()

    def _fail(self, why: str) -> None:
        error = WrongAnswer(why)
        if not self.started.done():
            self.started.set_result(None)
        if not self.finished.done():
            self.finished.set_exception(error)
        self._transport.abort()


async def _connect(target: Target, count: int = 1) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made: list[Connection] = []
    for _ in range(count):
        _, connection = await loop.create_connection(Connection, _HOST, target.port)
        made.append(connection)
    return made


async def _all_finished(connections: list[Connection]) -> None:
    async with asyncio.timeout(_LONGEST_SECONDS):
        await asyncio.gather(*[connection.finished for connection in connections])


async def _answer(target: Target, asked: Ask) -> bytes:
    (connection,) = await _connect(target)
    connection.send(asked)
    await _all_finished([connection])
    return connection.answer


# --- jobs ---------------------------------------------------------------------------------------


async def metrics(target: Target) -> dict[str, float]:
    """The figures that our server tells of itself, without those that have labels."""
    text = (await _answer(target, ask("GET", "/metrics"))).decode()
    return {name: float(value) for name, value in _GAUGE.findall(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How, and for how long, the same request is asked again and again."""

    connections: int
    seconds: float = _LONGEST_SECONDS
    count: int | None = None
    drained: bool = False
    """Whether the measurement ends only when every finished light run is in the database."""
    awake: bool = True
    """Whether the client never sleeps. Waking it up would be charged to the server, and most to a
    slow one, whose client sleeps most."""


async def repeat(target: Target, asked: Ask, pressure: Pressure) -> Load:
    """Ask again and again, for a time or until so many were answered."""
    answered = 0
    sent = 0
    callers = await _connect(target, pressure.connections)
    until = time.perf_counter() + pressure.seconds

    def go_on(caller: Connection) -> None:
        nonlocal sent
        if (pressure.count is None or sent < pressure.count) and time.perf_counter() < until:
            sent += 1
            caller.send(asked)
        else:
            caller.close()

    def answered_by(caller: Connection) -> Callable[[], None]:
        def on_answer() -> None:
            nonlocal answered
            answered += 1
            go_on(caller)

        return on_answer

    before = read(target.pid)
    with _awake() if pressure.awake else nullcontext():
        for caller in callers:
            caller.on_answer = answered_by(caller)
            go_on(caller)
        await _all_finished(callers)
    if pressure.drained:
        await _drained(target)
    used = read(target.pid).since(before)
    return Load(answered, used, sum(caller.frames for caller in callers))


@contextmanager
def _awake() -> Generator[None]:
    loop = asyncio.get_running_loop()
    over = False

    def again() -> None:
        if not over:
            loop.call_soon(again)

    again()
    try:
        yield
    finally:
        over = True


async def _drained(target: Target) -> None:
    # Twice: a batch that is being written has left the backlog already.
    empty = 0
    async with asyncio.timeout(_LONGEST_SECONDS):
        while empty < 2:
            told = await metrics(target)
            if told["forebay_log_dropped_total"]:
                raise WrongAnswer("light runs were dropped: nothing of this would be comparable")
            empty = empty + 1 if told["forebay_log_backlog"] == 0 else 0
            await asyncio.sleep(0.02)


async def paced(target: Target, asked: Ask, *, streams: int, lead: float, seconds: float) -> Load:
    """Open streams that go on for longer than this, and measure while all of them flow."""
    callers = await _connect(target, streams)
    for caller in callers:
        caller.send(asked)
        await asyncio.sleep(_APART_SECONDS)  # or all of them would speak in the same millisecond
    await asyncio.gather(*[caller.started for caller in callers])
    await asyncio.sleep(lead)
    before, frames = read(target.pid), sum(caller.frames for caller in callers)
    await asyncio.sleep(seconds)
    used = read(target.pid).since(before)
    measured = sum(caller.frames for caller in callers) - frames
    if any(caller.finished.done() for caller in callers):
        raise WrongAnswer("a stream ended before the measurement did")
    await _all_finished(callers)
    return Load(measured, used, sum(caller.frames for caller in callers))


async def follow_background_run(
    target: Target, body: Mapping[str, object], *, frames: int
) -> tuple[Load, dict[str, float]]:
    """Start a durable run that sleeps first, attach one client, and measure until its last entry.

    Also tells by how much the server's own counters rose.
    """
    started = await _answer(
        target, ask("POST", "/api/runs", {**body, "mode": "background"}, status=202)
    )
    path = f"/api/runs/{_id_in(started)}/events"
    counters = await metrics(target)
    (follower,) = await _connect(target)
    follower.send(_events(path, frames))
    await follower.started
    before = read(target.pid)
    if follower.frames > 2:
        raise WrongAnswer("the client attached too late: the run had begun to speak")
    await _all_finished([follower])
    used = read(target.pid).since(before)
    after = await metrics(target)
    rose = {name: value - counters.get(name, 0.0) for name, value in after.items()}
    return Load(frames, used, follower.frames), rose


async def produce(target: Target, body: Mapping[str, object]) -> str:
    """Run in the background until the end; returns the path of the run's events."""
    started = await _answer(
        target, ask("POST", "/api/runs", {**body, "mode": "background"}, status=202)
    )
    path = f"/api/runs/{_id_in(started)}"
    async with asyncio.timeout(_LONGEST_SECONDS):
        told = await _answer(target, ask("GET", path))
        while b'"status":"running"' in told:
            await asyncio.sleep(0.1)
            told = await _answer(target, ask("GET", path))
    if b'"status":"success"' not in told:
        raise WrongAnswer(f"the run did not succeed: {told[-_TAIL:]!r}")
    return f"{path}/events"


async def latencies(target: Target, *, count: int, per_second: int) -> list[float]:
    """Milliseconds from an agent that tells the time to us, event by event, on a durable stream."""
    body = {
        "agent": "ticks",
        "input": {"count": count, "per_second": per_second},
        "mode": "stream",
        "durable": True,
    }
    found: list[float] = []
    kept = b""

    def hear(data: bytes) -> None:
        nonlocal kept
        now = time.time_ns()
        whole, newline, rest = (kept + data).rpartition(b"\n\n")
        kept = rest
        if newline:
            found.extend((now - int(told)) / 1e6 for told in _TOLD_TIME.findall(whole))

    (caller,) = await _connect(target)
    caller.on_stream = hear
    caller.send(
        ask("POST", "/api/runs", body, frames=count + 3, ends_with=(_succeeded(count + 3),))
    )
    await _all_finished([caller])
    if len(found) != count:
        raise WrongAnswer(f"{len(found)} times were told instead of {count}")
    return found[count // 10 :]  # the first ones wait for code that has never run


@dataclass(frozen=True, slots=True)
class Idleness:
    """What followers cost that hear nothing."""

    followers: int
    bytes_each: float
    idle: Reading
    beside_others: Reading
    other_runs: int


async def idle_followers(
    target: Target,
    other: Target,
    *,
    followers: int,
    runs: int,
    seconds: float,
    per_second: float,
) -> Idleness:
    """Follow sleeping runs from many connections; then let another server work beside them."""
    sleeping = {"input": "sleep=3600000", "mode": "background"}
    start = ask("POST", "/api/runs", sleeping, status=202)
    paths = [f"/api/runs/{_id_in(await _answer(target, start))}" for _ in range(runs)]
    await _attach(target, paths, runs * 2, leave=True)
    memory = resident_bytes(target.pid)
    attached = await _attach(target, paths, followers)
    grown = resident_bytes(target.pid) - memory
    before = read(target.pid)
    await asyncio.sleep(seconds)
    idle = read(target.pid).since(before)
    before = read(target.pid)
    done = await _steadily(other, per_second, seconds)
    beside_others = read(target.pid).since(before)
    _check_followers(attached)
    for path in paths:
        await _answer(target, ask("POST", f"{path}/cancel"))
    for follower in attached:
        follower.close()
    return Idleness(followers, grown / followers, idle, beside_others, done)


async def _attach(
    target: Target, paths: list[str], count: int, *, leave: bool = False
) -> list[Connection]:
    attached = await _connect(target, count)
    for number, follower in enumerate(attached):
        follower.send(ask("GET", f"{paths[number % len(paths)]}/events"))
    await asyncio.gather(*[follower.started for follower in attached])
    await asyncio.sleep(0.5)
    if leave:
        for follower in attached:
            follower.close()
        await asyncio.sleep(0.5)
    return attached


def _check_followers(followers: list[Connection]) -> None:
    # Two entries each, and nothing since but comments that keep the connection alive.
    for follower in followers:
        if follower.finished.done() or not 2 <= follower.frames <= 6:
            raise WrongAnswer(f"a follower was lost, or saw {follower.frames} frames")


async def _steadily(target: Target, per_second: float, seconds: float) -> int:
    body = {"input": "hello big wide world", "durable": True}
    asked = ask("POST", "/api/runs", body, ends_with=(b'"status":"success"',))
    callers = await _connect(target, 8)
    free = list(callers)
    all_back = asyncio.Event()
    done = sent = 0

    def answered_by(caller: Connection) -> Callable[[], None]:
        def on_answer() -> None:
            nonlocal done
            done += 1
            free.append(caller)
            if done == sent:
                all_back.set()

        return on_answer

    for caller in callers:
        caller.on_answer = answered_by(caller)
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        while free and sent < elapsed * per_second:
            all_back.clear()
            sent += 1
            free.pop().send(asked)
        await asyncio.sleep(0.003)
    async with asyncio.timeout(_LONGEST_SECONDS):
        await all_back.wait()
    for caller in callers:
        caller.close()
    if done < 0.9 * per_second * seconds:
        raise WrongAnswer(f"only {done} runs in {seconds:g} s")
    return done


# --- what our server says -----------------------------------------------------------------------


def stream_ask(body: Mapping[str, object], *, frames: int, with_ids: bool) -> Ask:
    """A native stream of so many frames; only committed ones bear an id."""
    ending = _succeeded(frames) if with_ids else b"event: run.succeeded\n"
    return ask("POST", "/api/runs", {**body, "mode": "stream"}, frames=frames, ends_with=(ending,))


def _events(path: str, frames: int) -> Ask:
    return ask("GET", path, frames=frames, ends_with=(_succeeded(frames),))


def replay_ask(path: str, *, frames: int) -> Ask:
    """All events of a finished run."""
    return _events(path, frames)


def _succeeded(number: int) -> bytes:
    return b"id: %d\nevent: run.succeeded\n" % number


def _id_in(answer: bytes) -> str:
    found = _ID.search(answer)
    if found is None:
        raise WrongAnswer(f"no run in {answer[:200]!r}")
    return found[1].decode()
