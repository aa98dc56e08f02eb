"""What the built-in tools import before they are used."""

import subprocess
import sys

_HEAVY = ("forebay.builtins.outbound", "httpcore2", "httpx2", "mcp", "selectolax")


def test_the_built_in_tools_import_nothing_heavy_before_they_are_called() -> None:
    tools = "calculator, current_datetime, fetch_page, web_search"
    loaded = f"import sys; from forebay.builtins.tools import {tools}; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [name for name in told if name.startswith(_HEAVY)]


def test_a_module_with_a_tool_imports_nothing_of_the_built_in_ones() -> None:
    loaded = "import sys, forebay; forebay.tool; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "forebay.authoring.tools" in told
    assert not [name for name in told if name.startswith(("forebay.builtins", *_HEAVY))]
