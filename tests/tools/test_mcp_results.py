"""What tools of MCP servers return, as JSON, and as what they are offered."""

import pytest
from mcp import types

from forebay.builtins.tools.mcp.config import McpClient
from forebay.builtins.tools.mcp.offer import Found, offer, valid_name
from forebay.builtins.tools.mcp.results import result_of
from forebay.core.errors import ToolError
from forebay.core.json import Json
from forebay.ports.agent import Context

from .mcp_parties import stdio

_TEXT = types.TextContent(text="3")


@pytest.mark.parametrize(
    ("structured", "is_wrapped", "result"),
    [
        ({"result": 3}, True, 3),
        ({"result": 3}, False, {"result": 3}),
        ({"result": 3, "more": 4}, True, {"result": 3, "more": 4}),
        ([1, 2], False, [1, 2]),
        (None, False, "3"),
    ],
)
def test_what_is_structured_counts_before_its_text(
    structured: Json, is_wrapped: bool, result: Json
) -> None:
    returned = types.CallToolResult(content=[_TEXT], structured_content=structured)
    assert result_of(returned, is_wrapped=is_wrapped) == result


def test_nothing_is_nothing_and_several_blocks_are_a_list() -> None:
    assert result_of(types.CallToolResult(content=[]), is_wrapped=False) is None
    assert result_of(types.CallToolResult(content=[_TEXT, _TEXT]), is_wrapped=False) == ["3", "3"]


def test_what_is_too_large_is_cut_or_left_out() -> None:
    long = types.CallToolResult(content=[types.TextContent(text="x" * 2_000_000)])
    cut = result_of(long, is_wrapped=False)
    assert isinstance(cut, str)
    assert (len(cut), cut[-1]) == (1_000_000, "…")
    picture = types.ImageContent(data="a" * 12_000_000, mime_type="image/png")
    shown = result_of(types.CallToolResult(content=[picture]), is_wrapped=False)
    assert shown == {
        "type": "image",
        "mimeType": "image/png",
        "omitted": "9000000 bytes are too many",
    }
    with pytest.raises(ToolError, match="too large"):
        structured = {"x": "y" * 9_000_000}
        result_of(types.CallToolResult(content=[], structured_content=structured), is_wrapped=False)
    many = result_of(types.CallToolResult(content=[_TEXT] * 2_000), is_wrapped=False)
    assert isinstance(many, list)
    assert len(many) == 1_000


def test_a_failure_says_what_the_server_says_of_it() -> None:
    failed = types.CallToolResult(content=[_TEXT, _TEXT], is_error=True)
    with pytest.raises(ToolError, match=r"^3\n3$"):
        result_of(failed, is_wrapped=False)
    with pytest.raises(ToolError, match="says no more"):
        result_of(types.CallToolResult(content=[], is_error=True), is_wrapped=False)


@pytest.mark.parametrize(
    ("name", "valid"),
    [("add", "add"), ("files.read", "files_read"), ("é/x", "__x"), ("a" * 64, "a" * 64)],
)
def test_a_name_is_made_fit_for_models(name: str, valid: str) -> None:
    assert valid_name(name) == valid


def test_long_names_stay_apart() -> None:
    one, other = valid_name("a" * 70 + "1"), valid_name("a" * 70 + "2")
    assert len(one) == len(other) == 64
    assert one != other


def test_tools_that_would_be_called_the_same_are_told_apart() -> None:
    found = [Found(name, "", {}, False) for name in ("a_b", "a.b", "a/b")]

    async def send(found: Found, ctx: Context, arguments: object) -> Json:
        raise NotImplementedError

    names = [tool.name for tool in offer(McpClient.model_validate(stdio()), found, send)]
    assert names[0] == "a_b"
    assert len(set(names)) == 3
    assert all(name.startswith("a_b_") for name in names[1:])


def test_a_tool_whose_schema_is_huge_is_left_out() -> None:
    huge: dict[str, Json] = {"description": "x" * 100_000}
    found = [Found("huge", "", huge, False), Found("small", "", {}, False)]

    async def send(found: Found, ctx: Context, arguments: object) -> Json:
        raise NotImplementedError

    tools = offer(McpClient.model_validate(stdio()), found, send)
    assert [tool.name for tool in tools] == ["small"]
