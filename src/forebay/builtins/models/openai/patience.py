"""Chunks that are nearly right: contents in parts, arguments as objects, numbers as floats."""

from forebay.builtins.models.failures import Unreadable
from forebay.core.codec import encode_json
from forebay.core.json import Json


def tidied(value: dict[str, Json]) -> dict[str, Json]:
    """The chunk as it should have come. Raises Unreadable."""
    choices = value.get("choices")
    tidy: dict[str, Json] = {"error": value.get("error")}
    if choices is not None and not isinstance(choices, list):
        raise Unreadable("its choices are no list")
    if choices:
        tidy["choices"] = [_tidy_choice(each) for each in choices if isinstance(each, dict)]
    if isinstance(usage := value.get("usage"), dict):
        tidy["usage"] = {
            name: int(told) if isinstance(told := usage.get(name), int | float) else None
            for name in ("prompt_tokens", "completion_tokens")
        }
    return tidy


def _tidy_choice(choice: dict[str, Json]) -> Json:
    finish = choice.get("finish_reason")
    tidy: dict[str, Json] = {"finish_reason": finish if isinstance(finish, str) else None}
    for place in ("delta", "message"):
        if isinstance(delta := choice.get(place), dict):
            tidy[place] = _tidy_delta(delta)
    return tidy


def _tidy_delta(delta: dict[str, Json]) -> Json:
    content = delta.get("content")
    calls = delta.get("tool_calls")
    return {
        "content": _text_in(content),
        "reasoning": _text_in(delta.get("reasoning_content"))
        or _text_in(delta.get("reasoning"))
        or _thinking_in(content),
        "refusal": _text_in(delta.get("refusal")),
        "tool_calls": [_tidy_call(call) for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else None,
    }


def _tidy_call(call: dict[str, Json]) -> Json:
    function = call.get("function")
    given = function if isinstance(function, dict) else call
    arguments = given.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = encode_json(arguments).decode()
    index, made = call.get("index"), call.get("id")
    return {
        "index": index if isinstance(index, int) else None,
        "id": None if made is None else str(made),
        "function": {"name": given.get("name"), "arguments": arguments},
        "extra_content": call.get("extra_content"),
    }


def _text_in(content: Json) -> str | None:
    match content:
        case str():
            return content
        case {"text": str() as text} | {"content": str() as text}:
            return text
        case list():
            return "".join(filter(None, map(_text_in, content))) or None
        case _:
            return None


def _thinking_in(content: Json) -> str | None:
    if not isinstance(content, list):
        return None
    thoughts = [each.get("thinking") for each in content if isinstance(each, dict)]
    return "".join(filter(None, map(_text_in, thoughts))) or None
