"""Request: what a handler reads. Bounded in size, and in our words when it cannot be read."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import pydantic

from forebay.core.errors import (
    BadJson,
    BodyTooLarge,
    FieldProblem,
    Invalid,
    InvalidBody,
    InvalidQuery,
)

from .asgi import Receive, Scope
from .errors import ClientLeft, UnsupportedMediaType

_Model = TypeVar("_Model", bound=pydantic.BaseModel)

_FORM_OF_CURL = b"application/x-www-form-urlencoded"


class Request:
    """One HTTP request."""

    __slots__ = ("_query", "_receive", "body_limit", "headers", "id", "path", "scope", "trace")

    def __init__(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], body_limit: int
    ) -> None:
        self.scope = scope
        self.headers = headers
        self.body_limit = body_limit
        self.path: Mapping[str, str] = {}
        self.id = ""
        self.trace = ""
        self._receive = receive
        self._query: dict[str, str] | None = None

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
        announced = self.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise BodyTooLarge(f"The body may have {limit} bytes; this one has {int(announced)}.")
        message = await self._receive()
        parts: list[bytes] = [message.get("body", b"")]
        size = len(parts[0])
        while message.get("more_body", False):
            message = await self._receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLarge(f"The body may have {limit} bytes.")
        if message["type"] == "http.disconnect":
            raise ClientLeft
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self, model: type[_Model]) -> _Model:
        """The body, read as a model. Raises UnsupportedMediaType, BadJson, InvalidBody."""
        self._want_json()
        try:
            return model.model_validate_json(await self.body())
        except pydantic.ValidationError as error:
            raise _problem(InvalidBody, error, "body") from error

    async def disconnected(self) -> None:
        """Return when the client has left. Only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _want_json(self) -> None:
        kind = self.headers.get(b"content-type", b"application/json").partition(b";")[0].strip()
        if kind.lower() == b"application/json" or kind.endswith(b"+json"):
            return
        hint = " (with curl: -H 'content-type: application/json')" if kind == _FORM_OF_CURL else ""
        raise UnsupportedMediaType(
            f"The body has to be application/json, not {kind.decode('latin-1')}{hint}."
        )


def _problem(kind: type[Invalid], error: pydantic.ValidationError, where: str) -> Exception:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return BadJson(found[0]["msg"])
    problems = [FieldProblem((where, *each["loc"]), each["msg"], each["type"]) for each in found]
    names = ", ".join(".".join(str(part) for part in problem.location[1:]) for problem in problems)
    return kind(f"{(kind.__doc__ or '').strip()} See: {names or where}.", problems=problems)
