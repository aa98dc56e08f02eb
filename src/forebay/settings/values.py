"""Every setting: its name, its type, a default that works on a laptop, and what it means."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None

_PREFIX = "FOREBAY_"


def _setting(
    default: Value, doc: str, *aliases: str, secret: bool = False, separator: str = ","
) -> Any:
    metadata = {"doc": doc, "aliases": aliases, "secret": secret, "separator": separator}
    return field(default=default, metadata=metadata)


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
    config_file: str | None = _setting(
        None,
        "A workflow file ([workflows](workflows.md)); its `general.front_end` sets what stands "
        "nowhere else.",
        "NAT_CONFIG_FILE",
    )
    overrides: tuple[str, ...] = _setting(
        (),
        "What to put into the workflow file: `llms.main.temperature=0`, one a line.",
        secret=True,
        separator="\n",
    )
    workflow_runtime: str = _setting(
        "auto",
        "What runs the workflow file: `native`, `nat` (NVIDIA NeMo Agent Toolkit), or `auto`: "
        "native if Forebay has every type in it.",
    )
    imports: tuple[str, ...] = _setting(
        (), "Modules that are imported before the agents are loaded, to register what they bring."
    )
    default_agent: str | None = _setting(None, "The agent that answers when none is named.")
    default_model: str | None = _setting(
        None, "The model that is asked when none is named; without it, the only one there is."
    )
    runtime_profile: str = _setting(
        "online",
        "`online`, or `offline`: nothing outside this machine and its network is called.",
    )
    runtime_profile_file: str | None = _setting(
        None,
        "A file with one of these two words, which comes before the setting; offline if it cannot "
        "be read.",
    )
    outbound_allowed_hosts: tuple[str, ...] = _setting(
        (),
        "Host names and addresses that may be called although they are not public, or although "
        "the profile is `offline`.",
    )
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
    cors_origin_regex: str | None = _setting(
        None, "A regular expression; pages whose whole origin matches it may use this server too."
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


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.upper()
