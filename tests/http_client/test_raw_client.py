"""A client for libraries that bring their own ways: the same rules hold below it."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.core.errors import AddressRefused, Offline

from .conftest import MakeClient
from .servers import Behaviour, Heard, Names, Wire, free_port, serving
from .test_sending import SECRET, half_a_body, hello, no_answer, no_http, silence, wrong_length
from .test_streaming import Slow, within_patience


async def test_it_calls_as_the_library_does(client: OutboundHttp) -> None:
    raw = client.raw_client(trust="operator", headers={"X-Key": "value"})
    async with serving(hello) as server, raw:
        answer = await raw.post(f"{server.url}/a?b=c", json={"say": "hello"})
        assert (answer.status_code, answer.text) == (200, "hello")
        await raw.get(server.url)
    first = server.heard[0]
    assert (first.method, first.target, first.body) == ("POST", "/a?b=c", b'{"say":"hello"}')
    assert first.headers["x-key"] == "value"
    assert first.headers["user-agent"].startswith("forebay/")
    assert server.connections == 1


async def test_it_streams_and_hangs_up(client: OutboundHttp) -> None:
    slow = Slow()
    async with serving(slow) as server, client.raw_client(trust="operator") as raw:
        async with raw.stream("GET", server.url) as answer:
            async for piece in answer.aiter_bytes():
                assert piece == b"first"
                break
        await within_patience(slow.left)


async def test_it_follows_no_redirect(client: OutboundHttp) -> None:
    async def away(heard: Heard, wire: Wire) -> None:
        await wire.answer(302, b"", {"location": "/end"})

    async with serving(away) as server, client.raw_client(trust="operator") as raw:
        assert (await raw.get(server.url)).status_code == 302


async def test_it_keeps_the_rules_of_addresses(make_client: MakeClient) -> None:
    async with serving(hello) as server:
        client = make_client(allowed=[f"localhost:{server.port}"])
        async with client.raw_client(trust="public") as raw:
            with pytest.raises(AddressRefused):
                await raw.get(server.url)
            with pytest.raises(AddressRefused):
                await raw.get("http://me:s3cr3t@example.org/")
            with pytest.raises(AddressRefused):
                await raw.get("ftp://example.org/")
            answer = await raw.get(f"http://localhost:{server.port}/")
            assert answer.text == "hello"


async def test_it_asks_the_profile_at_each_call(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "profile"
    file.write_text("online")
    client = make_client(
        profile=RuntimeProfile(file=file), resolver=Names(far_test=[["127.0.0.1"], ["1.1.1.1"]])
    )
    async with serving(hello) as server, client.raw_client(trust="operator") as raw:
        await raw.get(f"http://far.test:{server.port}/")
        file.write_text("offline")
        with pytest.raises(Offline):
            await raw.get(f"http://far.test:{server.port}/")
        assert (await raw.get(server.url)).text == "hello"


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (silence, httpx2.ReadTimeout),
        (half_a_body, httpx2.ReadTimeout),
        (wrong_length, httpx2.RemoteProtocolError),
        (no_answer, httpx2.ReadError),
        (no_http, httpx2.RemoteProtocolError),
    ],
)
async def test_it_fails_as_the_library_does(
    client: OutboundHttp, behave: Behaviour, error: type[httpx2.HTTPError]
) -> None:
    seconds = 0.1 if error is httpx2.ReadTimeout else 60
    raw = client.raw_client(trust="operator", timeout_seconds=seconds)
    async with serving(behave) as server, raw:
        with pytest.raises(error, match=server.host) as raised:
            await raw.get(f"{server.url}/{SECRET}")
    assert type(raised.value) is error
    assert SECRET not in str(raised.value)


async def test_a_server_that_is_not_there_is_named(client: OutboundHttp) -> None:
    async with client.raw_client(trust="operator", timeout_seconds=None) as raw:
        with pytest.raises(httpx2.ConnectError, match="refuses connections"):
            await raw.get(f"http://127.0.0.1:{free_port()}/")


async def test_a_key_with_a_line_break_is_refused_and_not_shown(client: OutboundHttp) -> None:
    async with serving(hello) as server, client.raw_client(trust="operator") as raw:
        with pytest.raises(httpx2.LocalProtocolError, match="line break in a key") as raised:
            await raw.get(server.url, headers={"authorization": f"Bearer {SECRET}\n"})
    assert SECRET not in str(raised.value)


async def test_closing_it_leaves_the_others_connected(client: OutboundHttp) -> None:
    async with serving(hello) as server:
        for _ in range(2):
            async with client.raw_client(trust="operator") as raw:
                await raw.get(server.url)
        assert server.connections == 1


async def test_closing_the_client_hangs_up_everywhere(client: OutboundHttp) -> None:
    slow = Slow()
    async with serving(slow) as server, client.raw_client(trust="operator") as raw:

        async def read() -> None:
            async with raw.stream("GET", server.url) as answer:
                await answer.aread()

        reading = asyncio.create_task(read())
        await within_patience(slow.came)
        await client.aclose()
        with pytest.raises(httpx2.HTTPError):
            await reading
        await within_patience(slow.left)
