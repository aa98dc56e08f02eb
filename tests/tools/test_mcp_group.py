"""The group of MCP tools as it is configured, and in the runs that use it."""

import asyncio
import subprocess
import sys
from collections.abc import Generator

import pydantic
import pytest

from forebay import Context, agent
from forebay.builtins.tools.mcp.config import McpClient
from forebay.builtins.tools.mcp.connection import Terms, connect
from forebay.builtins.tools.mcp.loss import NotConnected
from forebay.builtins.tools.mcp.masking import Mask
from forebay.control.tools import ToolCatalogue
from forebay.core.clock import SystemClock
from forebay.core.errors import StepFailed, ToolError
from forebay.core.events import Prompt, QuestionAnswered, QuestionAsked, StepFinished
from forebay.core.json import Json
from tests.support.attempts import UUID, InMemory
from tests.support.waiting import Gate, until

from .mcp_parties import Groups, http_server, is_alive, over_http, stdio, until_told, use

pytestmark = pytest.mark.system


@pytest.fixture
def memory() -> Generator[InMemory]:
    memory = InMemory(clock=SystemClock())
    yield memory
    memory.threads.shutdown()


# --- what is offered ----------------------------------------------------------------------------


async def test_only_what_is_included_and_not_excluded_is_offered(groups: Groups) -> None:
    group = groups.make(stdio(include=["a*", "files.*", "sum"], exclude=["add"]))
    assert [tool.name for tool in await group.tools()] == ["files_read"]


async def test_a_tool_may_have_another_name_and_description(groups: Groups) -> None:
    told = stdio(
        include=["sum", "greet"],
        tool_overrides={
            "add": {"alias": "sum", "description": "Sums up.", "timeout_seconds": 2},
            "greet": {"description": "Says hello."},
        },
        needs_approval=["sum"],
        tool_call_timeout=30,
    )
    group = groups.make(told)
    add, greet = await group.tools()
    assert (add.name, add.description, add.timeout_seconds) == ("sum", "Sums up.", 2)
    assert (greet.name, greet.description, greet.timeout_seconds) == ("greet", "Says hello.", 30)
    assert (add.needs_approval, greet.needs_approval) == (True, False)
    assert await use(group, "sum", a=1, b=2) == 3


