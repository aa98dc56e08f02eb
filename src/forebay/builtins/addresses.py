"""Which addresses may be called. A rule is asked about the name first, then about what it leads to.

Pure: it looks nothing up. Only addresses that were checked are connected to, so that a name cannot
lead elsewhere in between.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol, TypeAlias

import msgspec

from forebay.core.errors import AddressRefused, Offline, SettingError
from forebay.ports.http import Trust

Address: TypeAlias = IPv4Address | IPv6Address

# What IANA lists as not globally reachable, and what leads to other IPv4 addresses in disguise.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # looks public; on Azure it is the host that knows the secrets
    )
)  # fmt: skip
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")  # in a network without IPv4, everything has such an address

_LOCAL_4 = tuple(
    IPv4Network(each)
    for each in ("127.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
_LOCAL_6 = tuple(IPv6Network(each) for each in ("::/127", "fc00::/7"))


def is_public(address: Address) -> bool:
    """Whether anybody in the Internet could call it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def is_local(address: Address) -> bool:
    """Whether it is this machine, or one of a private network."""
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return is_local(mapped) if mapped else any(address in network for network in _LOCAL_6)
    return any(address in network for network in _LOCAL_4)


def shown(host: str, port: int) -> str:
    """A host as messages name it."""
    if port in (80, 443):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class AllowedHosts(msgspec.Struct, frozen=True):
    """Hosts that the operator allows by name, each on one port or on all."""

    named: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def read(cls, entries: Iterable[str]) -> "AllowedHosts":
        """Of `host` and `host:port`. Raises SettingError."""
        return cls(frozenset(_entry(each) for each in entries))

    def include(self, host: str, port: int) -> bool:
        """Whether this host is one of them."""
        name = _plain(host)
        return (name, None) in self.named or (name, port) in self.named


def _entry(text: str) -> tuple[str, int | None]:
    name, port = text.strip(), ""
    if name.startswith("["):
        name, _, port = name[1:].partition("]")
        port = port.removeprefix(":")
    elif name.count(":") == 1:
        name, _, port = name.partition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not name or "/" in name or (port and not is_port):
        raise SettingError(f"{text!r} is not a host: write example.org or example.org:8443.")
    return _plain(name), int(port) if port else None


def _plain(host: str) -> str:
    name = host.lower().rstrip(".")
    return str(IPv6Address(name)) if _is_ipv6(name) else name


def _is_ipv6(name: str) -> bool:
    try:
        return ip_address(name).version == 6
    except ValueError:
        return False


class Rule(msgspec.Struct, frozen=True):
    """What may be called by whom, as long as the runtime profile stays as it is."""

    trust: Trust
    is_online: bool
    allowed: AllowedHosts
    remedy: str = ""
    """How to get online."""

    def check_name(self, host: str, port: int) -> None:
        """Raises Offline, before anybody is asked where the host is."""
        if not self.is_online and not self._is_named(host, port):
            raise self.offline(host, port)

    def check_addresses(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        """All of them have to be right. Raises AddressRefused, Offline."""
        if not self.is_online:
            if not all(is_local(each) for each in addresses):
                raise self.offline(host, port)
        elif not self._is_named(host, port) and not all(is_public(each) for each in addresses):
            raise AddressRefused(
                f"{shown(host, port)} is not a public address, and the operator did not name it. "
                f"To allow calls to it, add it to FOREBAY_OUTBOUND_ALLOWED_HOSTS."
            )

    def offline(self, host: str, port: int) -> Offline:
        """The error for this host."""
        return Offline(
            f"The runtime profile is offline, and {shown(host, port)} is not an address of this "
            f"machine or network that the operator named. To call it, {self.remedy}."
        )

    def _is_named(self, host: str, port: int) -> bool:
        return self.trust == "operator" or self.allowed.include(host, port)


class Resolver(Protocol):
    """Tells the addresses of a host."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Its addresses, the best first. Raises OSError if it has none, or they are unknown."""
        ...
