"""What a tool of an MCP server returned, as JSON of a bounded size."""

from collections.abc import Sequence
from typing import cast

from mcp import types

from forebay.core.codec import encode_json
from forebay.core.errors import ToolError
from forebay.core.json import Json

_LONGEST_TEXT = 1_000_000
_LARGEST_DATA = 8 * 1024 * 1024
"""Characters of base64, or bytes of JSON."""
_MOST_BLOCKS = 1_000
_LONGEST_ERROR = 4_000
_LONGEST_URI = 2_000


def result_of(result: types.CallToolResult, *, is_wrapped: bool) -> Json:
    """The result as JSON: a text, what is structured, or one object per block.

    Raises ToolError with what the server says of its failure, or if it is too large.
    """
    blocks = result.content[:_MOST_BLOCKS]
    if result.is_error:
        raise ToolError(_error(blocks))
    structured = cast(Json, result.structured_content)
    if structured is not None and all(isinstance(block, types.TextContent) for block in blocks):
        return _bounded(_unwrapped(structured) if is_wrapped else structured)
    shown: list[Json] = [_shown(block) for block in blocks]
    return shown[0] if len(shown) == 1 else shown or None


def _error(blocks: Sequence[types.ContentBlock]) -> str:
    texts = [block.text for block in blocks if isinstance(block, types.TextContent)]
    return _cut("\n".join(texts).strip(), _LONGEST_ERROR) or "The tool failed, and says no more."


def _unwrapped(structured: Json) -> Json:
    match structured:
        case {"result": result, **rest} if not rest:
            return result
        case _:
            return structured


def _bounded(structured: Json) -> Json:
    size = len(encode_json(structured))
    if size > _LARGEST_DATA:
        raise ToolError(f"The result is too large: {size} bytes, of at most {_LARGEST_DATA}.")
    return structured


def _shown(block: types.ContentBlock) -> Json:
    match block:
        case types.TextContent():
            return _cut(block.text, _LONGEST_TEXT)
        case types.ImageContent() | types.AudioContent():
            return {"type": block.type, "mimeType": block.mime_type, **_data(block.data)}
        case types.ResourceLink():
            named = {"title": block.title, "description": block.description}
            told: dict[str, Json] = {"type": block.type, "name": _cut(block.name, _LONGEST_URI)}
            told |= {key: _cut(text, _LONGEST_ERROR) for key, text in named.items() if text}
            return told | _address(block.uri, block.mime_type)
        case types.EmbeddedResource():
            return {"type": block.type, **_held(block.resource)}


def _held(resource: types.TextResourceContents | types.BlobResourceContents) -> dict[str, Json]:
    told = _address(resource.uri, resource.mime_type)
    if isinstance(resource, types.TextResourceContents):
        return told | {"text": _cut(resource.text, _LONGEST_TEXT)}
    return told | _data(resource.blob)


def _address(uri: str, mime_type: str | None) -> dict[str, Json]:
    told: dict[str, Json] = {"uri": _cut(uri, _LONGEST_URI)}
    return told if mime_type is None else told | {"mimeType": mime_type}


def _data(base64: str) -> dict[str, Json]:
    if len(base64) > _LARGEST_DATA:
        return {"omitted": f"{len(base64) * 3 // 4} bytes are too many"}
    return {"data": base64}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
