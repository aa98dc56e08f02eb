"""Server-sent events: sent when ready, ended when they should, and nobody waits for others."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from forebay.http.request import Request
from forebay.http.response import Answer
from forebay.http.sse import EventStream, Streams
from forebay.testing.clock import ManualClock
from tests.support.asgi import Client, Exchange
from tests.support.edge import edge_of, route
from tests.support.waiting import settle, until

FAREWELL = b"event: bye\ndata: {}\n\n"


class Source:
    """A stream's blocks, said by a test."""

    def __init__(self) -> None:
        self.blocks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.is_closed = False

    def say(self, text: str) -> None:
        self.blocks.put_nowait(f"data: {text}\n\n".encode())

    def end(self, error: Exception | None = None) -> None:
        self.blocks.put_nowait(error)

    async def __call__(self) -> AsyncGenerator[bytes]:
        try:
            while isinstance(block := await self.blocks.get(), bytes):
                yield block
            if block is not None:
                raise block
        finally:
            self.is_closed = True


class Stage:
    """A server with one stream per path."""

    def __init__(self, left: Callable[[], None] | None = None, *, tells_loss: bool = False) -> None:
        self.clock = ManualClock()
        self.streams = Streams(self.clock)
        self.sources = {name: Source() for name in ("a", "b")}
        self._left = left
        edge = edge_of(route("GET", "/{name}", self._stream))
        self.client = Client(edge, tells_loss=tells_loss)

    async def _stream(self, request: Request) -> Answer:
        return EventStream(
            request,
            self.streams,
            self.sources[request.path["name"]](),
            bytes,
            farewell=FAREWELL,
            headers=[(b"x-run-id", b"r")],
            left=self._left,
        )

    async def begin(self, name: str = "a") -> Exchange:
        before = len(self.streams)
        exchange = self.client.begin("GET", f"/{name}")
        await until(lambda: len(self.streams) > before)
        return exchange


async def test_the_headers_come_before_anything_is_said():
    stage = Stage()
    stream = await stage.begin()
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-run-id"] == "r"
    assert "content-length" not in stream.headers
    stage.sources["a"].end()
    await stream.until_over()


async def test_each_block_is_sent_when_it_is_ready_and_the_end_is_the_end():
    stage = Stage()
    stream = await stage.begin()
    for text in ("one", "two"):
        stage.sources["a"].say(text)
        await stream.until(lambda got, text=text: bool(got.events) and got.events[-1].data == text)
    stage.sources["a"].end()
    await stream.until_over()
    assert stream.is_complete
    assert [frame.data for frame in stream.events] == ["one", "two"]
    assert stream.broken is None
    assert len(stage.streams) == 0
    assert stage.sources["a"].is_closed


SERVERS = pytest.mark.parametrize("tells_loss", [True, False], ids=["our server", "any server"])


@SERVERS
async def test_a_client_that_leaves_is_told_of_and_its_blocks_are_closed(tells_loss: bool):
    left: list[str] = []
    stage = Stage(lambda: left.append("left"), tells_loss=tells_loss)
    stream = await stage.begin()
    stage.sources["a"].say("one")
    await stream.until(lambda got: len(got.events) == 1)
    stream.leave()
    await stream.until_over()
    assert left == ["left"]
    assert stage.sources["a"].is_closed
    assert len(stage.streams) == 0
    assert stream.broken is None


@SERVERS
async def test_a_stream_that_ends_by_itself_was_not_left(tells_loss: bool):
    left: list[str] = []
    stage = Stage(lambda: left.append("left"), tells_loss=tells_loss)
    stream = await stage.begin()
    stage.sources["a"].end()
    await stream.until_over()
    stream.leave()
    await settle()
    assert left == []


