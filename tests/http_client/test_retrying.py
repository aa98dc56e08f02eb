"""Sending a request again, on a clock that is moved by hand."""

import asyncio
from collections.abc import Awaitable

import pytest

from forebay.builtins.http_client import OutboundHttp
from forebay.core.errors import TookTooLong, Unreachable
from forebay.ports.http import HttpAnswer, HttpRequest
from forebay.testing.clock import ManualClock
from tests.support.waiting import until

from .conftest import MakeClient
from .servers import Behaviour, Heard, Names, Server, Wire, free_port, serving


class Moods:
    """Behaves in one way after the other; the last one stays."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)

    async def __call__(self, heard: Heard, wire: Wire) -> None:
        behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        await behave(heard, wire)


def says(status: int, **headers: str) -> Behaviour:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda heard, wire: wire.answer(status, str(status).encode(), told)


async def hang_up(heard: Heard, wire: Wire) -> None:
    wire.close()


async def begin_and_hang_up(heard: Heard, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200")
    wire.close()


async def say_nothing(heard: Heard, wire: Wire) -> None:
    await wire.left()


@pytest.fixture
def client(make_client: MakeClient, clock: ManualClock) -> OutboundHttp:
    """Its pauses are as long as they may be."""
    return make_client(clock=clock, chance=lambda: 1.0)


async def pauses(clock: ManualClock, call: Awaitable[HttpAnswer]) -> tuple[HttpAnswer, list[int]]:
    """The answer, and the milliseconds waited before each retry."""
    calling = asyncio.ensure_future(call)
    waited: list[int] = []
    while True:
        await until(lambda: calling.done() or bool(clock.sleepers))
        if calling.done():
            return calling.result(), waited
        waited.append(0)
        while clock.sleepers:
            clock.advance(0.1)
            waited[-1] += 100


def request(
    server: Server, method: str = "GET", retries: int = 3, seconds: float = 60
) -> HttpRequest:
    return HttpRequest(
        url=server.url, trust="operator", method=method, retries=retries, timeout_seconds=seconds
    )


# --- refused for now ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_was_refused_for_now_is_sent_again(
    client: OutboundHttp, clock: ManualClock, status: int, method: str
) -> None:
    async with serving(Moods(says(status), says(status), says(200))) as server:
        answer, waited = await pauses(clock, client.send(request(server, method)))
    assert answer.body == b"200"
    assert waited == [500, 1000]


@pytest.mark.parametrize("status", [400, 401, 404, 408, 500, 501])
async def test_what_was_refused_for_good_is_not_sent_again(
    client: OutboundHttp, status: int
) -> None:
    async with serving(Moods(says(status), says(200))) as server:
        assert (await client.send(request(server))).status == status


async def test_nothing_is_sent_again_unless_asked_for(client: OutboundHttp) -> None:
    async with serving(Moods(says(503), says(200))) as server:
        assert (await client.send(request(server, retries=0))).status == 503


async def test_when_the_retries_are_spent_the_refusal_is_the_answer(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async with serving(says(503)) as server:
        answer, waited = await pauses(clock, client.send(request(server, retries=6)))
        assert (answer.status, answer.body) == (503, b"503")
        assert waited == [500, 1000, 2000, 4000, 8000, 8000]
        assert len(server.heard) == 7


async def test_pauses_are_shortened_by_chance(make_client: MakeClient, clock: ManualClock) -> None:
    chances = iter([0.2, 0.7])
    client = make_client(clock=clock, chance=lambda: next(chances))
    async with serving(Moods(says(503), says(503), says(200))) as server:
        _, waited = await pauses(clock, client.send(request(server)))
    assert waited == [100, 700]


@pytest.mark.parametrize(
    "wish",
    ["7", " 7 ", "Thu, 01 Jan 2026 00:00:07 GMT", "Thu, 01 Jan 2026 00:00:07 -0000"],
)
async def test_a_server_is_given_the_time_it_asks_for(
    make_client: MakeClient, clock: ManualClock, wish: str
) -> None:
    client = make_client(clock=clock, chance=lambda: 0.0)
    async with serving(Moods(says(429, retry_after=wish), says(200))) as server:
        answer, waited = await pauses(clock, client.send(request(server)))
    assert (answer.status, waited) == (200, [7000])


@pytest.mark.parametrize("wish", ["21", "9" * 400, "Thu, 01 Jan 2026 00:01:00 GMT"])
async def test_who_asks_for_too_much_time_is_not_asked_again(
    client: OutboundHttp, wish: str
) -> None:
    async with serving(Moods(says(429, retry_after=wish), says(200))) as server:
        assert (await client.send(request(server))).status == 429


@pytest.mark.parametrize("wish", ["soon", "", "-1", "1.5", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_wish_that_cannot_be_read_or_is_past_is_no_wish(
    client: OutboundHttp, clock: ManualClock, wish: str
) -> None:
    async with serving(Moods(says(429, retry_after=wish), says(200))) as server:
        answer, waited = await pauses(clock, client.send(request(server)))
    assert (answer.status, waited) == (200, [500])


async def test_a_stream_is_retried_until_its_head_has_come(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async def read(server: Server) -> HttpAnswer:
        async with client.stream(request(server, "POST")) as answer:
            return HttpAnswer(answer.status, answer.headers, await answer.read(), server.url)

    async with serving(Moods(says(429), says(200))) as server:
        answer, waited = await pauses(clock, read(server))
    assert (answer.body, waited) == (b"200", [500])


# --- never got through --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_starts_a_little_later_is_found(
    client: OutboundHttp, clock: ManualClock, method: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    calling = asyncio.create_task(
        client.send(HttpRequest(url=url, trust="operator", method=method, retries=1))
    )
    await until(lambda: bool(clock.sleepers))
    async with serving(says(200), port=port):
        answer, _ = await pauses(clock, calling)
    assert answer.status == 200


async def test_a_name_that_does_not_exist_is_not_looked_up_again(make_client: MakeClient) -> None:
    names = Names()
    client = make_client(resolver=names)
    with pytest.raises(Unreachable):
        await client.send(HttpRequest(url="http://a.test/", trust="operator", retries=3))
    assert names.lookups == ["a.test"]


async def test_a_read_without_an_answer_is_repeated(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async with serving(Moods(hang_up, say_nothing, says(200))) as server:
        answer, waited = await pauses(clock, client.send(request(server, seconds=0.5)))
    assert (answer.status, waited) == (200, [500, 1000])


@pytest.mark.parametrize(("mood", "error"), [(hang_up, Unreachable), (say_nothing, TookTooLong)])
async def test_a_change_that_may_have_happened_is_not_repeated(
    client: OutboundHttp, mood: Behaviour, error: type[Unreachable]
) -> None:
    async with serving(Moods(mood, says(200))) as server:
        with pytest.raises(error):
            seconds = 0.1 if error is TookTooLong else 60
            await client.send(request(server, "POST", seconds=seconds))
        assert len(server.heard) == 1


async def test_a_change_on_a_connection_that_was_being_closed_is_repeated(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async with serving(Moods(says(200), hang_up, says(201))) as server:
        await client.send(request(server, "POST"))
        answer, waited = await pauses(clock, client.send(request(server, "POST")))
        assert (answer.status, waited) == (201, [500])
        assert [heard.connection for heard in server.heard] == [1, 1, 2]


async def test_what_was_answered_in_part_is_not_repeated(client: OutboundHttp) -> None:
    async with serving(Moods(begin_and_hang_up, says(200))) as server:
        with pytest.raises(Unreachable):
            await client.send(request(server))
        assert len(server.heard) == 1


async def test_refusals_leave_no_connection_behind(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async with serving(Moods(says(503), says(503), says(200))) as server:
        await pauses(clock, client.send(request(server)))
        await until(lambda: server.open <= 1)


async def test_who_is_cancelled_does_not_try_again(
    client: OutboundHttp, clock: ManualClock
) -> None:
    async with serving(says(503)) as server:
        calling = asyncio.create_task(client.send(request(server)))
        await until(lambda: bool(clock.sleepers))
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert not clock.sleepers
        assert len(server.heard) == 1
