"""Taking the port."""

import socket

import pytest

from forebay.cli.listen import listen, url_of
from forebay.cli.outcome import Refusal


def test_a_free_port_is_taken_and_accepts_at_once() -> None:
    listening = listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", listening.port), timeout=5):
        pass
    for each in listening.sockets:
        each.close()


def test_every_address_of_a_name_gets_the_same_port() -> None:
    listening = listen("localhost", 0)
    assert {each.getsockname()[1] for each in listening.sockets} == {listening.port}
    for each in listening.sockets:
        each.close()


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refusal, match=f"Port {port} is in use"):
            listen("127.0.0.1", port)


def test_all_addresses_are_those_of_ipv4_too() -> None:
    listening = listen("::", 0)
    with socket.create_connection(("127.0.0.1", listening.port), timeout=5):
        pass
    for each in listening.sockets:
        each.close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here_is_refused(host: str) -> None:
    with pytest.raises(Refusal, match=host):
        listen(host, 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("box", "http://box:80"),
    ],
)
def test_a_url_leads_there_from_this_machine(host: str, url: str) -> None:
    assert url_of(host, 80) == url