@SERVERS
async def test_a_client_that_reads_nothing_and_leaves_is_let_go(tells_loss: bool):
    left: list[str] = []
    stage = Stage(lambda: left.append("left"), tells_loss=tells_loss)
    stream = await stage.begin()
    stream.stop_reading()
    stage.sources["a"].say("one")
    await settle()
    stream.leave()
    stream.read_again()
    await stream.until_over()
    assert left == ["left"]
    assert stage.sources["a"].is_closed


async def test_an_idle_stream_is_kept_alive_by_comments():
    stage = Stage()
    stage.streams.start()
    stream = await stage.begin()
    for _ in range(4):
        stage.clock.advance(15)
        await settle()
    assert [frame.comment for frame in stream.frames] == ["keep-alive"] * 3  # one tick was to look
    stage.sources["a"].end()
    await stream.until_over()
    await stage.streams.aclose()


async def test_a_busy_stream_needs_no_comments():
    stage = Stage()
    stage.streams.start()
    stream = await stage.begin()
    for number in range(5):
        stage.sources["a"].say(str(number))
        await settle()
        stage.clock.advance(15)
        await settle()
    assert all(frame.comment is None for frame in stream.frames)
    stage.sources["a"].end()
    await stream.until_over()
    await stage.streams.aclose()


async def test_a_client_that_reads_nothing_collects_no_comments():
    stage = Stage()
    stage.streams.start()
    stream = await stage.begin()
    stream.stop_reading()
    for _ in range(20):
        stage.clock.advance(15)
        await settle()
    assert stream.text.count("keep-alive") <= 1
    stream.read_again()
    stage.sources["a"].end()
    await stream.until_over()
    await stage.streams.aclose()


async def test_no_comment_comes_after_the_end():
    stage = Stage()
    stage.streams.start()
    stream = await stage.begin()
    stage.clock.advance(15)
    await settle()
    stage.clock.advance(15)
    stage.sources["a"].end()
    await stream.until_over()
    stage.clock.advance(15)
    await settle()
    assert stream.is_complete
    assert stream.late == []
    await stage.streams.aclose()


async def test_stopping_sends_last_words_and_ends_every_stream():
    left: list[str] = []
    stage = Stage(lambda: left.append("left"))
    streams = [await stage.begin("a"), await stage.begin("b")]
    stage.sources["a"].say("one")
    await streams[0].until(lambda got: len(got.events) == 1)
    stage.streams.stop()
    for stream in streams:
        await stream.until_over()
        assert stream.is_complete
        assert stream.events[-1].event == "bye"
        assert stream.broken is None
    assert [frame.data for frame in streams[0].events] == ["one", "{}"]
    assert left == []
    assert len(stage.streams) == 0


async def test_stopping_twice_says_goodbye_once():
    stage = Stage()
    stream = await stage.begin()
    stage.streams.stop()
    stage.streams.stop()
    await stream.until_over()
    assert stream.text.count("bye") == 1
    await stage.streams.aclose()


async def test_a_slow_client_keeps_nobody_else_waiting():
    stage = Stage()
    stage.streams.start()
    slow, quick = await stage.begin("a"), await stage.begin("b")
    slow.stop_reading()
    for number in range(100):
        stage.sources["a"].say(str(number))
        stage.sources["b"].say(str(number))
    await quick.until(lambda got: len(got.events) == 100)
    assert len(slow.events) <= 1
    slow.read_again()
    await slow.until(lambda got: len(got.events) == 100)
    for source in stage.sources.values():
        source.end()
    await slow.until_over()
    await quick.until_over()
    await stage.streams.aclose()


async def test_head_is_told_the_headers_and_does_not_wait_for_the_end():
    stage = Stage()
    stage.sources["a"].say("one")
    head = await stage.client.send("HEAD", "/a")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(stage.streams) == 0


async def test_a_stream_whose_blocks_fail_breaks_off_and_is_forgotten():
    stage = Stage()
    stream = await stage.begin()
    stage.sources["a"].end(RuntimeError("the blocks failed"))
    await stream.until_over()
    assert not stream.is_complete  # so the client notices, and comes again
    assert len(stage.streams) == 0
