"""Calls over TLS: the certificate has to be that of the URL's name."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.core.clock import SystemClock
from forebay.core.errors import AddressRefused, TookTooLong, Unreachable
from forebay.ports.http import HttpRequest
from forebay.testing.clock import ManualClock

from .certificates import Authority
from .servers import Heard, Names, Wire, serving
from .test_streaming import Slow, within_patience

BODY = bytes(range(256)) * 40_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def client_of(authority: Authority | None) -> OutboundHttp:
    return OutboundHttp(
        ManualClock(),
        profile=RuntimeProfile(),
        resolver=Names(right_test=[["127.0.0.1"]], wrong_test=[["127.0.0.1"]]),
        allowed_hosts=["right.test"],
        tls=authority and authority.client(),
    )


async def hello(heard: Heard, wire: Wire) -> None:
    await wire.answer(200, BODY)


async def say_hello(authority: Authority) -> None:
    client = client_of(authority)
    async with serving(hello, tls=authority.server("right.test")) as server:
        url = f"https://right.test:{server.port}/"
        for _ in range(3):
            answer = await client.send(HttpRequest(url=url, trust="public"))
            assert answer.body == BODY
        assert server.connections == 1
        request = HttpRequest(url=url, trust="public", method="POST", body=BODY)
        await client.send(request)
        assert server.heard[3].body == BODY
        assert server.heard[0].headers["host"] == f"right.test:{server.port}"
    await client.aclose()


async def leave_early(authority: Authority) -> None:
    client, slow = client_of(authority), Slow()
    async with serving(slow, tls=authority.server("right.test")) as server:
        request = HttpRequest(url=server.url, trust="operator")
        async with client.stream(request) as answer:
            assert await anext(aiter(answer)) == b"first"
        await within_patience(slow.left)
    await client.aclose()


async def refuse_another_name(authority: Authority) -> None:
    client = client_of(authority)
    async with serving(hello, tls=authority.server("right.test")) as server:
        url = f"https://wrong.test:{server.port}/"
        with pytest.raises(Unreachable, match=r"certificate of wrong.test:\d+ is not accepted"):
            await client.send(HttpRequest(url=url, trust="operator", retries=3))
        assert not server.heard
    await client.aclose()


async def leave_silence(authority: Authority) -> None:
    client, left = client_of(authority), asyncio.Event()

    async def stay_silent(wire: Wire) -> None:
        await wire.left()
        left.set()

    async with serving(meet=stay_silent) as server:
        request = HttpRequest(url=f"https://{server.host}/", trust="operator", timeout_seconds=0.1)
        with pytest.raises(TookTooLong, match=r"could not be connected within 0\.1 seconds"):
            await client.send(request)
        await within_patience(left)
    await client.aclose()


async def test_a_server_with_a_right_certificate_is_called(authority: Authority) -> None:
    await say_hello(authority)


async def test_who_leaves_early_hangs_up(authority: Authority) -> None:
    await leave_early(authority)


async def test_a_certificate_of_another_name_is_refused(authority: Authority) -> None:
    await refuse_another_name(authority)


@pytest.mark.parametrize("test", [say_hello, leave_early, refuse_another_name, leave_silence])
def test_it_works_on_the_event_loop_of_the_server(
    authority: Authority, test: Callable[[Authority], Coroutine[None, None, None]]
) -> None:
    uvloop.run(test(authority))


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    client = client_of(None)
    async with serving(hello, tls=authority.server("right.test")) as server:
        url = f"https://right.test:{server.port}/"
        with pytest.raises(Unreachable, match=r"name its file by SSL_CERT_FILE"):
            await client.send(HttpRequest(url=url, trust="operator"))
    await client.aclose()


async def test_a_server_without_tls_is_named(authority: Authority) -> None:
    client = client_of(authority)
    async with serving(meet=lambda wire: wire.send(b"220 mail.test ESMTP\r\n")) as server:
        with pytest.raises(Unreachable, match="does not speak TLS as expected"):
            url = f"https://{server.host}/"
            await client.send(HttpRequest(url=url, trust="operator", retries=3))
    await client.aclose()


async def test_a_server_that_hangs_up_on_tls_is_unreachable(authority: Authority) -> None:
    async def hang_up(wire: Wire) -> None:
        wire.close()

    client = client_of(authority)
    async with serving(meet=hang_up) as server:
        with pytest.raises(Unreachable, match=server.host):
            await client.send(HttpRequest(url=f"https://{server.host}/", trust="operator"))
    await client.aclose()


async def test_a_server_that_never_speaks_tls_is_not_waited_for(authority: Authority) -> None:
    await leave_silence(authority)


async def test_a_redirect_from_https_to_http_is_refused(authority: Authority) -> None:
    async def down(heard: Heard, wire: Wire) -> None:
        await wire.answer(302, b"", {"location": f"http://{heard.headers['host']}/"})

    client = client_of(authority)
    async with serving(down, tls=authority.server("right.test")) as server:
        url = f"https://right.test:{server.port}/"
        with pytest.raises(AddressRefused, match=r"right\.test leads from https to http"):
            await client.send(HttpRequest(url=url, trust="public", redirects=3))
    await client.aclose()


async def test_the_authorities_of_the_system_are_those_of_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    client = OutboundHttp(SystemClock(), profile=RuntimeProfile())
    async with serving(hello, tls=authority.server("right.test")) as server:
        answer = await client.send(HttpRequest(url=server.url, trust="operator"))
        assert answer.body == BODY
    await client.aclose()
