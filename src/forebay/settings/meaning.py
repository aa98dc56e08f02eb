"""What settings mean."""

from typing import Literal, TextIO

from .values import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def log_form(settings: Settings, out: TextIO) -> Literal["text", "json"]:
    """How log lines are written to this stream."""
    if settings.log_format == "auto":
        return "text" if out.isatty() else "json"
    return "json" if settings.log_format == "json" else "text"
