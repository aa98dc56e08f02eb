"""Errors of HTTP itself, and the one place where a family of errors becomes a status."""

from http import HTTPStatus

from forebay.core.errors import (
    Busy,
    Conflict,
    Denied,
    ForebayError,
    Full,
    Invalid,
    Malformed,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
)


class PathNotFound(NotFound):
    """Not Found"""

    code = "route_not_found"


class MethodNotAllowed(ForebayError):
    """This path has no such method."""

    code = "method_not_allowed"

    def __init__(self, allowed: list[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"This path takes {self.allowed}.")


class UnsupportedMediaType(ForebayError):
    """The body has a type this route does not read."""

    code = "unsupported_media_type"


class ClientLeft(ForebayError):
    """The client left before it had sent its request."""

    code = "client_left"


_STATUS: dict[type[ForebayError], HTTPStatus] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    ClientLeft: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Denied: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Busy: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Full: HTTPStatus.INSUFFICIENT_STORAGE,
}


def status_of(error: ForebayError) -> HTTPStatus:
    """The status of an error's family."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def headers_of(error: ForebayError) -> list[tuple[bytes, bytes]]:
    """The headers that go with an error's status, whatever the shape of its body."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers
