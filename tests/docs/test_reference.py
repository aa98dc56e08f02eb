"""What the code has, the documentation has, and the other way round."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from forebay.builtins.agents.echo import Script
from forebay.core.events import TYPES, Event
from forebay.ports.agent import Context
from forebay.settings import Settings, variable
from tests.docs import reference
from tests.docs.pages import DOCS, first_column, headings, read, section
from tests.support.errors import every_raised_error
from tests.support.server import serving

NATIVE = DOCS / "wire" / "native.md"
OPERATIONS = DOCS / "operations.md"
EVENTS = DOCS / "events.md"
AGENTS = DOCS / "agents.md"


@pytest.mark.parametrize("page", reference.pages(), ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    assert read(page) == reference.pages()[page], "run: make docs"


def test_every_generated_part_is_somewhere() -> None:
    marked = re.findall(r"<!-- generated: ([\w-]+) -->", "".join(map(read, reference.pages())))
    assert sorted(marked) == sorted(reference.PARTS)


def test_every_setting_is_documented() -> None:
    table = section(DOCS / "settings.md", "Settings")
    assert set(first_column(table)) >= {setting.name for setting in fields(Settings)}
    for setting in fields(Settings):
        assert f"`{variable(setting.name)}`" in table
        assert all(f"`{alias}`" in table for alias in setting.metadata["aliases"])


def test_every_error_code_is_documented() -> None:
    table = section(NATIVE, "Errors")
    for kind in every_raised_error():
        assert f"| `{kind.code}` |" in table, kind.code


async def test_every_route_is_documented_and_no_other() -> None:
    async with serving() as server:
        routes = {f"{route.method} {route.path}" for route in server.app.router.routes}
    assert set(first_column(section(NATIVE, "The native API"))) >= routes
    told = re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", read(NATIVE), re.MULTILINE)
    assert set(told) == routes


async def test_every_query_parameter_and_field_of_a_body_is_documented() -> None:
    async with serving() as server:
        routes = server.app.router.routes
    text = read(NATIVE)
    for route in routes:
        for model in (route.body, route.query):
            for name in model.model_fields if model else ():
                assert f"`{name}`" in text, f"{route.method} {route.path}: {name}"


async def test_every_metric_is_documented_and_no_other() -> None:
    async with serving() as server:
        await server.run("hello")
        told = (await server.client.get("/metrics")).text
    names = set(re.findall(r"^# TYPE (\w+) ", told, re.MULTILINE))
    table = first_column(section(OPERATIONS, "Metrics"))
    assert {name.partition("{")[0] for name in table} == names


# --- events -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), TYPES.items(), ids=list(TYPES.values()))
def test_every_event_is_documented_with_all_of_its_fields(kind: type[Event], name: str) -> None:
    told = section(EVENTS, f"`{name}`")
    assert told.strip().startswith((kind.__doc__ or "").strip())
    assert first_column(told) == list(kind.__struct_fields__)
    large = re.findall(r"^\| `(\w+)` \| [^|]*\*large\*", told, re.MULTILINE)
    assert large == ([kind.large] if kind.large else [])


def test_no_event_is_documented_that_is_gone() -> None:
    told = [found[1] for title in headings(EVENTS) if (found := re.fullmatch(r"`(.+)`", title))]
    assert sorted(told) == sorted(TYPES.values())


# --- agents -------------------------------------------------------------------------------------


def test_everything_a_context_has_is_documented() -> None:
    told = {re.sub(r"\(.*", "", name) for name in first_column(section(AGENTS, "The context"))}
    assert told == {f"ctx.{name}" for name in dir(Context) if not name.startswith("_")}


def test_every_directive_of_echo_is_documented_and_works() -> None:
    told = first_column(section(AGENTS, "echo"))
    assert len(told) == 6
    for directive in told:
        name, _, value = directive.partition("=")
        script = Script.read(f"word {name}={'text' if value == 'TEXT' else '3'}")
        assert script.words == ("word",), name
        assert script.fail == "text" if name == "fail" else script.numbers == {name: 3}


def test_every_decision_is_in_the_list() -> None:
    folder = DOCS / "decisions"
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", read(folder / "README.md")))
    assert listed == {page.name for page in folder.glob("[0-9]*.md")}


def test_every_page_is_in_the_index() -> None:
    index = read(DOCS / "README.md")
    for page in [*DOCS.glob("*.md"), *(DOCS / "wire").glob("*.md")]:
        if page.name != "README.md":
            assert f"({page.relative_to(DOCS)})" in index, page.name
