"""Which addresses are public, which are local, and which hosts the operator allows."""

from ipaddress import ip_address

import pytest

from forebay.builtins.addresses import AllowedHosts, Rule, is_local, is_public, shown
from forebay.core.errors import AddressRefused, Offline, SettingError

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
    "2a00:1450::8888", "64:ff9b::808:808",
]  # fmt: skip
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1",
    "127.255.255.255", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1",
]  # fmt: skip
LOCAL = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "::", "::1", "fd12::1", "::ffff:10.0.0.1",
]  # fmt: skip
NOT_LOCAL = [
    "8.8.8.8", "169.254.169.254", "100.64.0.1", "0.0.0.1", "::2", "2606:4700::1111", "fe80::1",
    "::ffff:8.8.8.8", "224.0.0.1", "64:ff9b::a00:1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_what_anybody_can_call_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_only_some_can_call_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", LOCAL)
def test_this_machine_and_private_networks_are_local(text: str) -> None:
    assert is_local(ip_address(text))


@pytest.mark.parametrize("text", NOT_LOCAL)
def test_everything_else_is_not_local(text: str) -> None:
    assert not is_local(ip_address(text))


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("example.org", "example.org", 443),
        ("Example.ORG.", "example.org", 80),
        ("example.org", "EXAMPLE.org.", 80),
        ("example.org:8443", "example.org", 8443),
        (" example.org ", "example.org", 80),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("::1", "::1", 80),
        ("[::1]", "::1", 80),
        ("[::1]:8080", "::1", 8080),
        ("fd00:0:0::1", "fd00::1", 80),
    ],
)
def test_a_host_is_allowed_by_name(entry: str, host: str, port: int) -> None:
    assert AllowedHosts.read([entry]).include(host, port)


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("example.org", "sub.example.org", 443),
        ("example.org", "badexample.org", 443),
        ("example.org:8443", "example.org", 443),
        ("127.0.0.1", "2130706433", 80),
        ("127.0.0.1", "localhost", 80),
        ("[::1]:8080", "::1", 80),
    ],
)
def test_another_host_or_port_is_not_allowed(entry: str, host: str, port: int) -> None:
    assert not AllowedHosts.read([entry]).include(host, port)


@pytest.mark.parametrize(
    "entry", ["", " ", "https://example.org", "example.org/", "host:0", "host:65536", "host:http",
              "host:٣", "[::1]:x", "host:-1"],
)  # fmt: skip
def test_what_is_no_host_cannot_be_allowed(entry: str) -> None:
    with pytest.raises(SettingError, match="is not a host"):
        AllowedHosts.read([entry])


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [("a.test", 443, "a.test"), ("a.test", 80, "a.test"), ("a.test", 81, "a.test:81"),
     ("::1", 81, "[::1]:81"), ("::1", 80, "::1")],
)  # fmt: skip
def test_a_host_is_shown_with_a_port_that_says_something(
    host: str, port: int, expected: str
) -> None:
    assert shown(host, port) == expected


NAMED = AllowedHosts.read(["named.test"])
ONE, MIXED = [ip_address("8.8.8.8")], [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
PRIVATE = [ip_address("10.0.0.1")]


def test_online_the_operator_may_name_any_host() -> None:
    rule = Rule("operator", True, NAMED)
    rule.check_name("any.test", 80)
    rule.check_addresses("any.test", 80, MIXED)


def test_online_all_addresses_of_a_public_host_have_to_be_public() -> None:
    rule = Rule("public", True, NAMED)
    rule.check_name("any.test", 80)
    rule.check_addresses("any.test", 80, ONE)
    with pytest.raises(AddressRefused, match="FOREBAY_OUTBOUND_ALLOWED_HOSTS"):
        rule.check_addresses("any.test", 80, MIXED)
    rule.check_addresses("named.test", 80, MIXED)


def test_offline_only_local_addresses_of_named_hosts_may_be_called() -> None:
    operator = Rule("operator", False, NAMED)
    operator.check_name("any.test", 80)
    operator.check_addresses("any.test", 80, PRIVATE)
    with pytest.raises(Offline):
        operator.check_addresses("any.test", 80, MIXED)
    public = Rule("public", False, NAMED)
    public.check_name("named.test", 80)
    public.check_addresses("named.test", 80, PRIVATE)
    with pytest.raises(Offline):
        public.check_addresses("named.test", 80, ONE)
    with pytest.raises(Offline):
        public.check_name("any.test", 80)
