"""The one name for JSON of unknown shape."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    Json = (
        Any  # msgspec and pydantic read annotations at run time and cannot follow a recursive one
    )
