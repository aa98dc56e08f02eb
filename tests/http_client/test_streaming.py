"""An answer that comes bit by bit, and leaving in the middle of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.core.clock import SystemClock
from forebay.core.errors import TookTooLong, Unreachable
from forebay.ports.http import HttpRequest
from tests.support.asgi import PATIENCE_SECONDS
from tests.support.waiting import Gate, settle

from .servers import Heard, Wire, serving

MEGABYTE = 1 << 20


class Slow:
    """Answers with a piece, and waits until the other side leaves."""

    def __init__(self, *, has_head: bool = True) -> None:
        self._has_head = has_head
        self.came = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, heard: Heard, wire: Wire) -> None:
        if self._has_head:
            await wire.begin()
            await wire.chunk(b"first")
        self.came.set()
        await wire.left()
        self.left.set()


async def within_patience(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


async def test_pieces_come_as_they_are_sent(client: OutboundHttp) -> None:
    gates = {b"one": Gate(), b"two": Gate()}

    async def in_turn(heard: Heard, wire: Wire) -> None:
        await wire.begin()
        for piece, gate in gates.items():
            await wire.chunk(piece)
            await gate.passed()
        await wire.end()

    async with serving(in_turn) as server:
        pieces: list[bytes] = []
        async with client.stream(HttpRequest(url=server.url, trust="operator")) as answer:
            assert answer.status == 200
            async for piece in answer:
                pieces.append(piece)
                gates[piece].open()
    assert pieces == [b"one", b"two"]
    assert server.heard[0].headers["accept-encoding"] == "identity"


async def test_a_stream_read_to_its_end_leaves_its_connection_to_others(
    client: OutboundHttp,
) -> None:
    async with serving(lambda heard, wire: wire.answer(200, b"x" * 100_000)) as server:
        async with client.stream(HttpRequest(url=server.url, trust="operator")) as answer:
            assert len(await answer.read()) == 100_000
            async with client.stream(HttpRequest(url=server.url, trust="operator")) as other:
                assert len(await other.read()) == 100_000
        assert server.connections == 1


async def test_the_rest_of_a_stream_can_be_read_at_once(client: OutboundHttp) -> None:
    gate = Gate()

    async def two(heard: Heard, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"one")
        await gate.passed()
        await wire.chunk(b"two")
        await wire.end()

    async with serving(two) as server:
        request = HttpRequest(url=server.url, trust="operator")
        async with client.stream(request) as answer:
            assert await anext(aiter(answer)) == b"one"
            gate.open()
            assert await answer.read() == b"two"


async def test_who_leaves_early_hangs_up(client: OutboundHttp) -> None:
    slow = Slow()
    async with serving(slow) as server:
        async with client.stream(HttpRequest(url=server.url, trust="operator")) as answer:
            async for piece in answer:
                assert piece == b"first"
                break
        await within_patience(slow.left)
        assert [piece async for piece in answer] == []


async def test_who_does_not_read_at_all_hangs_up(client: OutboundHttp) -> None:
    slow = Slow()
    async with serving(slow) as server:
        async with client.stream(HttpRequest(url=server.url, trust="operator")):
            pass
        await within_patience(slow.left)


@pytest.mark.parametrize("has_head", [True, False])
async def test_who_is_cancelled_hangs_up(client: OutboundHttp, has_head: bool) -> None:
    slow = Slow(has_head=has_head)

    async def read(url: str) -> None:
        async with client.stream(HttpRequest(url=url, trust="operator")) as answer:
            await answer.read()

    async with serving(slow) as server:
        reading = asyncio.create_task(read(server.url))
        await within_patience(slow.came)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await within_patience(slow.left)


async def test_who_is_cancelled_while_sending_hangs_up(client: OutboundHttp) -> None:
    accepted, cancelled, left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take_nothing(wire: Wire) -> None:
        accepted.set()
        await within_patience(cancelled)
        await wire.left()
        left.set()

    async with serving(meet=take_nothing) as server:
        body = bytes(32 * MEGABYTE)
        request = HttpRequest(url=server.url, trust="operator", method="POST", body=body)
        sending = asyncio.create_task(client.send(request))
        await within_patience(accepted)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        cancelled.set()
        await within_patience(left)


async def test_who_cannot_send_on_gives_up(client: OutboundHttp) -> None:
    stopping = asyncio.Event()

    async def take_nothing(wire: Wire) -> None:
        await stopping.wait()

    async with serving(meet=take_nothing) as server:
        request = HttpRequest(
            url=server.url,
            trust="operator",
            method="POST",
            body=bytes(32 * MEGABYTE),
            timeout_seconds=0.1,
        )
        with pytest.raises(TookTooLong):
            await client.send(request)
        stopping.set()


async def test_a_failure_in_the_middle_comes_after_the_pieces_before_it(
    client: OutboundHttp,
) -> None:
    async def cut(heard: Heard, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"first")
        wire.close()

    async with serving(cut) as server:
        pieces: list[bytes] = []
        request = HttpRequest(url=server.url, trust="operator", retries=3)
        async with client.stream(request) as answer:
            with pytest.raises(Unreachable, match="in the middle"):
                async for piece in answer:
                    pieces.append(piece)  # noqa: PERF401 -- the failure comes from the loop
        assert pieces == [b"first"]
        assert len(server.heard) == 1


async def test_a_reader_that_takes_its_time_gets_everything(client: OutboundHttp) -> None:
    body = bytes(range(256)) * (16 * MEGABYTE // 256)
    async with serving(lambda heard, wire: wire.answer(200, body)) as server:
        received = bytearray()
        async with client.stream(HttpRequest(url=server.url, trust="operator")) as answer:
            async for piece in answer:
                received += piece
                await asyncio.sleep(0)
        assert received == body


async def test_a_reader_that_stops_makes_the_server_wait(client: OutboundHttp) -> None:
    sent = 0

    async def endless(heard: Heard, wire: Wire) -> None:
        nonlocal sent
        await wire.begin()
        while sent < 256 * MEGABYTE:
            await wire.chunk(bytes(MEGABYTE))
            sent += MEGABYTE

    async with serving(endless) as server:
        async with client.stream(HttpRequest(url=server.url, trust="operator")):
            before = -1
            while before < sent:
                before = sent
                await settle()
        assert MEGABYTE <= sent < 256 * MEGABYTE


async def test_a_large_body_is_sent_whole(client: OutboundHttp) -> None:
    body = bytes(range(256)) * (16 * MEGABYTE // 256)
    async with serving(lambda heard, wire: wire.answer(200)) as server:
        request = HttpRequest(url=server.url, trust="operator", method="POST", body=body)
        assert (await client.send(request)).status == 200
        assert server.heard[0].body == body


async def test_an_answer_before_the_end_of_the_request_is_heard(client: OutboundHttp) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await wire.left()

    async with serving(meet=refuse) as server:
        body = bytes(8 * MEGABYTE)
        request = HttpRequest(url=server.url, trust="operator", method="POST", body=body)
        assert (await client.send(request)).status == 413


async def test_many_streams_run_beside_one_another(client: OutboundHttp) -> None:
    meeting = asyncio.Barrier(50)

    async def meet(heard: Heard, wire: Wire) -> None:
        await wire.begin()
        await meeting.wait()
        await wire.chunk(heard.target.encode())
        await wire.end()

    async with serving(meet) as server:

        async def ask(number: int) -> bytes:
            request = HttpRequest(url=f"{server.url}/{number}", trust="operator")
            return (await client.send(request)).body

        answers = await asyncio.gather(*(ask(number) for number in range(50)))
    assert answers == [f"/{number}".encode() for number in range(50)]


def test_all_of_it_works_on_the_event_loop_of_the_server() -> None:
    async def on(test: Callable[[OutboundHttp], Awaitable[None]]) -> None:
        client = OutboundHttp(SystemClock(), profile=RuntimeProfile())
        try:
            await test(client)
        finally:
            await client.aclose()

    for test in (
        test_pieces_come_as_they_are_sent,
        test_who_leaves_early_hangs_up,
        test_who_does_not_read_at_all_hangs_up,
        test_who_is_cancelled_while_sending_hangs_up,
        test_who_cannot_send_on_gives_up,
        test_a_failure_in_the_middle_comes_after_the_pieces_before_it,
        test_a_reader_that_takes_its_time_gets_everything,
        test_a_reader_that_stops_makes_the_server_wait,
        test_a_large_body_is_sent_whole,
        test_an_answer_before_the_end_of_the_request_is_heard,
        test_many_streams_run_beside_one_another,
    ):
        uvloop.run(on(test))
