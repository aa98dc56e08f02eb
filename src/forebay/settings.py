"""Settings: one frozen object, read once. The only reader of the environment.

Command line > `FOREBAY_*` > variables of the systems whose users move here > `.env` > default.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, cast, get_args, get_type_hints
from urllib.parse import urlsplit

from forebay.core.errors import SettingError
from forebay.core.turns import SESSION_POLICIES

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None

DEFAULT_SERVER = "http://127.0.0.1:8000"
"""Where the commands of a client look for a server."""

_PREFIX = "FOREBAY_"
_OF_THE_CLIENT = frozenset({"FOREBAY_SERVER", "FOREBAY_TOKEN"})


def _setting(default: Value, doc: str, *aliases: str, secret: bool = False) -> Any:
    return dataclass_field(
        default=default, metadata={"doc": doc, "aliases": aliases, "secret": secret}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. A name here is `FOREBAY_` and the name in upper case outside."""

    db_url: str = _setting(
        "./forebay.db",
        "The database: a file for SQLite, `postgresql://…`, or `memory:` to keep nothing. "
        "SQLAlchemy's forms (`sqlite+aiosqlite:///…`, `postgresql+asyncpg://…`) are read too.",
        "NAT_JOB_STORE_DB_URL",
        secret=True,
    )
    db_direct_url: str | None = _setting(
        None,
        "PostgreSQL without a transaction pooler in between, for LISTEN, migrations and locks.",
        secret=True,
    )
    db_prepared_statements: bool = _setting(
        True, "Whether to prepare statements on PostgreSQL; some poolers cannot."
    )
    auto_migrate: bool = _setting(
        False, "Whether `serve` may change the schema of a PostgreSQL database itself."
    )
    host: str = _setting("127.0.0.1", "The address to listen on.")
    port: int = _setting(8000, "The port to listen on; 0 takes a free one.")
    agents: tuple[str, ...] = _setting(
        (), "Agent sources: `agents.py`, `package.module`, `package.module:name`."
    )
    default_agent: str | None = _setting(None, "The agent that answers when none is named.")
    dev: bool = _setting(False, "Whether a failed run tells its traceback.")
    expiry_seconds: int = _setting(
        30 * 86_400, "How long a finished run is kept if its start does not say."
    )
    keep_light_runs: bool = _setting(
        True, "Whether a light run is written to the database after its answer."
    )
    body_limit_bytes: int = _setting(10 * 1024 * 1024, "How large a request's body may be.")
    cors_origins: tuple[str, ...] = _setting(
        (), "Origins of web pages that may use this server; `*` for all."
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (), "Host names, besides the loopback ones, that a server on a loopback address answers to."
    )
    require_auth: bool = _setting(
        False,
        "Whether callers have to authenticate. There are no users yet: true refuses to start.",
        "REQUIRE_AUTH",
    )
    stop_seconds: float = _setting(
        10.0, "How long a stopping server waits for its runs and streams to end."
    )
    drain_seconds: float = _setting(
        5.0, "How long a stopping worker lets its runs go on before it hands them back."
    )
    workers: int = _setting(1, "How many processes answer requests on the port.")
    run_workers: int = _setting(
        1,
        "How many worker processes execute queued runs; 0: those that answer requests do it "
        "themselves, as always with `memory:`.",
    )
    concurrency: int = _setting(200, "How many queued runs one process executes at the same time.")
    session_policy: str = _setting(
        "queue",
        "What it means for a new run that one of its session is not finished: `queue` (it waits "
        "its turn), `reject` (it is refused), `interrupt` (it replaces it) or `parallel`.",
    )
    tenant_concurrency: int = _setting(
        0, "How many runs of one tenant may be running in all processes together; 0: any."
    )
    agent_concurrency: int = _setting(
        0, "How many runs of one agent may be running in all processes together; 0: any."
    )
    max_queued: int = _setting(
        10_000, "How many runs may be queued before more are refused with 503; 0: any."
    )
    tenant_max_queued: int = _setting(
        0, "How many runs of one tenant may be queued before more are refused with 429; 0: any."
    )
    max_attempts: int = _setting(
        10, "After how many lost attempts in a row without anything new a run fails."
    )
    resume: bool = _setting(
        True,
        "Whether a run whose process is gone or stops goes on in another one; if not, it ends as "
        "`server_lost` or `server_stopped`.",
    )
    silent_seconds: float = _setting(
        15.0,
        "After how long a child process that is stopped, or that says nothing and uses no CPU, is "
        "killed and its runs go on elsewhere. One that uses CPU is busy and left alone.",
    )
    worker_memory_mb: int = _setting(
        0, "How much memory (MiB, resident) a worker process may use before it is killed; 0: any."
    )
    worker_nice: int = _setting(
        0, "How much worker processes yield the CPU to others: 0 not at all, 19 most (`nice`)."
    )
    log_level: str = _setting("info", "`debug`, `info`, `warning` or `error`.")
    log_format: str = _setting("auto", "`text`, `json`, or `auto`: text on a terminal.")


