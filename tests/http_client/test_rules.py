"""What may be called: addresses, names that change, and the runtime profile."""

from pathlib import Path

import pytest

from forebay.builtins.http_client import OutboundHttp
from forebay.builtins.profile import RuntimeProfile
from forebay.core.errors import AddressRefused, Offline, SettingError
from forebay.ports.http import HttpClient, HttpRequest

from .conftest import MakeClient
from .servers import Heard, Names, Wire, serving


async def hello(heard: Heard, wire: Wire) -> None:
    await wire.answer(200, b"hello")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "017700000001", "[::1]",
     "[::ffff:127.0.0.1]", "0.0.0.0", "0"],
)  # fmt: skip
async def test_a_public_url_does_not_lead_to_this_machine(client: OutboundHttp, host: str) -> None:
    async with serving(hello) as server:
        with pytest.raises(AddressRefused, match="is not a public address"):
            await client.send(HttpRequest(url=f"http://{host}:{server.port}/", trust="public"))
        assert server.connections == 0


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "fd00:ec2::254", "127.0.0.1"])
async def test_a_public_name_does_not_lead_to_a_private_address(
    make_client: MakeClient, address: str
) -> None:
    client = make_client(resolver=Names(evil_test=[[address]], mixed_test=[["1.1.1.1", address]]))
    for name in ("evil.test", "mixed.test"):
        with pytest.raises(AddressRefused, match=f"{name} is not a public address") as raised:
            await client.send(HttpRequest(url=f"http://{name}/?key=s3cr3t", trust="public"))
        assert "s3cr3t" not in raised.value.message
        assert address not in raised.value.message


async def test_a_public_url_has_no_user(client: OutboundHttp) -> None:
    with pytest.raises(AddressRefused, match=r"The URL for evil.test has a user in it") as raised:
        await client.send(HttpRequest(url="http://me:s3cr3t@evil.test/", trust="public"))
    assert "s3cr3t" not in raised.value.message


async def test_an_allowed_host_may_be_private(make_client: MakeClient) -> None:
    async with serving(hello) as server:
        client = make_client(allowed=[server.host])
        answer = await client.send(HttpRequest(url=server.url, trust="public"))
        assert answer.body == b"hello"
        with pytest.raises(AddressRefused):
            url = f"http://localhost:{server.port}/"
            await client.send(HttpRequest(url=url, trust="public"))


async def test_what_is_connected_is_the_address_that_was_checked(make_client: MakeClient) -> None:
    names = Names(here_test=[["127.0.0.1"], ["10.255.255.1"]])
    async with serving(hello) as server:
        client = make_client(resolver=names, allowed=["here.test"])
        url = f"http://here.test:{server.port}/"
        await client.send(HttpRequest(url=url, trust="public"))
        assert names.lookups == ["here.test"]
        assert server.heard[0].headers["host"] == f"here.test:{server.port}"


async def test_a_connection_of_the_operator_is_not_one_for_everybody(
    client: OutboundHttp,
) -> None:
    async with serving(hello) as server:
        await client.send(HttpRequest(url=server.url, trust="operator"))
        with pytest.raises(AddressRefused):
            await client.send(HttpRequest(url=server.url, trust="public"))
        await client.send(HttpRequest(url=server.url, trust="operator"))
        assert server.connections == 1


def test_the_client_is_one_of_the_port(client: OutboundHttp) -> None:
    port: HttpClient = client
    assert port is client


def test_a_client_does_not_start_with_an_allowed_host_that_is_none(
    make_client: MakeClient,
) -> None:
    with pytest.raises(SettingError):
        make_client(allowed=["https://example.org"])


# --- the runtime profile ------------------------------------------------------------------------


async def test_offline_the_operators_local_servers_may_be_called(make_client: MakeClient) -> None:
    async with serving(hello) as server:
        client = make_client(profile=RuntimeProfile("offline"))
        for host in ("127.0.0.1", "localhost"):
            url = f"http://{host}:{server.port}/"
            assert (await client.send(HttpRequest(url=url, trust="operator"))).body == b"hello"


async def test_offline_nothing_else_may_be_called(make_client: MakeClient) -> None:
    names = Names(far_test=[["1.1.1.1"]], both_test=[["127.0.0.1", "1.1.1.1"]])
    client = make_client(profile=RuntimeProfile("offline"), resolver=names)
    for name in ("far.test", "both.test"):
        with pytest.raises(Offline, match=f"offline, and {name} is not") as raised:
            await client.send(HttpRequest(url=f"https://{name}/", trust="operator"))
        assert raised.value.message.endswith("set FOREBAY_RUNTIME_PROFILE to online.")


async def test_offline_nobody_is_asked_for_names_that_may_not_be_called(
    make_client: MakeClient,
) -> None:
    names = Names(far_test=[["1.1.1.1"]])
    client = make_client(profile=RuntimeProfile("offline"), resolver=names)
    with pytest.raises(Offline):
        await client.send(HttpRequest(url="http://far.test/", trust="public"))
    with pytest.raises(Offline):
        await client.send(HttpRequest(url="http://127.0.0.1:9/", trust="public"))
    assert names.lookups == []


async def test_offline_a_name_that_nobody_knows_is_not_local(make_client: MakeClient) -> None:
    client = make_client(profile=RuntimeProfile("offline"), resolver=Names())
    with pytest.raises(Offline):
        await client.send(HttpRequest(url="http://far.test/", trust="operator", retries=2))


async def test_offline_an_allowed_local_host_may_be_called(make_client: MakeClient) -> None:
    async with serving(hello) as server:
        names = Names(near_test=[["127.0.0.1"]])
        profile = RuntimeProfile("offline")
        client = make_client(profile=profile, resolver=names, allowed=["near.test"])
        url = f"http://near.test:{server.port}/"
        assert (await client.send(HttpRequest(url=url, trust="public"))).body == b"hello"


async def test_the_profile_is_asked_at_each_call(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "profile"
    names = Names(near_test=[["127.0.0.1"]])
    async with serving(hello) as server:
        client = make_client(profile=RuntimeProfile(file=file), resolver=names)
        request = HttpRequest(url=f"http://127.0.0.1:{server.port}/", trust="public")
        with pytest.raises(Offline, match="write online into the file"):
            await client.send(request)
        file.write_text("online")
        with pytest.raises(AddressRefused) as raised:
            await client.send(request)
        assert not isinstance(raised.value, Offline)
        file.write_text("offline")
        with pytest.raises(Offline):
            await client.send(request)


async def test_going_offline_leaves_open_connections_unused(
    make_client: MakeClient, tmp_path: Path
) -> None:
    file = tmp_path / "profile"
    file.write_text("online")
    names = Names(far_test=[["127.0.0.1"], ["1.1.1.1"]])
    async with serving(hello) as server:
        client = make_client(profile=RuntimeProfile(file=file), resolver=names)
        request = HttpRequest(url=f"http://far.test:{server.port}/", trust="operator")
        for _ in range(2):
            await client.send(request)
        assert server.connections == 1
        file.write_text("offline")
        with pytest.raises(Offline):
            await client.send(request)
        assert len(server.heard) == 2
