"""current_datetime: the date and time of the run, which a resumed run gets the same again."""

from datetime import UTC, tzinfo
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pydantic
from pydantic import Field

from forebay.core.errors import InvalidArguments
from forebay.core.json import Json
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry
from forebay.ports.tools import Tool

from .configuration import ToolConfig, configured

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UTC_NAMES = ("utc", "etc/utc", "z", "gmt")


class CurrentDatetimeConfig(ToolConfig):
    """A clock."""

    timezone: str = "UTC"
    """The time zone that is told if none is asked for."""

    @pydantic.field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        _zone(name)
        return name


def _current_datetime(name: str, config: CurrentDatetimeConfig, parts: Parts) -> Tool:
    del parts

    async def current_datetime(
        ctx: Context,
        timezone: Annotated[
            str | None,
            Field(description=f"As Europe/Berlin or UTC. Without one it is {config.timezone}."),
        ] = None,
    ) -> Json:
        """Tells the current date, time and day of the week."""
        wanted = timezone or config.timezone
        try:
            zone = _zone(wanted)
        except ValueError as error:
            raise InvalidArguments(f"timezone: {error}.") from None
        now = ctx.now().astimezone(zone)
        return {
            "datetime": now.isoformat(timespec="seconds"),
            "weekday": _DAYS[now.weekday()],
            "timezone": wanted,
        }

    return configured(current_datetime, name, config)


def _zone(name: str) -> tzinfo:
    """The time zone of this name. Raises ValueError."""
    if name.lower() in _UTC_NAMES:  # also on a machine without the database of zones
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name[:50]!r}{_advice(name)}") from None


def _advice(name: str) -> str:
    known = available_timezones()
    if not known:
        return ": this machine has no time zone data, install the package tzdata"
    wanted = name.lower().replace(" ", "_")
    in_city = [zone for zone in known if zone.lower().rpartition("/")[2] == wanted]
    near = in_city or get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(sorted(near))}" if near else ": write it as Europe/Berlin"


def register(registry: Registry) -> None:
    """Make the clock known."""
    registry.add_function("current_datetime", CurrentDatetimeConfig, _current_datetime)
