"""Plain: JSON and text of whatever a workflow hands around."""

from typing import cast

from pydantic_core import to_jsonable_python

from forebay.core.json import Json


def plain(value: object) -> Json:
    """The value as JSON; what is none becomes text."""
    if isinstance(value, str):
        return plain_text(value)
    try:
        return cast(
            Json,
            to_jsonable_python(
                value, bytes_mode="base64", inf_nan_mode="strings", serialize_unknown=True
            ),
        )
    except ValueError:  # it contains itself, or text that is no Unicode
        return plain_text(value)


def plain_text(value: object) -> str:
    """The value as text that can be written down."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
