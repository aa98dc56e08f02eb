"""Domains in configurations: a domain stands for itself and for everything below it."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import AfterValidator


def _plain(domain: str) -> str:
    plain = domain.strip().lower().removeprefix("*.").strip(".")
    try:
        plain = plain.encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    if not plain or any(character in plain for character in "/:@*? "):
        raise ValueError("write a domain like example.org, without a scheme or a path")
    return plain


Domain: TypeAlias = Annotated[str, AfterValidator(_plain)]
"""`example.org` or `*.example.org`: the same."""


def host_of(url: str) -> str:
    """The host of a URL as it is called; nothing if it has none."""
    import httpx2  # what one parser takes for the host, another does not: the same one calls it

    try:
        return httpx2.URL(url).raw_host.decode("ascii").lower().rstrip(".")
    except (httpx2.InvalidURL, UnicodeError):
        return ""


def is_within(host: str, domains: Sequence[str]) -> bool:
    """Whether the host is one of the domains, or below one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
