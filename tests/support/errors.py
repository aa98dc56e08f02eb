"""Every error class there is, and one of each."""

from forebay.core.errors import (
    Busy,
    Conflict,
    Denied,
    ForebayError,
    Full,
    Invalid,
    Malformed,
    NotFound,
    StartError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from forebay.http.errors import MethodNotAllowed

FAMILIES: frozenset[type[ForebayError]] = frozenset(
    {
        ForebayError, Malformed, Invalid, Unauthenticated, Denied, NotFound, Conflict, TooLarge,
        Busy, Unavailable, Full,
    }
)  # fmt: skip
"""Classes that group others. Nobody raises them."""

_PRIVATE = "forebay.builtins."
"""Where finer kinds are for the caller next door only, and are loaded by some tests only."""


def every_error(kind: type[ForebayError] = ForebayError) -> list[type[ForebayError]]:
    """An error class and all that are made of it."""
    found = [kind]
    for child in kind.__subclasses__():
        if child.__module__.startswith("forebay.") and not child.__module__.startswith(_PRIVATE):
            found += every_error(child)
    return found


def every_raised_error() -> list[type[ForebayError]]:
    """Every error class that can meet a client."""
    return [
        kind for kind in every_error() if kind not in FAMILIES and not issubclass(kind, StartError)
    ]


def one_of(kind: type[ForebayError]) -> ForebayError:
    """An error of this class."""
    return MethodNotAllowed(["GET", "POST"]) if kind is MethodNotAllowed else kind()
