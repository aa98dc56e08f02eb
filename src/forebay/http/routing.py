"""Routes: one table of everything that is served, and finding the row of a request.

A path without parameters is found by one look into a table; one with parameters by walking its
segments. Neither depends on how many routes there are.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import pydantic

from forebay.core.errors import ForebayError

from .errors import MethodNotAllowed, PathNotFound
from .request import ErrorShape, Request
from .response import Answer

Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]

Access: TypeAlias = Literal["always open", "anonymous unless auth is required", "operator"]
"""Who may call a route. `operator`: a token, or loopback while nobody forwards."""


@dataclass(frozen=True, slots=True)
class Body:
    """What an answer of one status looks like, for the OpenAPI document."""

    description: str
    model: type[pydantic.BaseModel] | None = None
    kind: str = "application/json"
    also: tuple[str, ...] = ()
    """Other media types the same status may come in."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    access: Access
    errors: ErrorShape
    summary: str
    description: str = ""
    tag: str = ""
    path_values: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the names in the path stand for."""
    body: type[pydantic.BaseModel] | None = None
    query: type[pydantic.BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answers: Mapping[int, Body] = field(default_factory=dict[int, Body])
    raises: tuple[type[ForebayError], ...] = ()
    body_limit: int | None = None
    needs_database: bool = True

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"{self.path}: a path starts with a slash")


class Match(NamedTuple):
    """The route of a request, and what its path names."""

    route: Route
    path: Mapping[str, str]


@dataclass(slots=True)
class _Node:
    routes: dict[str, Route] = field(default_factory=dict[str, Route])
    fixed: dict[str, "_Node"] = field(default_factory=dict[str, "_Node"])
    parameter: "_Node | None" = None
    names: tuple[str, ...] = ()


_NOTHING: Mapping[str, str] = {}


class Router:
    """Finds routes. Refuses two that claim the same method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, dict[str, Route]] = {}
        self._root = _Node()
        for route in self.routes:
            self._add(route)

    def find(self, method: str, path: str) -> Match:
        """The route for a request. Raises PathNotFound, MethodNotAllowed."""
        routes, names = self._plain.get(path), _NOTHING
        if routes is None:
            routes, names = self._walk(path)
        route = routes.get(method)
        if route is None:
            raise MethodNotAllowed(sorted(routes))
        return Match(route, names)

    def _walk(self, path: str) -> tuple[dict[str, Route], Mapping[str, str]]:
        values: list[str] = []
        node = _descend(self._root, path.split("/"), 1, values)
        if node is None:
            raise PathNotFound
        return node.routes, dict(zip(node.names, values, strict=True))

    def _add(self, route: Route) -> None:
        node, names = self._root, list[str]()
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment.strip("{}"))
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.fixed.setdefault(segment, _Node())
        if node.routes and node.names != tuple(names) and route.method not in node.routes:
            raise ValueError(f"{route.path}: another method calls it {', '.join(node.names)}")
        node.names = tuple(names)
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is claimed twice")
        node.routes[route.method] = route
        if not names:
            self._plain[route.path] = node.routes


def _descend(node: _Node, segments: Sequence[str], at: int, values: list[str]) -> _Node | None:
    # What is written out comes before a parameter, but does not hide what only that leads to.
    if at == len(segments):
        return node if node.routes else None
    segment = segments[at]
    child = node.fixed.get(segment)
    found = _descend(child, segments, at + 1, values) if child is not None else None
    if found is not None or node.parameter is None or not segment:
        return found
    values.append(segment)
    found = _descend(node.parameter, segments, at + 1, values)
    if found is None:
        values.pop()
    return found
