"""Following redirects: where they may lead, and what goes along."""

import pytest

from forebay.builtins.http_client import OutboundHttp
from forebay.core.errors import AddressRefused, Unreachable
from forebay.ports.http import HttpRequest
from forebay.testing.clock import ManualClock

from .conftest import MakeClient
from .servers import Behaviour, Heard, Names, Server, Wire, serving

CREDENTIALS = {
    "Authorization": "Bearer s3cr3t",
    "Cookie": "a=s3cr3t",
    "X-Api-Key": "s3cr3t",
    "Ocp-Apim-Subscription-Key": "s3cr3t",
    "Accept": "text/html",
}


def leading(to: str, status: int = 302) -> Behaviour:
    """Leads to somewhere, and answers there."""

    async def behave(heard: Heard, wire: Wire) -> None:
        if heard.target == "/start":
            await wire.answer(status, b"moved", {"location": to})
        else:
            await wire.answer(200, heard.target.encode())

    return behave


def start(
    server: Server, method: str = "GET", body: bytes = b"", redirects: int = 3
) -> HttpRequest:
    return HttpRequest(
        url=f"{server.url}/start",
        trust="public",
        method=method,
        body=body,
        headers={**CREDENTIALS, "Content-Type": "text/plain"},
        redirects=redirects,
    )


@pytest.fixture
def allowing(make_client: MakeClient) -> OutboundHttp:
    """A client that may call servers on this machine by address."""
    return make_client(allowed=["127.0.0.1"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("to", "target"), [("/end?a=b", "/end?a=b"), ("end#part", "/end"), ("/ü", "/%C3%BC")]
)
async def test_a_redirect_is_followed(
    allowing: OutboundHttp, status: int, to: str, target: str
) -> None:
    async with serving(leading(to, status)) as server:
        answer = await allowing.send(start(server))
        assert (answer.status, answer.body) == (200, target.encode())
        assert answer.url.startswith(f"{server.url}{target}")


async def test_a_redirect_is_an_answer_unless_asked_to_follow(allowing: OutboundHttp) -> None:
    async with serving(leading("/end")) as server:
        answer = await allowing.send(start(server, redirects=0))
    assert (answer.status, answer.headers["location"]) == (302, "/end")


async def test_a_redirect_to_nowhere_is_an_answer(allowing: OutboundHttp) -> None:
    async with serving(lambda heard, wire: wire.answer(302, b"lost")) as server:
        assert (await allowing.send(start(server))).status == 302


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (303, "HEAD", "HEAD", b""),
        (302, "PUT", "PUT", b"body"),
        (307, "POST", "POST", b"body"),
        (308, "POST", "POST", b"body"),
    ],
)
async def test_a_method_changes_as_the_status_says(
    allowing: OutboundHttp, status: int, method: str, then: str, body: bytes
) -> None:
    async with serving(leading("/end", status)) as server:
        await allowing.send(start(server, method, b"" if method == "HEAD" else b"body"))
        first, second = server.heard
    assert (first.method, second.method, second.body) == (method, then, body)
    assert ("content-type" in second.headers) is (then == method)


async def test_credentials_stay_with_their_origin(allowing: OutboundHttp) -> None:
    async with serving(leading("/end")) as other, serving(leading(other.url)) as server:
        await allowing.send(start(other))
        await allowing.send(start(server))
        same, foreign = other.heard[1], other.heard[2]
    assert same.headers["authorization"] == "Bearer s3cr3t"
    assert "s3cr3t" not in str(foreign.headers)
    assert foreign.headers["accept"] == "text/html"
    assert foreign.headers["host"] == other.host


async def test_credentials_do_not_come_back_with_the_origin(allowing: OutboundHttp) -> None:
    async with serving(leading("/end")) as server, serving(leading(f"{server.url}/end")) as other:
        server.behave = leading(f"{other.url}/start")
        await allowing.send(start(server))
    assert "s3cr3t" in str(server.heard[0].headers)
    assert "s3cr3t" not in str(server.heard[1].headers)


async def test_a_redirect_of_an_operators_server_has_to_lead_to_a_public_address(
    make_client: MakeClient,
) -> None:
    names = Names(mine_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    client = make_client(resolver=names)
    for to in ("/end", "http://other.test/", "http://169.254.169.254/latest/", "http://[::1]/"):
        async with serving(leading(to)) as server:
            url = f"http://mine.test:{server.port}/start"
            with pytest.raises(AddressRefused, match="is not a public address"):
                await client.send(HttpRequest(url=url, trust="operator", redirects=1))
            assert len(server.heard) == 1


@pytest.mark.parametrize(
    "to",
    ["file:///etc/passwd", "javascript:alert(1)", "ftp://127.0.0.1/",
     "http://me:s3cr3t@127.0.0.1/", "gopher://127.0.0.1/", "http://127.0.0.1:99999/"],
)  # fmt: skip
async def test_a_redirect_to_what_is_no_url_of_a_server_is_refused(
    allowing: OutboundHttp, to: str
) -> None:
    async with serving(leading(to)) as server:
        with pytest.raises(AddressRefused) as raised:
            await allowing.send(start(server))
    assert "s3cr3t" not in raised.value.message


async def test_a_redirect_of_an_operators_server_names_no_user(allowing: OutboundHttp) -> None:
    async with serving(leading("http://me:s3cr3t@127.0.0.1/")) as server:
        request = HttpRequest(url=f"{server.url}/start", trust="operator", redirects=1)
        with pytest.raises(AddressRefused, match="has a user in it"):
            await allowing.send(request)


async def test_a_redirect_that_goes_round_ends(allowing: OutboundHttp) -> None:
    async with serving(leading("/start")) as server:
        with pytest.raises(Unreachable, match=f"{server.host} redirects more than 3 times"):
            await allowing.send(start(server))
        assert len(server.heard) == 4


async def test_a_stream_follows_too(allowing: OutboundHttp) -> None:
    async with serving(leading("/end")) as server, allowing.stream(start(server)) as answer:
        assert await answer.read() == b"/end"


async def test_a_call_has_its_retries_once_for_all_redirects(
    make_client: MakeClient, clock: ManualClock
) -> None:
    async def busy(heard: Heard, wire: Wire) -> None:
        refused = len([each for each in server.heard if each.target == heard.target]) == 1
        status = 503 if refused else 302
        await wire.answer(status, b"", {"location": f"{heard.target}x"})

    client = make_client(allowed=["127.0.0.1"], clock=clock, chance=lambda: 0.0)
    async with serving(busy) as server:
        request = HttpRequest(url=server.url, trust="public", redirects=5, retries=1)
        assert (await client.send(request)).status == 503
        assert [heard.target for heard in server.heard] == ["/", "/", "/x"]
