"""Where a run comes from, as a NAT workflow may ask: what its metadata says under `nat`."""

from collections.abc import Mapping
from typing import Literal
from uuid import NAMESPACE_DNS, UUID, uuid5

import msgspec

from forebay.core.caller import ANONYMOUS, Caller
from forebay.core.errors import InvalidInput
from forebay.core.json import Json
from forebay.ports.agent import Context

_USERS = uuid5(NAMESPACE_DNS, "nemo-agent-toolkit")  # in which NAT names its users


class HttpRequest(msgspec.Struct, frozen=True):
    """The request that started the run, as far as a workflow may see it."""

    method: str | None = None
    url_path: str | None = None
    url_port: int | None = None
    url_scheme: str | None = None
    headers: dict[str, str] = {}
    query_params: dict[str, str] = {}
    path_params: dict[str, str] = {}
    client_host: str | None = None
    client_port: int | None = None
    cookies: dict[str, str] = {}
    payload: Json = None


class Origin(msgspec.Struct, frozen=True):
    """What a dialect that speaks for NAT's clients tells the workflow."""

    output: Literal["single", "stream"] | None = None
    """Which of a function's two bodies is called; None: the one that streams, if it has it."""
    user_id: str | None = None
    user_message_id: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    parent_id: str | None = None
    parent_name: str | None = None
    request: HttpRequest | None = None

    @property
    def trace(self) -> int | None:
        """The trace id as NAT holds it. Raises InvalidInput."""
        try:
            return None if self.trace_id is None else UUID(self.trace_id).int
        except ValueError as error:
            raise InvalidInput("metadata.nat.trace_id: 32 hexadecimal digits.") from error


def origin_of(ctx: Context) -> Origin:
    """What the metadata of a run says. Raises InvalidInput."""
    try:
        return msgspec.convert(ctx.metadata.get("nat") or {}, Origin)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"metadata.nat: {error}.") from error


def user_of(caller: Caller, origin: Origin) -> str | None:
    """Under which id NAT keeps what belongs to this caller; None if nobody knows who he is.

    Who has no name may say himself who he is; nobody may say that he is somebody with a name.
    """
    if caller.name == ANONYMOUS.name:
        return origin.user_id
    key = caller.name if caller.tenant == ANONYMOUS.tenant else f"{caller.tenant}/{caller.name}"
    return str(uuid5(_USERS, key))


class Headers(dict[str, str]):
    """Headers by name, whatever its case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride] -- of headers, all is text
        return super().get(name.lower(), default)
