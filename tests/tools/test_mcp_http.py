"""Tools of an MCP server that has a URL: under the rules for addresses, and there again later."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from forebay.builtins.profile import RuntimeProfile
from forebay.core.errors import ToolUnavailable
from forebay.testing.clock import ManualClock
from tests.support.waiting import pass_time_until, until

from .mcp_parties import (
    Groups,
    Parts,
    http_server,
    over_http,
    until_learnt,
    until_told,
    use,
)

pytestmark = pytest.mark.system

ERAS = pytest.mark.parametrize("era", [(), ("--old",)], ids=["new", "old"])


@ERAS
async def test_the_tools_of_a_server_are_found_and_called(
    groups: Groups, era: tuple[str, ...]
) -> None:
    async with http_server(*era) as server:
        headers = {"Authorization": "Bearer s3cret-key", "X-Place": "north"}
        told = over_http(server.url)
        assert isinstance(told["server"], dict)
        told["server"]["custom_headers"] = headers
        group = groups.make(told)
        assert await use(group, "add", a=1, b=2) == 3
        assert await use(group, "colour", name="red") == {"colour": "red"}
        assert await use(group, "header", name="x-place") == "north"
        assert await use(group, "header", name="authorization") == "***", "it came, and is masked"
        assert (await use(group, "header", name="user-agent")).startswith("forebay/")
        assert await asyncio.gather(*(use(group, "meet", party=3) for _ in range(3))) == [3, 3, 3]


async def test_the_transport_of_old_is_spoken_too(groups: Groups) -> None:
    async with http_server(transport="sse") as server:
        group = groups.make(over_http(server.url, "sse"))
        assert await use(group, "add", a=1, b=2) == 3
        hanging = asyncio.create_task(use(group, "hang"))
        await until_told(group, hanging=1)
        await server.kill()
        with pytest.raises(ToolUnavailable):
            await hanging
        with pytest.raises(ToolUnavailable, match="refuses connections"):
            await use(group, "pid")
        await server.start()
        assert await use(group, "add", a=1, b=2) == 3


@ERAS
async def test_a_call_that_is_given_up_is_cancelled_at_the_server_too(
    groups: Groups, era: tuple[str, ...]
) -> None:
    async with http_server(*era) as server:
        group = groups.make(over_http(server.url))
        hanging = asyncio.create_task(use(group, "hang"))
        await until_told(group, hanging=1, cancelled=0)
        hanging.cancel()
        await asyncio.wait({hanging})
        await until_told(group, hanging=1, cancelled=1)


@ERAS
async def test_a_tool_that_comes_later_is_found_when_the_server_tells_of_it(
    groups: Groups, era: tuple[str, ...]
) -> None:
    async with http_server(*era) as server:
        group = groups.make(over_http(server.url))
        before = await group.tools()
        assert await group.tools() is before
        await until_learnt(group, "dance")


# --- servers that go away -----------------------------------------------------------------------


@ERAS
async def test_a_server_that_was_started_again_is_used_by_the_next_call(
    groups: Groups, era: tuple[str, ...]
) -> None:
    async with http_server(*era) as server:
        group = groups.make(over_http(server.url))
        await until_learnt(group, "dance")
        add = next(tool for tool in await group.tools() if tool.name == "add")
        await server.kill()
        await server.start()
        assert await use(group, "add", a=1, b=2) == 3
        assert add.name == "add"
        while "dance" in {tool.name for tool in await group.tools()}:  # noqa: ASYNC110 -- it is asked
            await asyncio.sleep(0.001)


async def test_calls_that_hear_together_of_a_lost_session_are_all_made_again(
    groups: Groups,
) -> None:
    async with http_server("--old") as server:
        group = groups.make(over_http(server.url))
        await group.tools()
        await server.kill()
        await server.start()
        assert await asyncio.gather(*(use(group, "meet", party=8) for _ in range(8))) == [8] * 8


async def test_a_session_is_taken_leave_of(groups: Groups) -> None:
    async with http_server("--old") as server:
        group, other = (groups.make(over_http(server.url)) for _ in range(2))
        hanging = asyncio.create_task(use(group, "hang"))
        await until_told(other, hanging=1, farewells=0)
        await group.aclose()
        with pytest.raises(ToolUnavailable):
            await hanging
        await until_told(other, farewells=1)


async def test_a_server_that_is_away_for_a_while_is_waited_for(groups: Groups) -> None:
    clock = ManualClock()
    async with http_server() as server:
        group = groups.make(over_http(server.url), Parts(clock))
        pid = await use(group, "pid")
        await server.kill()
        calling = asyncio.create_task(use(group, "pid"))
        await until(lambda: clock.sleepers > 0)
        await server.start()
        await pass_time_until(clock, calling.done)
        assert await calling != pid


async def test_a_server_that_stays_away_is_tried_a_few_times(groups: Groups) -> None:
    clock = ManualClock()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    told = over_http(url, reconnect_max_attempts=3, reconnect_initial_backoff=10)
    group = groups.make(told, Parts(clock))
    began = clock.boot()
    asking = asyncio.create_task(group.tools())
    await pass_time_until(clock, asking.done, step=0.05)
    with pytest.raises(ToolUnavailable, match=rf"http://127\.0\.0\.1:{port} of g .* refuses"):
        await asking
    assert clock.boot() - began >= 70_000, "10, 20 and 40 seconds"


@ERAS
async def test_a_call_that_is_on_its_way_when_the_server_dies_is_not_made_again(
    groups: Groups, era: tuple[str, ...]
) -> None:
    async with http_server(*era) as server:
        group = groups.make(over_http(server.url))
        meeting = asyncio.create_task(use(group, "meet", party=2))
        await until_told(group, meeting=1)
        with pytest.raises(ToolUnavailable, match="which may have had its effect"):
            await use(group, "die")
        with pytest.raises(ToolUnavailable, match="which may have had its effect"):
            await meeting
        await server.kill()
        await server.start()
        await until_told(group, meeting=0)


# --- servers that may not be used ---------------------------------------------------------------


async def test_offline_other_machines_are_not_called(groups: Groups) -> None:
    parts = Parts(ManualClock(), RuntimeProfile("offline"))
    group = groups.make(over_http("https://mcp.example.com/secret-path"), parts)
    with pytest.raises(ToolUnavailable, match="offline") as refused:
        await group.tools()
    assert "secret-path" not in str(refused.value)


async def test_offline_this_machine_is_called(groups: Groups) -> None:
    async with http_server() as server:
        parts = Parts(profile=RuntimeProfile("offline"))
        group = groups.make(over_http(server.url), parts)
        assert await use(group, "add", a=1, b=2) == 3


async def test_a_server_that_wants_a_key_is_told_apart_from_one_that_is_away(
    groups: Groups,
) -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    async with _answering(answer) as port:
        group = groups.make(over_http(f"http://127.0.0.1:{port}/mcp"), Parts(ManualClock()))
        with pytest.raises(ToolUnavailable, match="answered with status 401"):
            await group.tools()


async def test_a_server_that_speaks_something_else_is_no_mcp_server(groups: Groups) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi"
    async with _answering(answer) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        group = groups.make(over_http(url, reconnect_max_attempts=0))
        with pytest.raises(ToolUnavailable, match="content type: text/html"):
            await group.tools()


@asynccontextmanager
async def _answering(answer: bytes) -> AsyncGenerator[int]:
    """A server that says this to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]
