"""A provider that is away, or does not work, while a server runs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from forebay.testing.provider import LoopbackProvider
from tests.support.asgi import Exchange
from tests.support.server import Server, serving
from tests.support.waiting import pass_time_until

_LLM = "{{_type: {kind}, model_name: m, base_url: {url}, {more}}}"


@asynccontextmanager
async def server_of(folder: Path, llms: str, workflow: str = "") -> AsyncGenerator[Server]:
    """A server of a workflow that asks `main`."""
    file = folder / "w.yml"
    workflow = workflow or "{_type: chat_completion, llm_name: main}"
    file.write_text(f"llms:\n{llms}\nworkflow: {workflow}\n")
    async with serving(config_file=str(file)) as server:
        yield server


def llm(name: str, url: str, more: str = "api_key: key-of-the-test", kind: str = "openai") -> str:
    return f"  {name}: {_LLM.format(kind=kind, url=url, more=more)}\n"


async def degraded(server: Server) -> list[str]:
    """What does not work, as `/ready` says, which is all right all the same."""
    ready = await server.client.get("/ready")
    assert ready.status == 200
    assert ready.json()["problems"] == []
    return ready.json()["degraded"]


async def until_seen(server: Server, condition: bool) -> list[str]:
    """Let time pass until a provider is missed, or no more."""
    app = server.app
    await pass_time_until(server.clock, lambda: bool(app.readiness().degraded) == condition)
    return await degraded(server)


async def answer(server: Server, exchange: Exchange, within_seconds: float) -> dict[str, object]:
    """A run that ends within so many seconds."""
    begin = server.clock.boot()
    await pass_time_until(server.clock, lambda: exchange.is_complete, step=0.01)
    assert (server.clock.boot() - begin) / 1000 < within_seconds
    return exchange.json()


async def test_a_provider_that_is_away_is_named_and_comes_back(folder: Path) -> None:
    async with LoopbackProvider() as provider:
        url, port = provider.url, urlsplit(provider.url).port or 0
        await provider.aclose()
        async with server_of(folder, llm("main", url)) as server:
            (problem,) = await until_seen(server, True)
            assert problem.startswith(f"main (m of openai at {url}) cannot be reached: ")
            assert "base_url in llms.main" in problem

            failed = await answer(server, server.begin("hello"), within_seconds=3)
            assert failed["status"] == "failure"
            assert failed["error"] == {
                "reason": "agent_error",
                "message": problem,
                "error": "ModelUnreachable",
                "traceback": None,
            }

            await provider.start(port)
            assert await until_seen(server, False) == []
            assert (await server.run("hello")).json()["output"] == "hello"


async def test_a_run_succeeds_as_soon_as_the_provider_is_there(folder: Path) -> None:
    async with LoopbackProvider() as provider:
        url, port = provider.url, urlsplit(provider.url).port or 0
        await provider.aclose()
        async with server_of(folder, llm("main", url)) as server:
            await until_seen(server, True)
            await provider.start(port)
            # Nobody waits for the next look.
            done = await answer(server, server.begin("hello"), within_seconds=3)
            assert done["output"] == "hello"


async def test_a_spare_model_answers_for_one_that_is_away(folder: Path) -> None:
    async with LoopbackProvider() as away, LoopbackProvider() as provider:
        await away.aclose()
        llms = llm("main", away.url, "api_key: x, fallbacks: [spare]") + llm("spare", provider.url)
        async with server_of(folder, llms) as server:
            (problem,) = await until_seen(server, True)
            assert problem.startswith("main (")
            done = await answer(server, server.begin("hello"), within_seconds=3)
            assert (done["status"], done["output"]) == ("success", "hello")


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("api_key: wrong", "main (m of openai at {url}) refuses the key"),
        ("api_key: right, fallbacks: []", "lists 1 models, and m is none of them: it has another"),
    ],
)
async def test_what_a_provider_does_not_take_is_named(folder: Path, more: str, word: str) -> None:
    async with LoopbackProvider(models=["another"]) as provider:
        provider.key = "right"
        async with server_of(folder, llm("main", provider.url, more)) as server:
            (problem,) = await until_seen(server, True)
            assert word.format(url=provider.url) in problem
            assert (await server.run("hello")).json()["status"] == "failure"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "does not work (500). Try again later, or name fallbacks in llms.main."),
        (403, "refuses the key (403). Check the key: "),
        (302, "leads elsewhere, where the key does not go (302). Check base_url in llms.main."),
    ],
)
async def test_a_refusal_without_words_is_told_all_the_same(
    folder: Path, status: int, words: str
) -> None:
    async with LoopbackProvider() as provider:
        more = "api_key: x, max_retries: 0"
        async with server_of(folder, llm("main", provider.url, more)) as server:
            await provider.received()
            provider.refuse(status, raw=b"")
            failed = (await server.run("hello")).json()
            assert f"({provider_of(provider)}) {words}" in failed["error"]["message"]


def provider_of(provider: LoopbackProvider) -> str:
    return f"m of openai at {provider.url}"


async def test_a_model_without_a_key_is_named_and_its_runs_say_which(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with server_of(folder, "  main: {_type: openai, model_name: gpt-4.1-mini}") as server:
        (problem,) = await until_seen(server, True)
        failed = (await server.run("hello")).json()
        assert failed["error"]["message"] == problem
        assert failed["error"]["error"] == "KeyRefused"
        assert "needs a key: set OPENAI_API_KEY or api_key in llms.main" in problem


async def test_an_embedder_that_is_away_is_named_too(folder: Path) -> None:
    async with LoopbackProvider() as away:
        await away.aclose()
        more = f"embedders:\n{llm('vectors', away.url)}"
        llms = f"  main: {{_type: scripted}}\n{more}"
        async with server_of(folder, llms) as server:
            (problem,) = await until_seen(server, True)
            assert problem.startswith("vectors (")


async def test_an_embedder_hides_no_model_of_its_name(folder: Path) -> None:
    async with LoopbackProvider() as away, LoopbackProvider() as provider:
        await away.aclose()
        llms = llm("main", away.url) + f"embedders:\n{llm('main', provider.url)}"
        async with server_of(folder, llms) as server:
            await provider.received()
            (problem,) = await until_seen(server, True)
            assert problem.startswith("main (")


async def test_who_hangs_does_not_keep_others_from_being_named(folder: Path) -> None:
    async with LoopbackProvider() as away, LoopbackProvider() as hanging:
        await away.aclose()
        hanging.delay = 3600
        llms = llm("other", hanging.url) + llm("main", away.url)
        async with server_of(folder, llms) as server:
            (problem,) = await until_seen(server, True)
            assert problem.startswith("main (")


async def test_a_provider_that_hangs_keeps_nobody_from_starting(folder: Path) -> None:
    async with LoopbackProvider() as provider:
        provider.delay = 3600
        more = "api_key: x, request_timeout: 0.05, max_retries: 0"
        async with server_of(folder, llm("main", provider.url, more)) as server:
            assert await degraded(server) == []
            failed = (await server.run("hello")).json()
            assert failed["error"]["error"] == "ModelUnreachable"
            assert "request_timeout in llms.main" in failed["error"]["message"]
            (problem,) = await until_seen(server, True)
            assert problem == failed["error"]["message"]
