"""Sending a request and reading a whole answer, also when the other side misbehaves."""

import asyncio
import gzip
import socket
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from forebay.builtins.http_client import OutboundHttp
from forebay.core.errors import AddressRefused, AnswerTooLarge, HttpError, TookTooLong, Unreachable
from forebay.ports.http import HttpRequest

from .conftest import MakeClient
from .servers import Behaviour, Heard, Names, Wire, free_port, serving

SECRET = "s3cr3t"


async def hello(heard: Heard, wire: Wire) -> None:
    await wire.answer(200, b"hello", {"X-Kind": "greeting"})


async def test_an_answer_is_read_whole(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        answer = await client.send(HttpRequest(url=f"{server.url}/a?b=c", trust="operator"))
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["x-kind"] == "greeting"
    assert answer.url == f"{server.url}/a?b=c"


async def test_a_request_arrives_as_it_was_made(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        request = HttpRequest(
            url=f"{server.url}/ü b?q=ä",
            trust="operator",
            method="POST",
            headers={"X-Key": "value", "Content-Type": "text/plain"},
            body=b"body",
        )
        await client.send(request)
    heard = server.heard[0]
    assert (heard.method, heard.target, heard.body) == ("POST", "/%C3%BC%20b?q=%C3%A4", b"body")
    assert heard.headers["x-key"] == "value"
    assert heard.headers["host"] == server.host
    assert heard.headers["user-agent"].startswith("forebay/")


async def test_a_request_cannot_name_another_host_than_its_url(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        headers = {"Host": "other.test", "Content-Length": "999"}
        await client.send(HttpRequest(url=server.url, trust="operator", headers=headers))
    assert server.heard[0].headers["host"] == server.host
    assert "content-length" not in server.heard[0].headers


async def test_an_empty_post_says_that_it_is_empty(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        await client.send(HttpRequest(url=server.url, trust="operator", method="POST"))
    assert server.heard[0].headers["content-length"] == "0"


async def test_a_connection_is_used_again(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        for _ in range(3):
            await client.send(HttpRequest(url=server.url, trust="operator"))
        assert server.connections == 1


async def test_a_connection_that_the_server_closed_is_not_used_again(client: OutboundHttp) -> None:
    async def once(heard: Heard, wire: Wire) -> None:
        await hello(heard, wire)
        wire.close()

    async with serving(once) as server:
        for _ in range(3):
            await client.send(HttpRequest(url=server.url, trust="operator", method="POST"))
        assert server.connections == 3


async def test_the_user_in_an_operators_url_is_said_as_basic_authorization(
    client: OutboundHttp,
) -> None:
    async with serving(hello) as server:
        url = f"http://me:p%40ss@{server.host}/"
        answer = await client.send(HttpRequest(url=url, trust="operator"))
        assert answer.url == f"{server.url}/"
    expected = b64encode(b"me:p@ss").decode()
    assert server.heard[0].headers["authorization"] == f"Basic {expected}"


async def test_any_status_is_an_answer(client: OutboundHttp) -> None:
    async with serving(lambda heard, wire: wire.answer(500, b"broken")) as server:
        answer = await client.send(HttpRequest(url=server.url, trust="operator"))
    assert (answer.status, answer.body) == (500, b"broken")


async def test_headers_that_come_twice_are_joined(client: OutboundHttp) -> None:
    async def twice(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nX: \xff\r\ncontent-length: 0\r\n\r\n"
        )

    async with serving(twice) as server:
        answer = await client.send(HttpRequest(url=server.url, trust="operator"))
    assert (answer.headers["via"], answer.headers["x"]) == ("a, b", "ÿ")


# --- packed bodies and their size ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"text")), ("deflate", zlib.compress(b"text")), ("identity", b"text")],
)
async def test_a_packed_body_is_unpacked(
    client: OutboundHttp, encoding: str, packed: bytes
) -> None:
    headers = {"content-encoding": encoding}
    async with serving(lambda heard, wire: wire.answer(200, packed, headers)) as server:
        answer = await client.send(HttpRequest(url=server.url, trust="operator"))
        assert answer.body == b"text"
        await client.send(HttpRequest(url=server.url, trust="operator"))
        assert server.connections == 1
    assert server.heard[0].headers["accept-encoding"] == "gzip, deflate"


async def test_a_body_that_cannot_be_unpacked_is_an_error(client: OutboundHttp) -> None:
    headers = {"content-encoding": "gzip"}
    async with serving(lambda heard, wire: wire.answer(200, b"no gzip", headers)) as server:
        with pytest.raises(Unreachable, match="cannot be unpacked"):
            await client.send(HttpRequest(url=server.url, trust="operator"))


async def test_a_body_may_be_as_large_as_was_asked_for(client: OutboundHttp) -> None:
    async with serving(lambda heard, wire: wire.answer(200, b"x" * 100)) as server:
        answer = await client.send(HttpRequest(url=server.url, trust="operator", max_bytes=100))
        assert len(answer.body) == 100
        with pytest.raises(AnswerTooLarge, match=f"{server.host} answers with more than 99 bytes"):
            await client.send(HttpRequest(url=server.url, trust="operator", max_bytes=99))


async def test_a_bomb_is_not_unpacked_to_its_end(client: OutboundHttp) -> None:
    packing = zlib.compressobj(wbits=31)
    bomb = b"".join(packing.compress(bytes(1 << 20)) for _ in range(64)) + packing.flush()
    headers = {"content-encoding": "gzip"}
    async with serving(lambda heard, wire: wire.answer(200, bomb, headers)) as server:
        request = HttpRequest(url=server.url, trust="operator", max_bytes=2_000_000)
        async with client.stream(request) as answer:
            unpacked = 0
            with pytest.raises(AnswerTooLarge):
                async for piece in answer:
                    unpacked += len(piece)
    assert unpacked <= 2_000_000


async def test_a_body_without_end_is_not_read_to_its_end(client: OutboundHttp) -> None:
    async def endless(heard: Heard, wire: Wire) -> None:
        await wire.begin()
        while True:
            await wire.chunk(b"x" * 1000)

    async with serving(endless) as server:
        with pytest.raises(AnswerTooLarge):
            await client.send(HttpRequest(url=server.url, trust="operator", max_bytes=10_000))


# --- servers that misbehave ---------------------------------------------------------------------


async def silence(heard: Heard, wire: Wire) -> None:
    await wire.left()


async def half_a_body(heard: Heard, wire: Wire) -> None:
    await wire.begin()
    await wire.chunk(b"half")
    await wire.left()


async def wrong_length(heard: Heard, wire: Wire) -> None:
    await wire.answer(200, b"short", {"content-length": "99"})
    wire.close()


async def reset_body(heard: Heard, wire: Wire) -> None:
    await wire.begin()
    wire.reset()


async def half_a_head(heard: Heard, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-le")
    wire.close()


async def no_answer(heard: Heard, wire: Wire) -> None:
    wire.close()


async def no_http(heard: Heard, wire: Wire) -> None:
    await wire.send(b"220 mail.test ESMTP\r\n\r\n")


async def endless_head(heard: Heard, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000)


@pytest.mark.parametrize(
    ("behave", "error", "message"),
    [
        (silence, TookTooLong, "sent nothing for 0.1 seconds"),
        (half_a_body, TookTooLong, "sent nothing for 0.1 seconds"),
        (wrong_length, Unreachable, "stopped in the middle of its answer"),
        (reset_body, Unreachable, "stopped in the middle of its answer"),
        (half_a_head, Unreachable, "does not answer in HTTP"),
        (no_answer, Unreachable, "closed the connection without an answer"),
        (no_http, Unreachable, "does not answer in HTTP"),
        (endless_head, Unreachable, "does not answer in HTTP"),
    ],
)
async def test_a_server_that_misbehaves_is_named(
    client: OutboundHttp, behave: Behaviour, error: type[HttpError], message: str
) -> None:
    async with serving(behave) as server:
        request = HttpRequest(
            url=f"http://user:{SECRET}@{server.host}/{SECRET}?key={SECRET}",
            trust="operator",
            headers={"authorization": f"Bearer {SECRET}"},
            timeout_seconds=0.1 if error is TookTooLong else 60,
        )
        with pytest.raises(error, match=message) as raised:
            await client.send(request)
    assert type(raised.value) is error
    assert raised.value.message.startswith(server.host)
    assert SECRET not in raised.value.message


async def test_a_server_that_is_not_there_is_named(client: OutboundHttp) -> None:
    port = free_port()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} refuses connections") as raised:
        await client.send(HttpRequest(url=f"http://127.0.0.1:{port}/", trust="operator"))
    assert "is the server running?" in raised.value.message


async def test_a_name_that_nobody_knows_is_named(make_client: MakeClient) -> None:
    client = make_client(resolver=Names())
    with pytest.raises(Unreachable, match=r"Nobody knows where modle\.test is"):
        await client.send(HttpRequest(url="http://modle.test/", trust="operator"))


async def test_a_resolver_that_does_not_answer_is_not_waited_for(make_client: MakeClient) -> None:
    class Lost(Names):
        async def resolve(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    client = make_client(resolver=Lost())
    request = HttpRequest(url="http://slow.test/", trust="operator", timeout_seconds=0.05)
    with pytest.raises(TookTooLong, match=r"slow.test could not be connected within 0.05 seconds"):
        await client.send(request)


async def test_a_key_with_a_line_break_is_refused_and_not_shown(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        headers = {"authorization": f"Bearer {SECRET}\n"}
        with pytest.raises(HttpError, match="line break in a key") as raised:
            await client.send(HttpRequest(url=server.url, trust="operator", headers=headers))
    assert SECRET not in raised.value.message
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert not server.heard


@pytest.mark.parametrize(
    "url", ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "http://", "http://[::",
            "http://host:99999/", "http:///path", "//example.org/"],
)  # fmt: skip
async def test_what_is_no_url_of_a_server_is_refused(client: OutboundHttp, url: str) -> None:
    with pytest.raises(AddressRefused):
        await client.send(HttpRequest(url=url, trust="operator"))


async def test_the_next_address_of_a_host_is_tried(make_client: MakeClient) -> None:
    async with serving(hello) as server:
        resolver = Names(two_test=[["127.0.0.2", "::1", "127.0.0.1"]])
        client = make_client(resolver=resolver)
        url = f"http://two.test:{server.port}/"
        answer = await client.send(HttpRequest(url=url, trust="operator"))
        assert answer.body == b"hello"
        assert server.heard[0].headers["host"] == f"two.test:{server.port}"


async def test_an_address_that_keeps_silent_does_not_hold_up_the_next_one(
    make_client: MakeClient,
) -> None:
    async with serving(hello) as server, silent("::1", server.port):
        client = make_client(resolver=Names(two_test=[["::1", "127.0.0.1"]]))
        url = f"http://two.test:{server.port}/"
        request = HttpRequest(url=url, trust="operator", timeout_seconds=3)
        assert (await client.send(request)).body == b"hello"


@asynccontextmanager
async def silent(address: str, port: int) -> AsyncGenerator[None]:
    """A place where connections are neither made nor refused: its queue is full."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        try:
            listener = socket.socket(socket.AF_INET6)
            stack.callback(listener.close)
            listener.bind((address, port))
        except OSError:  # a machine without IPv6: the address is refused, which is quicker
            yield
            return
        listener.listen(0)
        for _ in range(3):
            waiting = socket.socket(socket.AF_INET6)
            waiting.setblocking(False)
            stack.callback(waiting.close)
            connecting = asyncio.create_task(loop.sock_connect(waiting, (address, port)))
            await asyncio.wait([connecting], timeout=0.05)
            stack.push_async_callback(asyncio.wait, [connecting])
            stack.callback(connecting.cancel)
        yield


async def test_a_host_none_of_whose_addresses_answers_is_unreachable(
    make_client: MakeClient,
) -> None:
    client = make_client(resolver=Names(two_test=[["127.0.0.2", "127.0.0.1"]]))
    with pytest.raises(Unreachable, match="refuses connections"):
        await client.send(HttpRequest(url=f"http://two.test:{free_port()}/", trust="operator"))


def test_the_http_library_is_not_imported_before_the_first_call() -> None:
    program = """
import sys
from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.core.clock import SystemClock
OutboundHttp(SystemClock(), profile=RuntimeProfile())
print(sorted({"httpx2", "httpcore2", "h11", "anyio"} & sys.modules.keys()))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
