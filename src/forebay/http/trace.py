"""W3C trace context, and names for requests."""

import re

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NO_TRACE = b"0" * 32
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


def trace_of(traceparent: bytes) -> bytes | None:
    """The trace id of a `traceparent` header, if it is one."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found and found[1] != _NO_TRACE else None


def usable_request_id(header: bytes) -> bytes | None:
    """A client's own name for its request, if it can stand in a header and a log line."""
    return header if _REQUEST_ID.fullmatch(header) else None


def traceparent(trace: bytes, request: bytes) -> bytes:
    """The header under which this server takes part in a trace, with its own name as the span."""
    return b"00-%b-%b-01" % (trace, request[-16:])
