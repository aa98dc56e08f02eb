"""Finding the row of a request."""

import pytest

from forebay.http.errors import MethodNotAllowed, PathNotFound
from forebay.http.routing import Router
from tests.support.edge import route

TABLE = Router(
    [
        route("GET", "/"),
        route("GET", "/runs"),
        route("POST", "/runs"),
        route("GET", "/runs/latest"),
        route("GET", "/runs/{run}"),
        route("DELETE", "/runs/{run}"),
        route("GET", "/runs/{run}/events"),
        route("GET", "/runs/{run}/objects/{object}"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "pattern", "names"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/runs", "/runs", {}),
        ("POST", "/runs", "/runs", {}),
        ("GET", "/runs/7", "/runs/{run}", {"run": "7"}),
        ("DELETE", "/runs/7", "/runs/{run}", {"run": "7"}),
        ("GET", "/runs/a b%2Fc", "/runs/{run}", {"run": "a b%2Fc"}),
        ("GET", "/runs/latest", "/runs/latest", {}),
        ("GET", "/runs/7/events", "/runs/{run}/events", {"run": "7"}),
        ("GET", "/runs/7/objects/x", "/runs/{run}/objects/{object}", {"run": "7", "object": "x"}),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, pattern: str, names: dict[str, str]):
    found = TABLE.find(method, path)
    assert (found.route.method, found.route.path, dict(found.path)) == (method, pattern, names)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "runs",
        "/run",
        "/runs/",
        "/runs/7/",
        "//runs",
        "/runs//events",
        "/runs/7/event",
        "/runs/7/events/",
        "/runs/7/objects",
        "/runs/7/objects/x/y",
        "/RUNS",
        "/runs\0",
        "/\ud800/\ud800",
        "/" * 10_000,
        "/a" * 10_000,
    ],
)
def test_a_path_that_is_not_in_the_table_is_not_found(path: str):
    with pytest.raises(PathNotFound):
        TABLE.find("GET", path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/runs", "GET, POST"),
        ("POST", "/runs/7", "DELETE, GET"),
        ("POST", "/runs/latest", "GET"),
        ("PATCH", "/runs/7/events", "GET"),
        ("TRACE", "/", "GET"),
        ("get", "/", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    method: str, path: str, allowed: str
):
    with pytest.raises(MethodNotAllowed) as caught:
        TABLE.find(method, path)
    assert caught.value.allowed == allowed


@pytest.mark.parametrize(
    ("one", "other"),
    [("/runs", "/runs"), ("/runs/{run}", "/runs/{run}"), ("/runs/{run}", "/runs/{id}")],
)
def test_a_path_that_is_claimed_twice_is_refused(one: str, other: str):
    with pytest.raises(ValueError, match="claimed twice"):
        Router([route("GET", one), route("GET", other)])


def test_one_path_may_not_name_its_parameters_in_two_ways():
    with pytest.raises(ValueError, match="run"):
        Router([route("GET", "/runs/{run}"), route("DELETE", "/runs/{id}")])


def test_a_fixed_segment_does_not_hide_what_a_parameter_leads_to():
    table = Router([route("GET", "/runs/latest"), route("GET", "/runs/{run}/events")])
    assert dict(table.find("GET", "/runs/latest/events").path) == {"run": "latest"}


def test_a_path_starts_with_a_slash():
    with pytest.raises(ValueError, match="slash"):
        route("GET", "runs")


def test_the_table_can_be_read():
    assert [row.path for row in TABLE.routes][:2] == ["/", "/runs"]
