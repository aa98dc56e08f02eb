"""Request: what a handler reads. Bounded in size, and in our words when it cannot be read."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
import pydantic

from forebay.core.codec import decode_json
from forebay.core.errors import (
    BadJson,
    BodyTooLarge,
    FieldProblem,
    ForebayError,
    Invalid,
    InvalidBody,
    InvalidQuery,
)

from .asgi import WHEN_LOST, Headers, Receive, Scope, Send
from .errors import ClientLeft, UnsupportedMediaType
from .response import Answer

_Model = TypeVar("_Model", bound=pydantic.BaseModel)

_FORM_OF_CURL = b"application/x-www-form-urlencoded"


class Responder(Protocol):
    """Who sends the answer to a request."""

    async def respond(self, request: "Request", making: Awaitable[Answer]) -> None:
        """Send what is being made, or the error that comes of it."""
        ...


ErrorShape: TypeAlias = Callable[[ForebayError, "Request"], Answer]
"""How a dialect shows an error."""


class Request:
    """One HTTP request."""

    __slots__ = (
        "_query", "_receive", "body_limit", "errors", "extra", "headers", "is_answered", "name",
        "path", "responder", "scope", "send", "trace",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
        body_limit: int,
    ) -> None:
        self.scope = scope
        self.headers = headers
        self.body_limit = body_limit
        self.path: Mapping[str, str] = {}
        self.name = b""
        self.trace = b""
        self.extra: Headers = []
        self.is_answered = False
        self._receive = receive
        self.send = send
        self.errors: ErrorShape | None = None
        self.responder: Responder | None = None
        self._query: dict[str, str] | None = None

    @property
    def id(self) -> str:
        """The name under which this request is in logs and answers."""
        return self.name.decode()

    @property
    def method(self) -> str:
        return self.scope["method"]

    def header(self, name: bytes) -> str | None:
        """A header, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of one that comes several times, the last."""
        if self._query is None:
            raw = self.scope.get("query_string", b"").decode("latin-1")
            self._query = dict(parse_qsl(raw, keep_blank_values=True))
        return self._query

    def query_as(self, model: type[_Model]) -> _Model:
        """The query, read as a model. Raises InvalidQuery."""
        try:
            return model.model_validate(self.query)
        except pydantic.ValidationError as error:
            raise _problem(InvalidQuery, error, "query") from error

    async def body(self) -> bytes:
        """The whole body. Raises BodyTooLarge, ClientLeft."""
        limit = self.body_limit
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
            raise BodyTooLarge(
                f"The body may have {limit} bytes, and not {announced[:19].decode()}."
            )
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part: bytes = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > limit:
                raise BodyTooLarge(f"The body may have {limit} bytes.")
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self, model: type[_Model]) -> _Model:
        """The body, read as a model. Raises UnsupportedMediaType, BadJson, InvalidBody."""
        self._want_json()
        raw = await self.body()
        try:
            read = model.model_validate_json(raw)
        except pydantic.ValidationError as error:
            raise _problem(InvalidBody, error, "body") from error
        if b"NaN" in raw or b"Infinity" in raw:
            _refuse_what_is_no_number(raw)
        return read

    async def answer_now(self, making: Awaitable[Answer]) -> None:
        """Answer before the handler returns. It may go on; what it returns is not sent."""
        assert self.responder is not None, "only the edge makes requests that can be answered"
        await self.responder.respond(self, making)

    @property
    def when_lost(self) -> set[Callable[[], None]] | None:
        """Where to be told that the client has left, if the server can tell."""
        return self.scope.get("extensions", {}).get(WHEN_LOST)

    async def disconnected(self) -> None:
        """Return when the client has left. Only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _want_json(self) -> None:
        given = self.headers.get(b"content-type", b"application/json")
        kind = given.partition(b";")[0].strip().lower()
        if kind == b"application/json" or kind.endswith(b"+json"):
            return
        hint = " (with curl: -H 'content-type: application/json')" if kind == _FORM_OF_CURL else ""
        raise UnsupportedMediaType(
            f"The body has to be application/json, not {kind.decode('latin-1')}{hint}."
        )


def _refuse_what_is_no_number(raw: bytes) -> None:
    # Pydantic reads NaN and Infinity, which are not JSON and would be null in the log.
    try:
        decode_json(raw)
    except msgspec.DecodeError as error:
        raise BadJson(str(error)) from error


def _problem(kind: type[Invalid], error: pydantic.ValidationError, where: str) -> Exception:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return BadJson(found[0]["msg"])
    problems = [FieldProblem((where, *each["loc"]), each["msg"], each["type"]) for each in found]
    names = ", ".join(".".join(str(part) for part in problem.location[1:]) for problem in problems)
    return kind(f"{(kind.__doc__ or '').strip()} See: {names or where}.", problems=problems)
