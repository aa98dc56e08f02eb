"""For tests of tools: groups of MCP tools that are closed at the end."""

from collections.abc import AsyncGenerator

import pytest

from .mcp_parties import Groups


@pytest.fixture
async def groups() -> AsyncGenerator[Groups]:
    groups = Groups()
    yield groups
    await groups.aclose()
