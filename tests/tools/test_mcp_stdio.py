"""Tools of an MCP server that is a program: found, called, and there again after it has died."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.builtins.tools.mcp.group import McpGroup
from forebay.core.errors import ToolError, ToolUnavailable
from forebay.testing.clock import ManualClock
from tests.support.waiting import pass_time_until, until

from .mcp_parties import PROGRAM, Groups, Parts, is_alive, stdio, until_learnt, until_told, use

pytestmark = pytest.mark.system

ERAS = pytest.mark.parametrize("era", [(), ("--old",)], ids=["new", "old"])


@ERAS
async def test_the_tools_of_a_server_are_found_on_all_pages_and_called(
    groups: Groups, era: tuple[str, ...]
) -> None:
    group = groups.make(stdio(*era))
    tools = {tool.name: tool for tool in await group.tools()}
    assert len(tools) > 15, "more than three pages"
    add = tools["add"]
    assert (add.description, add.timeout_seconds) == ("Add two numbers.", 60.0)
    assert (add.needs_approval, add.blocks) == (False, False)
    assert isinstance(add.parameters, dict)
    assert add.parameters["required"] == ["a", "b"]
    assert len(tools["wordy"].description) == 4_096
    assert await use(group, "files_read", path="/x") == "text of /x"
    assert await use(group, "add", a=1, b=2) == 3
    assert await use(group, "greet", name="Ada") == "Hello, Ada!"
    assert await use(group, "colour", name="red") == {"colour": "red"}
    assert await use(group, "key") == "key of the step"


@ERAS
async def test_calls_are_made_at_the_same_time(groups: Groups, era: tuple[str, ...]) -> None:
    group = groups.make(stdio(*era))
    assert await asyncio.gather(*(use(group, "meet", party=3) for _ in range(3))) == [3, 3, 3]


async def test_the_first_calls_share_one_connection(groups: Groups) -> None:
    group = groups.make(stdio())
    pids = await asyncio.gather(*(use(group, "pid") for _ in range(5)))
    assert len(set(pids)) == 1


@ERAS
async def test_a_call_that_is_given_up_is_cancelled_at_the_server_too(
    groups: Groups, era: tuple[str, ...]
) -> None:
    group = groups.make(stdio(*era))
    pid = await use(group, "pid")
    hanging = asyncio.create_task(use(group, "hang"))
    await until_told(group, hanging=1)
    hanging.cancel()
    await asyncio.wait({hanging})
    await until_told(group, hanging=1, cancelled=1)
    assert await use(group, "pid") == pid


async def test_a_failure_is_told_in_the_words_of_the_server(groups: Groups) -> None:
    group = groups.make(stdio())
    with pytest.raises(ToolError, match="Error executing tool fail"):
        await use(group, "fail", text="no")
    with pytest.raises(ToolError, match="validation error"):
        await use(group, "add", a="one", b=2)


@ERAS
async def test_a_tool_that_comes_later_is_found_when_the_server_tells_of_it(
    groups: Groups, era: tuple[str, ...]
) -> None:
    group = groups.make(stdio(*era))
    before = await group.tools()
    assert await group.tools() is before, "nobody is asked again for nothing"
    await until_learnt(group, "dance")
    assert await use(group, "dance") == "I am dance"


async def test_a_list_of_tools_is_not_trusted_for_ever(groups: Groups) -> None:
    clock = ManualClock()
    group = groups.make(stdio(), Parts(clock))
    before = await group.tools()
    clock.advance(9 * 60)
    assert await group.tools() is before
    clock.advance(2 * 60)
    assert await group.tools() is not before


# --- servers that die ---------------------------------------------------------------------------


@ERAS
async def test_a_server_that_was_killed_is_started_again_for_the_next_call(
    groups: Groups, era: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    group = groups.make(stdio(*era))
    for _ in range(3):
        pid = await use(group, "pid")
        os.kill(pid, signal.SIGKILL)
        await until(lambda pid=pid: not is_alive(pid))
        assert await use(group, "pid") != pid
    assert caplog.text.count("is gone. It has ended the connection.") == 3


async def test_a_call_that_is_on_its_way_when_the_server_dies_is_not_made_again(
    groups: Groups,
) -> None:
    group = groups.make(stdio())
    meeting = asyncio.create_task(use(group, "meet", party=2))
    await until_told(group, meeting=1)
    with pytest.raises(ToolUnavailable, match="was lost during the call, which may have had"):
        await use(group, "die")
    with pytest.raises(ToolUnavailable, match="may have had its effect"):
        await meeting
    assert await use(group, "add", a=1, b=2) == 3


async def test_without_reconnecting_a_dead_server_stays_away(groups: Groups) -> None:
    group = groups.make(stdio(reconnect_enabled=False))
    with pytest.raises(ToolUnavailable):
        await use(group, "die")
    with pytest.raises(ToolUnavailable, match="`reconnect_enabled` is false"):
        await use(group, "pid")


async def test_a_program_that_cannot_be_started_is_named_at_once(groups: Groups) -> None:
    clock = ManualClock()
    told = {"server": {"transport": "stdio", "command": "/there/is/none"}}
    group = groups.make(told, Parts(clock))
    with pytest.raises(ToolUnavailable, match=r"/there/is/none of g .* No such file"):
        await group.tools()


async def test_a_program_that_ends_at_once_is_started_again_with_growing_pauses(
    groups: Groups,
) -> None:
    clock = ManualClock()
    told = {
        "server": {"transport": "stdio", "command": "false"},
        "reconnect_max_attempts": 3,
        "reconnect_initial_backoff": 10,
        "reconnect_max_backoff": 20,
    }
    group = groups.make(told, Parts(clock))
    began = clock.boot()
    asking = [asyncio.create_task(group.tools()) for _ in range(3)]
    await pass_time_until(clock, lambda: asking[0].done(), step=0.05)
    assert clock.boot() - began >= 50_000, "10, 20 and 20 seconds"
    for each in asking:
        with pytest.raises(ToolUnavailable, match=r"false of g .* ended the connection"):
            await each


# --- what it leaves behind ----------------------------------------------------------------------


async def test_closing_leaves_no_process(groups: Groups) -> None:
    group = groups.make(stdio())
    pid = await use(group, "pid")
    hanging = asyncio.create_task(use(group, "hang"))
    await until_told(group, hanging=1)
    await group.aclose()
    assert not is_alive(pid)
    with pytest.raises(ToolUnavailable):
        await hanging
    with pytest.raises(ToolUnavailable, match="closed"):
        await group.tools()
    await group.aclose()


async def test_closing_while_it_connects_leaves_no_process(groups: Groups, tmp_path: Path) -> None:
    group, pid = _slow_to_start(groups, tmp_path)
    connecting = asyncio.create_task(group.tools())
    await until(lambda: pid() is not None)
    await group.aclose()
    with pytest.raises(ToolUnavailable, match="closed"):
        await connecting
    await until(lambda: not is_alive(pid() or 0))


async def test_whoever_waits_for_a_connection_may_leave(groups: Groups, tmp_path: Path) -> None:
    group, pid = _slow_to_start(groups, tmp_path)
    first, second = (asyncio.create_task(group.tools()) for _ in range(2))
    await until(lambda: pid() is not None)
    first.cancel()
    assert await second
    assert first.cancelled()


def _slow_to_start(groups: Groups, tmp_path: Path) -> tuple[McpGroup, Callable[[], int | None]]:
    """A group, and its process as soon as there is one."""
    told = tmp_path / "pid"
    script = f"echo $$ > {told}.part; mv {told}.part {told}; exec {sys.executable} {PROGRAM} stdio"
    server = {"transport": "stdio", "command": "sh", "args": ["-c", script]}

    def pid() -> int | None:
        return int(told.read_text()) if told.exists() else None

    return groups.make({"server": server}), pid


async def test_what_a_server_complains_about_is_logged_without_secrets(
    groups: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "forebay")
    told = stdio()
    assert isinstance(told["server"], dict)
    told["server"]["env"] = {"API_TOKEN": "s3cret-token", "REGION": "north"}
    group = groups.make(told)
    await use(group, "complain", text="no luck with s3cret-token")
    await until(lambda: "no luck with ***" in caplog.text)
    assert await use(group, "environment", name="API_TOKEN") == "***"
    assert await use(group, "environment", name="REGION") == "north"
    with pytest.raises(ToolError) as failed:
        await use(group, "add", a="s3cret-token", b=2)
    assert "s3cret-token" not in caplog.text + str(failed.value)
