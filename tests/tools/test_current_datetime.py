"""current_datetime: the time of the run, in the zone that is asked for."""

from datetime import UTC, datetime

import pydantic
import pytest

from forebay.builtins.tools.current_datetime import register
from forebay.core.errors import InvalidArguments
from tests.support.contexts import Heard, use

from .outside import Types, properties

TYPES = Types.of(register)
SUMMER = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)


async def test_it_tells_the_time_of_the_run():
    tool = TYPES.tool("current_datetime")
    assert await use(tool, {}, Heard(now=SUMMER)) == {
        "datetime": "2026-07-01T22:30:00+00:00",
        "weekday": "Wednesday",
        "timezone": "UTC",
    }


@pytest.mark.parametrize(
    ("zone", "told", "weekday"),
    [
        ("Europe/Berlin", "2026-07-02T00:30:00+02:00", "Thursday"),
        ("America/New_York", "2026-07-01T18:30:00-04:00", "Wednesday"),
        ("Asia/Kolkata", "2026-07-02T04:00:00+05:30", "Thursday"),
        ("Etc/UTC", "2026-07-01T22:30:00+00:00", "Wednesday"),
        ("utc", "2026-07-01T22:30:00+00:00", "Wednesday"),
    ],
)
async def test_it_tells_it_in_another_zone(zone: str, told: str, weekday: str):
    tool = TYPES.tool("current_datetime")
    found = await use(tool, {"timezone": zone}, Heard(now=SUMMER))
    assert found == {"datetime": told, "weekday": weekday, "timezone": zone}


async def test_a_file_may_name_the_zone_that_is_meant():
    tool = TYPES.tool("current_datetime", timezone="Asia/Tokyo")
    assert (await use(tool, {}, Heard(now=SUMMER)))["timezone"] == "Asia/Tokyo"
    assert "Asia/Tokyo" in properties(tool)["timezone"]["description"]


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Berlin", "did you mean Europe/Berlin"),
        ("New York", "did you mean America/New_York"),
        ("Europe/Berlinn", "Europe/Berlin"),
        ("Mars/Olympus", "write it as Europe/Berlin"),
        ("../../etc/passwd", "write it as Europe/Berlin"),
        ("/etc/passwd", "there is no time zone"),
        ("America", "there is no time zone"),
        ("\0", "there is no time zone"),
        ("x" * 500, "write it as Europe/Berlin"),
    ],
)
async def test_an_unknown_zone_is_refused_with_those_that_are_near(zone: str, told: str):
    with pytest.raises(InvalidArguments) as caught:
        await use(TYPES.tool("current_datetime"), {"timezone": zone})
    assert told in caught.value.message
    assert len(caught.value.message) < 200


def test_an_unknown_zone_in_a_file_is_refused_at_the_start():
    with pytest.raises(pydantic.ValidationError, match="there is no time zone 'Nowhere'"):
        TYPES.tool("current_datetime", timezone="Nowhere")


def test_what_nat_says_of_any_function_is_accepted():
    tool = TYPES.tool("current_datetime", name="clock", middleware=["cache"])
    assert tool.name == "current_datetime"
