"""Which web pages may use this server, and under which names it answers."""

import pytest

from forebay.core.errors import ForeignHost, ForeignOrigin
from forebay.http.origin import OriginPolicy
from tests.support.asgi import Client
from tests.support.edge import edge_of, route

OWN = b"127.0.0.1:8000"


def check(policy: OriginPolicy, origin: bytes | None = None, host: bytes = OWN) -> None:
    headers = {b"host": host} | ({} if origin is None else {b"origin": origin})
    policy.check(headers)


def test_a_client_that_is_no_web_page_has_no_origin():
    check(OriginPolicy())


@pytest.mark.parametrize("origin", [b"http://127.0.0.1:8000", b"https://127.0.0.1:8000"])
def test_our_own_pages_may(origin: bytes):
    check(OriginPolicy(), origin)


@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"http://127.0.0.1:9000",
        b"http://127.0.0.1",
        b"http://127.0.0.1:8000.evil.example",
        b"http://evil.example/127.0.0.1:8000",
        b"http://127.0.0.1:8000@evil.example",
        b"null",
        b"",
        b"http://[",
        b"http://]",
        b"http://[::1",
        b"\xff\xfe",
        b"http://\xe2\x84\x80",
    ],
)
def test_pages_of_others_may_not(origin: bytes):
    with pytest.raises(ForeignOrigin):
        check(OriginPolicy(), origin)


def test_pages_that_are_allowed_may():
    policy = OriginPolicy(allowed=("https://app.example",))
    check(policy, b"https://app.example")
    with pytest.raises(ForeignOrigin):
        check(policy, b"http://app.example")
    check(OriginPolicy(allowed=("*",)), b"https://any.example")


def test_pages_whose_whole_origin_matches_may():
    policy = OriginPolicy(pattern=r"http://localhost(:\d+)?")
    check(policy, b"http://localhost:3000")
    check(policy, b"http://localhost")
    for origin in (b"http://localhost.evil.example", b"https://localhost", b"x" * 301):
        with pytest.raises(ForeignOrigin):
            check(policy, origin)
    with pytest.raises(ForeignOrigin):
        check(OriginPolicy(pattern=".*"), b"http://" + b"x" * 300)


def test_with_authentication_the_origin_is_not_asked():
    check(OriginPolicy(check_origin=False), b"http://evil.example")


@pytest.mark.parametrize(
    "host",
    [b"127.0.0.1:8000", b"localhost:8000", b"localhost", b"LOCALHOST:8000", b"[::1]:8000", b""],
)
def test_a_local_server_answers_to_loopback_names(host: bytes):
    check(OriginPolicy(loopback_only=True), host=host)


@pytest.mark.parametrize(
    "host",
    [b"evil.example", b"evil.example:8000", b"127.0.0.1.evil.example", b"localhost.evil.example",
     b"evil@example", b"[", b"[::1", b"\xff"],
)  # fmt: skip
def test_a_local_server_does_not_answer_to_other_names(host: bytes):
    policy = OriginPolicy(loopback_only=True)
    for _ in range(2):
        with pytest.raises(ForeignHost):
            check(policy, host=host)


def test_a_name_can_be_configured():
    policy = OriginPolicy(loopback_only=True, hosts=("box.lan",))
    check(policy, host=b"box.lan:8000")
    with pytest.raises(ForeignHost):
        check(policy, host=b"other.lan:8000")


def test_a_server_on_a_public_address_answers_to_any_name():
    check(OriginPolicy(), host=b"any.example")


def test_many_good_names_are_still_answered():
    policy = OriginPolicy(loopback_only=True)
    for port in range(1000):
        check(policy, host=b"localhost:%d" % port)


# --- over the edge ------------------------------------------------------------------------------

POLICY = OriginPolicy(allowed=("https://app.example",), loopback_only=True)
CLIENT = Client(edge_of(route("GET", "/"), origins=POLICY))
APP = {"origin": "https://app.example"}


async def test_an_allowed_page_may_read_the_answer():
    got = await CLIENT.get("/", headers=APP)
    assert got.status == 200
    assert got.headers["access-control-allow-origin"] == "https://app.example"
    assert got.headers["vary"] == "origin"
    assert "x-run-id" in got.headers["access-control-expose-headers"]


async def test_an_allowed_page_may_read_an_error_too():
    got = await CLIENT.get("/nothing", headers=APP)
    assert got.status == 404
    assert got.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_browser_may_ask_before():
    got = await CLIENT.send(
        "OPTIONS",
        "/",
        headers=APP | {"access-control-request-headers": "content-type, idempotency-key"},
    )
    assert (got.status, got.body) == (204, b"")
    assert got.headers["access-control-allow-origin"] == "https://app.example"
    assert got.headers["access-control-allow-headers"] == "content-type, idempotency-key"
    assert "DELETE" in got.headers["access-control-allow-methods"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://[", "null", "\xff"])
async def test_another_page_gets_a_403_and_may_not_read_it(method: str, origin: str):
    got = await CLIENT.send(method, "/", headers={"origin": origin})
    assert (got.status, got.json()["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize("host", ["evil.example", "[", "\xff"])
async def test_another_name_gets_a_403(host: str):
    got = await CLIENT.get("/", headers={"host": host})
    assert (got.status, got.json()["code"]) == (403, "foreign_host")


async def test_a_client_without_an_origin_hears_nothing_of_this():
    got = await CLIENT.get("/")
    assert not [name for name in got.headers if name.startswith("access-control")]
