"""Which values of settings can be used, alone and together."""

import re

from forebay.core.errors import SettingError
from forebay.core.turns import SESSION_POLICIES

from .databases import database
from .values import Settings


def check(settings: Settings) -> None:
    """Refuse what cannot be used. Raises SettingError."""
    if settings.require_auth:
        raise SettingError(
            "REQUIRE_AUTH=true: this version has no users or tokens yet, so nobody could get in."
        )
    for url in filter(None, (settings.db_url, settings.db_direct_url)):
        database(url)
    if not 0 <= settings.port <= 65_535:
        raise SettingError(f"port={settings.port}: a port is at most 65535.")
    _check_choices(settings)
    _check_numbers(settings)
    if settings.cors_origin_regex is not None:
        _check_regex(settings.cors_origin_regex)
    if settings.workers > 1 and database(settings.db_url).engine == "memory":
        raise SettingError(
            f"workers={settings.workers}: processes cannot share a database in memory. "
            "Use a file: --db ./forebay.db"
        )


_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "log_format": ("auto", "text", "json"),
    "session_policy": SESSION_POLICIES,
    "workflow_runtime": ("auto", "native", "nat"),
    "runtime_profile": ("online", "offline"),
}


def _check_choices(settings: Settings) -> None:
    for name, choices in _CHOICES.items():
        value: str = getattr(settings, name)
        if value not in choices:
            raise SettingError(f"{name}={value!r}: one of {', '.join(choices)}.")


def _check_regex(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise SettingError(f"cors_origin_regex={text!r}: {error}.") from error


_LEAST = {
    "expiry_seconds": 60,
    "workers": 1,
    "run_workers": 0,
    "concurrency": 1,
    "tenant_concurrency": 0,
    "agent_concurrency": 0,
    "max_queued": 0,
    "tenant_max_queued": 0,
    "max_attempts": 1,
    "silent_seconds": 3,
    "drain_seconds": 0,
    "stop_seconds": 0,
    "worker_memory_mb": 0,
    "worker_nice": 0,
}


def _check_numbers(settings: Settings) -> None:
    for name, least in _LEAST.items():
        value: int | float = getattr(settings, name)
        if not value >= least:  # NaN is no number of seconds either
            raise SettingError(f"{name}={value}: at least {least}.")
    if settings.worker_nice > 19:
        raise SettingError(f"worker_nice={settings.worker_nice}: at most 19.")
