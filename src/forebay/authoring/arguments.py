"""Arguments as models write them: the JSON of an object, nearly."""

import json

from forebay.core.codec import decode_json, encode_json
from forebay.core.json import Json


def read_arguments(text: str) -> dict[str, Json]:
    """The object that a model has written. Nothing at all is one without fields.

    Raises ValueError, with a message for the model.
    """
    text = text.strip()
    if not text or text == "null":
        return {}
    value = read_json(text)
    if isinstance(value, str):  # some write the JSON as a text of JSON
        value = read_json(value)
    if not isinstance(value, dict):
        raise ValueError("They are JSON, but not an object.")
    return value


def read_json(text: str) -> Json:
    """JSON, also with line breaks inside of texts. Raises ValueError."""
    try:
        value = decode_json(text)
    except (ValueError, RecursionError):
        value = _read_loosely(text)
    try:
        encode_json(value)  # into the log: it may be a number that JSON can hold and we cannot
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError("They contain what cannot be kept, such as a huge number.") from error
    return value


def _read_loosely(text: str) -> Json:
    try:
        return json.loads(text, strict=False, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"They are not JSON: {error}.") from error
    except RecursionError as error:
        raise ValueError("They are nested too deeply.") from error


def _refuse(constant: str) -> Json:
    raise ValueError(f"They are not JSON: there is no {constant} in it.")
