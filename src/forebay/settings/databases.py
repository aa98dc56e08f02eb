"""Database URLs: in which forms they may be given, and what they name."""

import re
from dataclasses import dataclass
from pathlib import Path

from forebay.core.errors import SettingError

from .values import Settings

_HOST = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:@]*)(?::\d*)?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_PASSWORD = re.compile(r"(?<=[?&])(\w*password)=[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Database:
    """Which database a URL names."""

    engine: str
    path: Path | None = None
    url: str | None = None


def database(url: str) -> Database:
    """Read a database URL in any accepted form. Raises SettingError."""
    if url in ("memory:", "memory", ":memory:"):
        return Database("memory")
    scheme, separator, rest = url.partition("://")
    engine = scheme.partition("+")[0]
    if not separator:
        return Database("sqlite", path=_database_path(url.removeprefix("sqlite:")))
    if engine == "sqlite":
        return Database("sqlite", path=_database_path(rest.removeprefix("/").partition("?")[0]))
    if engine in ("postgresql", "postgres"):
        _check_postgres(rest)
        return Database("postgres", url=f"postgresql://{rest}")
    raise SettingError(f"db_url={scheme}://…: a file name, sqlite:///…, postgresql://… or memory:.")


def _check_postgres(rest: str) -> None:
    """Refuse what PostgreSQL's library would quote, with a piece of the password in it."""
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    hosts = hosts.partition("?")[0]
    is_cut_off = "@" in path.partition("=")[0]  # by a slash in the password
    fits = all(_HOST.fullmatch(host) for host in hosts.split(","))
    if is_cut_off or not fits or "@" in credentials or _BROKEN_ESCAPE.search(rest):
        raise SettingError(
            "db_url: this is no URL of a PostgreSQL server. In a user or a password, / is written "
            "%2F, : %3A, @ %40 and % %25."
        )


def _database_path(text: str) -> Path:
    if not text:
        raise SettingError("db_url: the name of the file is missing.")
    return Path(text).expanduser().absolute()


def database_name(settings: Settings) -> str:
    """The database, so that it can be found again."""
    where = database(settings.db_url)
    if where.path is not None:
        return str(where.path)
    return without_password(where.url) if where.url else "in memory: nothing is kept"


def without_password(url: str) -> str:
    """A URL that can be shown."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    user, colon, _ = credentials.partition(":")
    shown = f"{scheme}://{user}{':***' if colon else ''}{at}{hosts}{slash}{path}"
    return _PASSWORD.sub(r"\1=***", shown)
