"""Database URLs: in which forms they may be given, and what they name."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from forebay.core.errors import SettingError

from .values import Settings


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
        return Database("postgres", url=f"postgresql://{rest}")
    raise SettingError(
        f"db_url={without_password(url)!r}: a file name, sqlite:///…, postgresql://… or memory:."
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
    password = urlsplit(url).password if "://" in url else None
    return url.replace(f":{password}@", ":***@") if password else url
