"""What can go wrong between a client and its server, by name."""

from http import HTTPStatus

import msgspec


class ClientError(Exception):
    """Something went wrong."""


class Unreachable(ClientError):
    """The server could not be reached for as long as the client has patience."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        self.was_sent = was_sent
        """Whether the server may have got the last request."""
        super().__init__(message)


class Unreadable(ClientError):
    """What came back is no answer of a Forebay server."""


class ApiError(ClientError):
    """The server answered with an error."""

    def __init__(self, status: int, code: str, detail: str, request_id: str | None = None) -> None:
        self.status = status
        self.code = code
        """Stable; for programs."""
        self.detail = detail
        """For people."""
        self.request_id = request_id
        """What to look for in the server's log."""
        super().__init__(f"{detail} ({code}, HTTP {status})")


class Rejected(ApiError):
    """The server does not take this request."""


class Denied(ApiError):
    """The token is missing, wrong, or may not do this."""


class NotFound(ApiError):
    """There is no such run, agent or object."""


class Conflict(ApiError):
    """The request contradicts what is already there."""


class Unavailable(ApiError):
    """The server is there, but cannot take work now."""


class _Problem(msgspec.Struct):
    code: str
    detail: str
    request_id: str | None = None


_KINDS: dict[int, type[ApiError]] = {
    HTTPStatus.UNAUTHORIZED: Denied,
    HTTPStatus.FORBIDDEN: Denied,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Unavailable,
    HTTPStatus.BAD_GATEWAY: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: Unavailable,
    HTTPStatus.INSUFFICIENT_STORAGE: Unavailable,
}
_decode_problem = msgspec.json.Decoder(_Problem).decode


def error_of(status: int, body: bytes) -> ApiError:
    """The error that an answer tells, whether it comes from Forebay or from a proxy before it."""
    kind = _KINDS.get(status, Rejected if status < 500 else ApiError)
    try:
        told = _decode_problem(body)
    except msgspec.MsgspecError:
        return kind(status, "unknown", _phrase(status))
    return kind(status, told.code, told.detail, told.request_id)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"
