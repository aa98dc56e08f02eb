"""What a workflow file says of an MCP server: how to reach it, and which of its tools to offer."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, PositiveFloat, SecretStr

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every provider of models takes as the name of a tool."""

_SECRET_NAME = re.compile(r"key|token|secret|passw|auth|cookie|credential|session|_pat$", re.I)
_SHORTEST_SECRET = 6  # anything shorter stands in many a text by chance
_SHORTEST_SECRET_IN_PATH = 20


def _is_http(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has to be an http or https URL")
    return value


def _is_longer_than_nothing(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("it has to be more than 0 seconds")
    return value


_Url: TypeAlias = Annotated[SecretStr, AfterValidator(_is_http)]
"""Secret, since many servers take their key in the query."""

_Time: TypeAlias = Annotated[timedelta, AfterValidator(_is_longer_than_nothing)]


class _Closed(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class McpServer(_Closed):
    """How to reach a server: a program that is started, or a URL."""

    transport: Literal["stdio", "sse", "streamable-http"]
    url: _Url | None = None
    command: str | None = Field(None, min_length=1)
    args: list[str] | None = Field(None, repr=False)
    env: dict[str, SecretStr] | None = None
    custom_headers: dict[str, SecretStr] | None = None
    auth_provider: str | None = Field(None, json_schema_extra={"has_effect": False})

    @pydantic.model_validator(mode="after")
    def _fits_its_transport(self) -> "McpServer":
        if self.transport == "stdio":
            needed, others = "command", ("url", "custom_headers")
        else:
            needed, others = "url", ("command", "args", "env")
        if getattr(self, needed) is None:
            raise ValueError(f"the transport {self.transport} needs `{needed}`")
        for name in others:
            if getattr(self, name) is not None:
                raise ValueError(f"the transport {self.transport} takes no `{name}`")
        return self

    @property
    def place(self) -> str:
        """Where it is, without anything that may be secret."""
        if self.url is None:
            return self.command or ""
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def secrets(self) -> Sequence[str]:
        """What nobody may see. Of named values those whose names say so."""
        found: list[str] = []
        for given in (self.env, self.custom_headers):
            for name, value in (given or {}).items():
                if _SECRET_NAME.search(name):
                    found += _whole_and_end(value.get_secret_value())
        if self.url is not None:
            found += _secrets_in(urlsplit(self.url.get_secret_value()))
        return [value for value in found if len(value) >= _SHORTEST_SECRET]


def _whole_and_end(value: str) -> Sequence[str]:
    return (value, value.rpartition(" ")[2])  # `Bearer KEY` is repeated without its first word


def _secrets_in(url: SplitResult) -> Iterator[str]:
    yield url.password or ""
    yield from (unquote(pair.partition("=")[2]) for pair in url.query.split("&"))
    yield from (part for part in url.path.split("/") if len(part) >= _SHORTEST_SECRET_IN_PATH)


class McpOverride(_Closed):
    """What is said of a tool instead of what its server says."""

    alias: str | None = Field(default=None, pattern=f"^{NAME.pattern}$")
    description: str | None = None
    timeout_seconds: PositiveFloat | None = None


class McpClient(_Closed):
    """A group of tools that a server offers."""

    server: McpServer
    include: list[str] = []
    """Names of tools, by server or alias; `*` and `?` stand for any characters. Empty: all."""
    exclude: list[str] = []
    tool_overrides: dict[str, McpOverride] | None = None
    """By the name that the server gives the tool."""
    needs_approval: bool | list[str] = False
    """Whether a person is asked before each call: of all, or of those named as in `include`."""
    tool_call_timeout: _Time = timedelta(seconds=60)
    reconnect_enabled: bool = True
    reconnect_max_attempts: int = Field(2, ge=0)
    reconnect_initial_backoff: float = Field(0.5, ge=0)
    reconnect_max_backoff: float = Field(50.0, ge=0)
    auth_flow_timeout: timedelta = Field(
        timedelta(seconds=300), json_schema_extra={"has_effect": False}
    )
    session_aware_tools: bool = Field(True, json_schema_extra={"has_effect": False})
    max_sessions: int = Field(100, ge=1, json_schema_extra={"has_effect": False})
    session_idle_timeout: timedelta = Field(
        timedelta(hours=1), json_schema_extra={"has_effect": False}
    )
    middleware: list[str] = Field([], json_schema_extra={"has_effect": False})

    @pydantic.model_validator(mode="after")
    def _backs_off_more_and_more(self) -> "McpClient":
        if self.reconnect_max_backoff < self.reconnect_initial_backoff:
            raise ValueError("reconnect_max_backoff is at least reconnect_initial_backoff")
        return self

    def pauses(self) -> Iterator[float]:
        """How long to pause before each further try."""
        pause = self.reconnect_initial_backoff
        for _ in range(self.reconnect_max_attempts if self.reconnect_enabled else 0):
            yield pause
            pause = min(pause * 2, self.reconnect_max_backoff)