@dataclass(frozen=True, slots=True)
class Sourced:
    """A setting's value, and where it comes from."""

    name: str
    value: Value
    source: str
    doc: str
    secret: bool

    @property
    def shown(self) -> str:
        """The value as it may be printed."""
        if self.secret and isinstance(self.value, str):
            return without_password(self.value)
        return ", ".join(self.value) if isinstance(self.value, tuple) else str(self.value)


def load(
    given: Mapping[str, Value] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> tuple[Settings, list[Sourced]]:
    """Read the settings; `given` are those of the command line. Raises SettingError."""
    environment = os.environ if environ is None else environ
    file = _read_dotenv(dotenv) if dotenv else {}
    _refuse_unknown([*environment, *file])
    found = [_find(name, given or {}, environment, file) for name in _TYPES]
    settings = Settings(**cast(dict[str, Any], {each.name: each.value for each in found}))
    _check(settings)
    return settings, found


@dataclass(frozen=True, slots=True)
class Remote:
    """The server that the commands of a client speak to."""

    server: str
    token: str | None


def remote(
    server: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> Remote:
    """Where that server is; `server` is the command line's. Raises SettingError."""
    environment = os.environ if environ is None else environ
    file = _read_dotenv(dotenv) if dotenv else {}

    def found(key: str) -> str | None:
        text = _lookup(key, environment)
        return _lookup(key, file) if text is None else text

    url = server or found("FOREBAY_SERVER") or DEFAULT_SERVER
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingError(f"server={url!r}: a URL such as {DEFAULT_SERVER}.")
    return Remote(url, found("FOREBAY_TOKEN"))


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.upper()


def without_password(url: str) -> str:
    """A URL that can be shown."""
    password = urlsplit(url).password if "://" in url else None
    return url.replace(f":{password}@", ":***@") if password else url


_FIELDS = {field.name: field for field in fields(Settings)}
_TYPES: dict[str, Any] = get_type_hints(Settings)


def _find(
    name: str, given: Mapping[str, Value], environ: Mapping[str, str], dotenv: Mapping[str, str]
) -> Sourced:
    metadata = _FIELDS[name].metadata

    def sourced(value: Value, source: str) -> Sourced:
        return Sourced(name, value, source, metadata["doc"], metadata["secret"])

    if given.get(name) is not None:
        return sourced(given[name], "command line")
    for variables, where in ((environ, "environment"), (dotenv, ".env")):
        for key in (variable(name), *metadata["aliases"]):
            text = _lookup(key, variables)
            if text is not None:
                return sourced(_read(key, text, _TYPES[name]), f"{key} ({where})")
    return sourced(cast(Value, _FIELDS[name].default), "default")


def _lookup(key: str, variables: Mapping[str, str]) -> str | None:
    if key in variables:
        return variables[key]
    path = variables.get(f"{key}_FILE")
    if path is None:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingError(f"{key}_FILE: {path} cannot be read: {error.strerror}.") from error


def _read(key: str, text: str, kind: Any) -> Value:
    if type(None) in get_args(kind):
        kind = get_args(kind)[0]
    if kind is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off", ""):
            return False
        raise SettingError(f"{key}={text!r}: true or false.")
    if kind in (int, float):
        try:
            return cast(type[int], kind)(text)
        except ValueError as error:
            raise SettingError(f"{key}={text!r}: a number.") from error
    if kind is str:
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("\"'")
    return found


def _refuse_unknown(names: Sequence[str]) -> None:
    known = {variable(name) for name in _TYPES}
    for name in names:
        plain = name.removesuffix("_FILE")
        if not name.startswith(_PREFIX) or plain in known or plain in _OF_THE_CLIENT:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SettingError(f"{name} is not a setting.{hint}")


def _check(settings: Settings) -> None:
    if settings.require_auth:
        raise SettingError(
            "REQUIRE_AUTH=true: this version has no users or tokens yet, so nobody could get in."
        )
    database(settings.db_url)
    if not 0 <= settings.port <= 65_535:
        raise SettingError(f"port={settings.port}: a port is at most 65535.")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingError(f"log_level={settings.log_level!r}: debug, info, warning or error.")
    if settings.log_format not in ("auto", "text", "json"):
        raise SettingError(f"log_format={settings.log_format!r}: auto, text or json.")
    if settings.session_policy not in SESSION_POLICIES:
        policies = ", ".join(SESSION_POLICIES)
        raise SettingError(f"session_policy={settings.session_policy!r}: one of {policies}.")
    _check_numbers(settings)
    if settings.workers > 1 and database(settings.db_url).engine == "memory":
        raise SettingError(
            f"workers={settings.workers}: processes cannot share a database in memory. "
            "Use a file: --db ./forebay.db"
        )


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


# --- what settings mean -------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def log_form(settings: Settings, out: TextIO) -> Literal["text", "json"]:
    """How log lines are written to this stream."""
    if settings.log_format == "auto":
        return "text" if out.isatty() else "json"
    return "json" if settings.log_format == "json" else "text"


# --- databases ----------------------------------------------------------------------------------


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
