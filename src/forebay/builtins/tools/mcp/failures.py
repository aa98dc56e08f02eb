"""What went wrong between a server and us, in our own errors."""

import re
from typing import cast

import httpx2
import pydantic
from mcp import MCPError, types

from forebay.core.errors import InvalidArguments, ToolError, ToolUnavailable

from . import exchange
from .loss import NotConnected, NotSent
from .masking import Mask

_LONGEST = 4_000
_QUOTED = re.compile(
    r",? input_value=.*?, input_type=\w+|\s*For further information visit \S+", re.DOTALL
)
"""Of what cannot be read a piece is quoted, in which a secret may be cut in two."""


def cleaned(text: str, mask: Mask) -> str:
    """What a server says, shortened and without secrets."""
    return mask.text(_QUOTED.sub("", text))[:_LONGEST]


def failure_of(error: MCPError, place: str, mask: Mask) -> NotSent | ToolError:
    """What whoever asked the server is to get."""
    text = cleaned(error.message, mask)
    match error.code:
        case exchange.NOT_SENT | exchange.SESSION_GONE:
            return NotSent(text)
        case exchange.REFUSED:
            return ToolUnavailable(f"The MCP server {place} cannot be used. {text}")
        case exchange.CUT_OFF | types.CONNECTION_CLOSED:
            return ToolUnavailable(
                f"The connection to the MCP server {place} was lost during the call, which may "
                f"have had its effect. {text}"
            )
        case types.INVALID_PARAMS:
            return InvalidArguments(text)
        case _:
            return ToolError(text)


def not_connected(error: BaseException, mask: Mask) -> NotConnected:
    """Why there is no connection."""
    while isinstance(error, BaseExceptionGroup):
        [error, *_] = cast("BaseExceptionGroup[BaseException]", error).exceptions
    match error:
        case NotConnected():
            return error
        case MCPError():
            return _refused(error.code, error.message, mask)
        case OSError():
            return NotConnected(error.strerror or type(error).__name__, may_pass=False)
        case httpx2.HTTPStatusError():
            silent = (exchange.CUT_OFF, f"It answered with status {error.response.status_code}.")
            return _refused(*(exchange.reason_of(error.response) or silent), mask)
        case pydantic.ValidationError():
            return NotConnected("Its answer cannot be read.", may_pass=False)
        case _:
            message = cleaned(f"{type(error).__name__}: {error}", mask)
            return NotConnected(message, may_pass=False)


def _refused(code: int, message: str, mask: Mask) -> NotConnected:
    return NotConnected(cleaned(message, mask), may_pass=code != exchange.REFUSED)