async def test_a_name_that_no_tool_has_is_named(
    groups: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    group = groups.make(stdio(include=["add", "ad"], needs_approval=True))
    assert [tool.needs_approval for tool in await group.tools()] == [True]
    assert "has no tool 'ad'" in caplog.text


# --- in runs ------------------------------------------------------------------------------------


async def test_a_run_calls_a_tool_by_either_name_of_it(memory: InMemory, groups: Groups) -> None:
    memory.tools = ToolCatalogue(groups={"g": groups.make(stdio())})

    @agent()
    async def one(ctx: Context, text: str) -> None:
        for name in "add", "g.add", "g__add":
            ctx.say(f"{await ctx.use(name, {'a': 1, 'b': 2})} ")
        ctx.say(str(await ctx.use("key")))

    log = await memory.attempt(one)
    [*_, last] = log.of(StepFinished)
    assert isinstance(last, StepFinished)
    assert log.fold.output == f"3 3 3 {UUID}:{last.step}"


async def test_a_call_that_takes_too_long_fails_and_leaves_the_others_alone(
    memory: InMemory, groups: Groups
) -> None:
    group = groups.make(stdio(tool_overrides={"hang": {"timeout_seconds": 0.05}}))
    memory.tools = ToolCatalogue(groups={"g": group})

    @agent()
    async def one(ctx: Context, text: str) -> str:
        meeting = asyncio.create_task(ctx.use("meet", {"party": 2}))
        with pytest.raises(StepFailed, match=r"longer than 0\.05 s"):
            await ctx.use("hang")
        return f"{await ctx.use('meet', {'party': 2})} {await meeting}"

    pid = await use(group, "pid")
    log = await memory.attempt(one)
    assert log.fold.output == "2 2"
    await until_told(group, hanging=1, cancelled=1)
    assert await use(group, "pid") == pid


async def test_what_the_server_says_of_a_failure_reaches_the_agent(
    memory: InMemory, groups: Groups
) -> None:
    memory.tools = ToolCatalogue(groups={"g": groups.make(stdio())})

    @agent()
    async def one(ctx: Context, text: str) -> str:
        with pytest.raises(ToolError, match="Error executing tool fail"):
            await ctx.use("fail", {"text": "no"})
        return "done"

    assert (await memory.attempt(one)).fold.output == "done"


@pytest.mark.parametrize("era", [(), ("--old",)], ids=["new", "old"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_what_a_server_asks_is_asked_in_the_run(
    memory: InMemory, groups: Groups, era: tuple[str, ...], transport: str
) -> None:
    answers: dict[str, Json] = {
        "g.order asks: How many?": "12",
        "g.erase asks: Are you sure?": "no",
    }
    memory.answer = lambda prompt: answers[prompt.text]

    @agent()
    async def one(ctx: Context, text: str) -> str:
        ordered = await ctx.use("order", {"what": "eggs"})
        return f"{ordered}, {await ctx.use('erase')}"

    async with http_server(*era) as server:
        told = stdio(*era) if transport == "stdio" else over_http(server.url)
        memory.tools = ToolCatalogue(groups={"g": groups.make(told)})
        log = await memory.attempt(one)
        assert log.fold.output == "12 of eggs, kept"
        answered = next(
            at for at, event in enumerate(log.events) if isinstance(event, QuestionAnswered)
        )
        resumed = await memory.attempt(one, log.cut(answered + 1))
    assert resumed.fold.output == "12 of eggs, kept"
    assert len(resumed.of(QuestionAsked)) == 2, "the server asks again, the person is not asked"


@pytest.mark.parametrize("era", [(), ("--old",)], ids=["new", "old"])
async def test_a_server_is_told_when_nobody_answers(
    memory: InMemory, groups: Groups, era: tuple[str, ...]
) -> None:
    def silent(prompt: Prompt) -> Json:
        return None

    memory.answer = silent
    memory.tools = ToolCatalogue(groups={"g": groups.make(stdio(*era))})

    @agent()
    async def one(ctx: Context, text: str) -> str:
        with pytest.raises(ToolError, match=r"cancel"):
            await ctx.use("order", {"what": "eggs"})
        return str(await ctx.use("add", {"a": 1, "b": 2}))

    assert (await memory.attempt(one)).fold.output == "3"


async def test_a_run_that_is_cancelled_leaves_the_session_to_the_others(
    memory: InMemory, groups: Groups
) -> None:
    group = groups.make(stdio())
    memory.tools = ToolCatalogue(groups={"g": group})

    @agent()
    async def one(ctx: Context, text: str) -> None:
        await ctx.use("hang")

    pid = await use(group, "pid")
    running = asyncio.create_task(memory.attempt(one))
    await until_told(group, hanging=1)
    running.cancel()
    await asyncio.wait({running})
    await until_told(group, cancelled=1)
    assert await use(group, "pid") == pid


@pytest.mark.parametrize("era", [(), ("--old",)], ids=["new", "old"])
async def test_a_run_may_leave_while_a_person_is_asked(
    memory: InMemory, groups: Groups, era: tuple[str, ...]
) -> None:
    group = groups.make(stdio(*era))
    memory.tools = ToolCatalogue(groups={"g": group})
    thinking = Gate()

    @agent()
    async def one(ctx: Context, text: str) -> str:
        return str(await ctx.use("erase"))

    attempt = memory.prepare(one)
    attempt.thinks = thinking.passed
    attempt.task = asyncio.create_task(memory.execution(attempt))
    await thinking.reached()
    assert "mcp-question" in {task.get_name() for task in asyncio.all_tasks()}
    attempt.task.cancel()
    await asyncio.wait({attempt.task})
    await until(lambda: "mcp-question" not in {task.get_name() for task in asyncio.all_tasks()})
    assert await use(group, "add", a=1, b=2) == 3
    assert (await memory.attempt(one)).fold.output == "erased"


async def test_the_run_that_connected_first_may_end(memory: InMemory, groups: Groups) -> None:
    group = groups.make(stdio())
    memory.tools = ToolCatalogue(groups={"g": group})

    @agent()
    async def one(ctx: Context, text: str) -> str:
        return str(await ctx.use("pid"))

    first = await asyncio.create_task(memory.attempt(one))
    second = await asyncio.create_task(memory.attempt(one))
    assert first.fold.output == second.fold.output
    await group.aclose()
    assert not is_alive(int(str(first.fold.output)))


# --- connecting ---------------------------------------------------------------------------------


async def test_a_program_that_never_answers_is_given_up() -> None:
    server = McpClient.model_validate(
        {"server": {"transport": "stdio", "command": "sh", "args": ["-c", "cat > /dev/null"]}}
    ).server
    terms = Terms("g", server, Mask([]), SystemClock(), None, patience_seconds=0.1)
    with pytest.raises(NotConnected, match=r"did not answer within 0\.1 s") as given_up:
        await connect(terms)
    assert not given_up.value.may_pass


_NOTHING_IMPORTED = """
import sys
from tests.tools.mcp_parties import Groups, over_http, stdio
groups = Groups()
groups.make(stdio())
groups.make(over_http("https://example.com/mcp"))
print([name for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types", "anyio")])
"""

_NOT_INSTALLED = """
import asyncio, sys
from forebay.core.errors import ToolUnavailable
from tests.tools.mcp_parties import Groups, stdio
sys.modules["mcp"] = None
try:
    asyncio.run(Groups().make(stdio()).tools())
except ToolUnavailable as error:
    print(error)
"""


def test_nothing_is_imported_before_the_first_use() -> None:
    assert _printed(_NOTHING_IMPORTED) == "[]"


def test_without_the_package_the_way_to_get_it_is_told() -> None:
    assert "pip install 'forebay[mcp]'" in _printed(_NOT_INSTALLED)


def _printed(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


# --- the configuration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"transport": "stdio"}, "needs `command`"),
        ({"transport": "sse"}, "needs `url`"),
        ({"transport": "stdio", "command": "x", "url": "http://x"}, "takes no `url`"),
        ({"transport": "sse", "url": "http://x", "env": {}}, "takes no `env`"),
        ({"transport": "streamable-http", "url": "ftp://x"}, "http or https"),
        ({"transport": "streamable-http", "url": "http://x", "headers": {}}, "Extra inputs"),
        ({"transport": "tcp", "url": "http://x"}, "'stdio', 'sse' or 'streamable-http'"),
    ],
)
def test_a_server_that_cannot_be_reached_like_that_is_refused(
    change: dict[str, object], problem: str
) -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        McpClient.model_validate({"server": change})
    assert problem in str(refused.value.errors(include_url=False, include_input=False))


@pytest.mark.parametrize(
    "wrong",
    [
        {"reconnect_initial_backoff": 5, "reconnect_max_backoff": 1},
        {"reconnect_max_attempts": -1},
        {"tool_call_timeout": 0},
        {"tool_overrides": {"add": {"alias": "no spaces please"}}},
        {"tool_overrides": {"add": {"timeout_seconds": 0}}},
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        McpClient.model_validate(stdio(**wrong))


_SECRETS = [
    "pass-word",
    "query-key",
    "header-key",
    "bearer-key",
    "env-key",
    "path-0123456789abcdef",
]


def test_what_is_secret_is_never_shown() -> None:
    by_url = {
        "transport": "streamable-http",
        "url": "https://user:pass-word@x.example:99/path-0123456789abcdef/mcp?key=query-key",
        "custom_headers": {"X-Api-Key": "header-key", "Authorization": "Bearer bearer-key"},
    }
    program = {"transport": "stdio", "command": "run", "env": {"K_TOKEN": "env-key"}}
    masked: list[str] = []
    for told in by_url, program:
        server = McpClient.model_validate({"server": told}).server
        shown = f"{server!r} {server.place} {server.model_dump_json()}"
        assert not [secret for secret in _SECRETS if secret in shown]
        mask = Mask(server.secrets())
        masked += [
            each for each in _SECRETS if mask.json({each: [f"{each}.", 1]}) == {"***": ["***.", 1]}
        ]
    assert sorted(masked) == sorted(_SECRETS)


def test_a_place_is_where_it_is_and_no_more() -> None:
    url = "https://user:word@x.example:99/path?key=word"
    server = McpClient.model_validate(over_http(url)).server
    assert server.place == "https://x.example:99"
