"""Errors in the native shape: problem details of RFC 9457, with a stable code."""

from forebay.core.codec import encode_json
from forebay.core.errors import ForebayError
from forebay.core.json import Json
from forebay.http.errors import headers_of, status_of
from forebay.http.request import Request
from forebay.http.response import Response

PROBLEM = b"application/problem+json"


def problem(error: ForebayError) -> dict[str, Json]:
    """What a client is told of an error, in an answer or in the middle of a stream."""
    status = status_of(error)
    told: dict[str, Json] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": error.code,
        "detail": error.message,
    }
    if error.problems:
        told["errors"] = [
            {"location": list(each.location), "message": each.message, "type": each.kind}
            for each in error.problems
        ]
    return told


def problem_response(error: ForebayError, request: Request) -> Response:
    """The answer to a request that failed."""
    told = problem(error) | {"request_id": request.id}
    return Response(encode_json(told), status_of(error).value, PROBLEM, headers_of(error))
