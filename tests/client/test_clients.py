"""Both clients against a real server, over connections that break."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from forebay.client import (
    AsyncClient,
    Client,
    ClientError,
    Conflict,
    Entry,
    NotFound,
    Question,
    Rejected,
    Run,
    Unreachable,
)
from forebay.core.events import (
    OutputChunk,
    OutputValue,
    QuestionAnswered,
    QuestionAsked,
    RunRequeued,
    RunSubmitted,
)
from tests.cli.processes import PATIENCE_SECONDS, Place, Server, until
from tests.client.proxy import Proxy, in_a_thread

AGENTS = """
from forebay import Option, Prompt, agent

@agent("asks")
async def asks(ctx, text: str):
    options = (Option("a", "Rome", "rome"), Option("b", "Oslo", "oslo"))
    return [await ctx.ask(text), await ctx.ask(Prompt("Which?", "radio", options))]

@agent("large")
async def large(text: str):
    return {"text": "x" * 400_000}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests here that do not end it."""
    place = Place(tmp_path_factory.mktemp("server"))
    place.write("agents_of_client.py", AGENTS)
    yield place.serve("agents_of_client.py", "--default-agent", "echo")
    place.close()


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def is_whole(entries: list[Entry]) -> bool:
    """Whether a log was told from its first entry to its last, each once."""
    return numbers(entries) == list(range(1, len(entries) + 1)) and entries[-1].is_final


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member).replace(return_annotation=None)
        for name, member in vars(kind).items()
        if callable(member) and not name.startswith("_") and name not in ("close", "aclose")
    }


def test_both_clients_have_the_same_methods() -> None:
    assert public(Client) == public(AsyncClient)


def test_a_url_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ClientError, match="http://127"):
        Client("localhost:8000")


# --- one request after the other ----------------------------------------------------------------


@pytest.mark.system
def test_a_run_from_its_start_to_its_deletion(server: Server) -> None:
    with Client(server.url) as client:
        run = client.submit("a b", agent="echo", session="s", metadata={"k": [1]})
        assert (run.agent, run.session, run.metadata) == ("echo", "s", {"k": [1]})
        done = client.wait(run)
        assert (done.succeeded, done.output, done.is_finished) == (True, "a b", True)
        entries = list(client.events(run.id))
        assert is_whole(entries)
        assert isinstance(entries[0].event, RunSubmitted)
        assert numbers(list(client.events(run, after=3))) == [4, 5]
        assert list(client.events(run, after=5)) == []
        assert [each.id for each in client.list(session="s").runs] == [run.id]
        client.delete(run)
        with pytest.raises(NotFound):
            client.get(run)


@pytest.mark.system
async def test_the_same_on_an_event_loop(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        run = await client.submit("a b", session="async")
        assert (await client.wait(run)).output == "a b"
        async with aclosing(client.events(run)) as events:
            assert is_whole([entry async for entry in events])
        assert [each.id for each in (await client.list(session="async")).runs] == [run.id]
        assert (await client.run("c")).output == "c"
        assert "echo" in [agent.name for agent in await client.agents()]
        await client.delete(run)
        with pytest.raises(NotFound):
            await client.get(run)


@pytest.mark.system
def test_run_returns_when_the_run_is_finished(server: Server) -> None:
    with Client(server.url) as client:
        assert client.run("quick").output == "quick"
        failed = client.run("x fail=boom")
    assert not failed.succeeded
    assert failed.error
    assert (failed.error.reason, failed.error.message) == ("agent_error", "boom")


@pytest.mark.system
def test_a_cancelled_run_ends(server: Server) -> None:
    with Client(server.url) as client:
        run = client.submit("x sleep=60000")
        with pytest.raises(Conflict, match="run_unfinished"):
            client.delete(run)
        client.cancel(run)
        assert client.wait(run).reason == "cancelled"
        with pytest.raises(Conflict, match="run_finished"):
            client.cancel(run)


@pytest.mark.system
def test_refusals_tell_their_code(server: Server) -> None:
    with Client(server.url) as client:
        with pytest.raises(NotFound) as missing:
            client.submit("x", agent="nobody")
        assert (missing.value.code, missing.value.status) == ("agent_not_found", 404)
        assert missing.value.request_id
        with pytest.raises(Rejected) as wrong:
            client.submit("x", expiry_seconds=1)
        assert wrong.value.status == 422


@pytest.mark.system
def test_the_same_key_joins_the_same_run(server: Server) -> None:
    with Client(server.url) as client:
        runs = {client.submit("x", idempotency_key="once").id for _ in range(3)}
        assert len(runs) == 1
        with pytest.raises(Conflict):
            client.submit("y", idempotency_key="once")


@pytest.mark.system
def test_a_large_value_is_read_beside_the_log(server: Server) -> None:
    with Client(server.url) as client:
        run = client.run("x", agent="large")
        (value,) = (
            entry.event for entry in client.events(run) if isinstance(entry.event, OutputValue)
        )
        assert value.stored
        assert client.read_object(run, value.stored.object) == {"text": "x" * 400_000}


@pytest.mark.system
def test_a_run_that_asks_is_answered(server: Server) -> None:
    with Client(server.url) as client:
        run = client.submit("Why?", agent="asks", deadline_seconds=600, max_steps=5, max_tokens=5)
        first = asked(client, run)
        assert (first.text, first.kind, first.options, first.due) == ("Why?", "text", (), None)
        with pytest.raises(Rejected, match="invalid_answer"):
            client.answer(run, first, 7)
        with pytest.raises(NotFound, match="question_not_found"):
            client.answer(run, "another", "x")
        client.answer(run, first, "because")
        second = asked(client, run)
        assert [(option.id, option.value) for option in second.options] == [
            ("a", "rome"), ("b", "oslo"),
        ]  # fmt: skip
        assert client.answer(run.id, second.id, "b").questions == ()
        assert client.answer(run, second, "oslo").id == run.id
        with pytest.raises(Conflict, match="question_closed"):
            client.answer(run, second, "a")
        assert client.wait(run).output == ["because", "oslo"]
        events = [entry.event for entry in client.events(run)]
        answers = [each.answer for each in events if isinstance(each, QuestionAnswered)]
        assert answers == ["because", "oslo"]
        prompts = [each.prompt.text for each in events if isinstance(each, QuestionAsked)]
        assert prompts == ["Why?", "Which?"]


def asked(client: Client, run: Run) -> Question:
    """Wait until a run waits for an answer; gives its question."""
    until(lambda: client.get(run).status == "waiting")
    (question,) = client.get(run).questions
    return question


@pytest.mark.system
async def test_the_same_on_an_event_loop_when_a_run_asks(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        run = await client.submit("Why?", agent="asks")
        async with aclosing(client.events(run)) as events:
            async for entry in events:
                if isinstance(entry.event, QuestionAsked):
                    await client.answer(run, entry.event.question, "rome")
        assert (await client.get(run)).output == ["rome", "rome"]


# --- connections that break ---------------------------------------------------------------------


@pytest.mark.system
async def test_a_stream_that_is_cut_again_and_again_is_seen_once(server: Server) -> None:
    with Client(server.url) as direct:
        run = direct.run("chunks=200 some words")
    async with Proxy(server.port).running() as proxy, AsyncClient(proxy.url) as client:
        proxy.limit = 1_500
        async with aclosing(client.events(run)) as events:
            entries = [entry async for entry in events]
    assert is_whole(entries)
    assert len(entries) == 203
    assert proxy.connections > 10


@pytest.mark.system
def test_a_client_that_blocks_resumes_too(server: Server) -> None:
    with Client(server.url) as direct:
        run = direct.submit("chunks=100 delay=2 live")
    with in_a_thread(Proxy(server.port)) as proxy, Client(proxy.url) as client:
        proxy.limit = 2_000
        assert is_whole(list(client.events(run)))
        assert proxy.connections > 3


@pytest.mark.system
async def test_a_submission_whose_answer_is_lost_starts_one_run(server: Server) -> None:
    async with Proxy(server.port).running() as proxy, AsyncClient(proxy.url) as client:
        proxy.limits = [1, 1, 1]
        run = await client.submit("x", session="lost answers")
        assert proxy.connections == 4
        assert [each.id for each in (await client.list(session="lost answers")).runs] == [run.id]


@pytest.mark.system
async def test_a_finished_run_is_seen_whole_across_a_restart(place: Place) -> None:
    server = await asyncio.to_thread(place.serve)
    with Client(server.url) as direct:
        run = direct.run("chunks=3000 some words")
    async with Proxy(server.port).running() as proxy, AsyncClient(proxy.url) as client:
        proxy.limits, proxy.limit = [100_000], 0
        seeing = asyncio.create_task(_all(client, run))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await proxy.cut.wait()
        server.process.kill()
        await asyncio.to_thread(place.serve, port=server.port)
        proxy.limit = None
        async with asyncio.timeout(PATIENCE_SECONDS):
            entries = await seeing
    assert is_whole(entries)
    assert len(entries) == 3003


def _has_begun(server: Server, run: Run) -> bool:
    with Client(server.url) as client:
        return client.get(run).events > 3


async def _all(client: AsyncClient, run: Run) -> list[Entry]:
    async with aclosing(client.events(run)) as events:
        return [entry async for entry in events]


@pytest.mark.system
async def test_a_run_that_is_under_way_is_followed_to_its_end_across_a_stop(place: Place) -> None:
    server = await asyncio.to_thread(place.serve, FOREBAY_DRAIN_SECONDS="0")
    async with AsyncClient(server.url) as client:
        run = await client.submit("chunks=100 delay=10 words")
        seeing = asyncio.create_task(_all(client, run))
        await asyncio.to_thread(until, lambda: _has_begun(server, run))
        assert await asyncio.to_thread(server.process.stop) == 0
        await asyncio.to_thread(place.serve, port=server.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            entries = await seeing
        ended = await client.get(run)
    assert is_whole(entries)
    assert (ended.status, ended.attempt) == ("success", 2)
    assert [entry.attempt for entry in entries if isinstance(entry.event, RunRequeued)] == [1]
    assert sum(isinstance(entry.event, OutputChunk) for entry in entries) == 100


@pytest.mark.system
def test_a_server_that_does_not_come_back_is_unreachable(place: Place) -> None:
    server = place.serve()
    with Client(server.url, patience_seconds=0.5) as client:
        run = client.submit("x sleep=60000")
        events = client.events(run)
        assert next(events).number == 1
        server.process.kill()
        with pytest.raises(Unreachable, match=server.url):
            list(events)
        with pytest.raises(Unreachable):
            client.get(run)
