"""No key, password or token appears in anything that a server tells, whoever repeats it to us."""

import json
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from forebay import Context, agent
from forebay.testing.provider import LoopbackProvider
from forebay.testing.websites import Website
from tests.support.server import Server, serving
from tests.support.waiting import pass_time_until, settle

pytestmark = pytest.mark.usefixtures("folder")


@dataclass(frozen=True)
class Way:
    """A way to give a model its key: what the file says, and what a provider would repeat of it."""

    config: str
    secret: str
    repeated: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    dotenv: str = ""

    @property
    def said(self) -> str:
        return self.repeated or self.secret


_OPENAI = "_type: openai, model_name: m, max_retries: 0"
_ANTHROPIC = "_type: anthropic, model_name: m, max_retries: 0"
_BASIC = b64encode(b"me:pa55word-QkX81v").decode()

WAYS = {
    "literal": Way(f"{_OPENAI}, base_url: URL/v1, api_key: Zx81-literal-Qm4", "Zx81-literal-Qm4"),
    "well known": Way(f"{_OPENAI}, base_url: URL/v1, api_key: sk-proj-q8Zk3", "sk-proj-q8Zk3"),
    "short": Way(f"{_OPENAI}, base_url: URL/v1, api_key: q8Zk3", "q8Zk3"),
    "interpolated": Way(
        f"{_OPENAI}, base_url: URL/v1, api_key: '${{MY_KEY}}'",
        "Zx81+from/a=var",
        variables=(("MY_KEY", "Zx81+from/a=var"),),
    ),
    "variable": Way(
        f"{_OPENAI}, base_url: URL/v1",
        "Zx81-of-the-environment",
        variables=(("OPENAI_API_KEY", "Zx81-of-the-environment"),),
    ),
    "dotenv": Way(f"{_OPENAI}, base_url: URL/v1", "Zx81-dotted", dotenv="OPENAI_API_KEY"),
    "file": Way(
        f"{_OPENAI}, base_url: URL/v1",
        "Zx81-in-a-file",
        variables=(("OPENAI_API_KEY_FILE", "key.txt"),),
    ),
    "anthropic": Way(f"{_ANTHROPIC}, base_url: URL, api_key: Zx81-of-ant", "Zx81-of-ant"),
    "azure": Way(
        "_type: azure_openai, azure_deployment: m, azure_endpoint: URL, max_retries: 0, "
        "api_key: Zx81-of-azure",
        "Zx81-of-azure",
    ),
    "header": Way(
        f"{_OPENAI}, base_url: URL/v1, default_headers: {{x-gate: Zx81-gate-pass}}",
        "Zx81-gate-pass",
    ),
    "bearer": Way(
        f"{_OPENAI}, base_url: URL/v1, default_headers: {{authorization: Bearer Zx81-bearer-8}}",
        "Zx81-bearer-8",
    ),
    "two words": Way(
        f"{_OPENAI}, base_url: URL/v1, default_headers: {{x-gate: Keyed by Zx81-other}}",
        "Zx81-other",
        repeated="Keyed by Zx81-other",
    ),
    "password": Way(
        "_type: openai_compatible, model_name: m, max_retries: 0, "
        "base_url: 'http://me:pa55word-QkX81v@ADDRESS/v1'",
        "pa55word-QkX81v",
    ),
    "basic": Way(
        "_type: openai_compatible, model_name: m, max_retries: 0, "
        "base_url: 'http://me:pa55word-QkX81v@ADDRESS/v1'",
        _BASIC,
    ),
}

Fault: TypeAlias = Callable[[LoopbackProvider, str], None]


def _answer(raw: Callable[[str], str], status: int = 400, kind: str = "text/plain") -> Fault:
    return lambda provider, said: provider.answer(raw(said).encode(), status=status, kind=kind)


def _refuse(status: int, message: str) -> Fault:
    return lambda provider, said: provider.refuse(status, message.format(said), code=said)


def _spoil(raw: str) -> Fault:
    return lambda provider, said: provider.write(raw.replace("KEY", said).encode(), after=1)


def _cut_up(provider: LoopbackProvider, said: str) -> None:
    for _ in range(3):
        provider.write_error(1, f"The key {said} has run out.", said)


FAULTS: dict[str, Fault] = {
    "401": _refuse(401, "Incorrect API key provided: {}. You can find yours elsewhere."),
    "401 in quotes": _refuse(401, "Received api key=`{}`,\n was not one."),
    "401 at the end of a long text": _refuse(401, f"{'x' * 390} {{}}"),
    "403 in bare text": _answer("no entry with {}".format, 403),
    "404": _refuse(404, "Deployment for {} not found"),
    "429": _refuse(429, "Rate limit reached for {} in organisation."),
    "400 of details": _answer(
        lambda said: json.dumps({"detail": [{"msg": "bad", "loc": ["header"], "input": said}]}),
        422,
        "application/json",
    ),
    "400 of unknown shape": _answer(lambda said: json.dumps({said: {said: [said]}}), 400),
    "500": _refuse(500, "Upstream failed: Authorization: Bearer {}"),
    "500 of a proxy": _answer("<html>cannot route x-api-key {}</html>".format, 500, "text/html"),
    "500 in text": _answer("Traceback: headers = {{'api-key': '{}'}}".format, 500),
    "an error in the stream": _cut_up,
    "no JSON in the stream": _spoil('data: {"choices": KEY\n\n'),
    "a strange stream": _spoil('data: {"choices": "KEY", "error": null}\n\n'),
    "a strange type": lambda provider, said: provider.answer(b"hi", kind=f"text/{said}"),
    "a strange answer": _answer(lambda said: json.dumps({"choices": said}), 200),
    "no answer": _answer(lambda said: json.dumps({"keys": {said: said}}), 200),
    "a redirect": _answer("{}".format, 302),
}


@agent("asking")
async def asking(ctx: Context, text: str):
    await ctx.chat(text, model="main", say=True)


@agent("embedding")
async def embedding(ctx: Context, text: str):
    await ctx.embed([text])


@agent("using")
async def using(ctx: Context, text: str):
    await ctx.use(text, {"query": "what is it"})


@asynccontextmanager
async def serving_file(text: str, *agents: object) -> AsyncGenerator[Server]:
    """A server with a workflow file, and with tracebacks."""
    write("w.yml", f"{text}\nworkflow: {{_type: chat_completion, llm_name: other}}\n")
    async with serving(*agents, config_file="w.yml", dev=True) as server:
        yield server


def write(name: str, text: str) -> None:
    Path(name).write_text(text)


def configured(way: Way, provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> str:
    """The configuration of a model that is given its key in this way, which is prepared."""
    for name, value in way.variables:
        monkeypatch.setenv(name, value)
    write("key.txt", f"{way.secret}\n")
    if way.dotenv:
        write(".env", f"{way.dotenv}={way.secret}\n")
    config = way.config.replace("URL", provider.address)
    return f"{{{config.replace('ADDRESS', provider.address.removeprefix('http://'))}}}"


async def everything(server: Server, run: str) -> dict[str, str]:
    """Whatever anybody can be told of this run and this server."""
    paths = {
        "run": f"/api/runs/{run}",
        "stream": f"/api/runs/{run}/events",
        "list": "/api/runs",
        "agents": "/api/agents",
        "ready": "/ready",
        "health": "/health",
        "metrics": "/metrics",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }
    found = {name: (await server.client.get(path)).text for name, path in paths.items()}
    found["events"] = json.dumps(await server.entries(run))
    found["log of runs"] = server.log.getvalue()
    return found


def leaks(found: dict[str, str], secret: str) -> list[str]:
    """Where the secret stands, or more of it than anybody has to see."""
    parts = {secret, secret[:9], secret[-9:]} if len(secret) > 12 else {secret}
    return [f"{name}: {_around(text, part)}" for name, text in found.items()
            for part in parts if part in text]  # fmt: skip


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(0, at - 60) : at + 60]


def hear_everything(caplog: pytest.LogCaptureFixture) -> None:
    """As a server with the log level `debug` does."""
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.DEBUG, "forebay")


async def failed(server: Server, agent: str, text: str) -> tuple[str, dict[str, str]]:
    """A run that fails: its message, and everything that is told of it."""
    exchange = server.begin(text, agent=agent, mode="stream")
    await pass_time_until(server.clock, lambda: exchange.is_complete)
    run = exchange.headers["x-run-id"]
    shown = await server.show(run)
    assert shown["status"] == "failure", shown
    message: str = shown["error"]["message"]
    return message, await everything(server, run) | {"said": exchange.text}


@pytest.mark.parametrize("way", WAYS)
async def test_no_key_is_told_when_the_provider_repeats_it(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear_everything(caplog)
    given = WAYS[way]
    async with LoopbackProvider() as provider:
        main = configured(given, provider, monkeypatch)
        text = f"llms:\n  main: {main}\n  other: {{_type: scripted}}"
        async with serving_file(text, asking) as server:
            await looked_at(provider)
            for fault, queue in FAULTS.items():
                queue(provider, given.said)
                message, told = await failed(server, "asking", fault)
                assert leaks(told | {"log": caplog.text}, given.secret) == [], fault
                assert message in caplog.text
                assert message.startswith("main (m of ") or "main (m of " in message
        sent = [str(dict(each.headers)) for each in provider.requests]
        assert way == "password" or all(given.secret in each for each in sent)


async def looked_at(provider: LoopbackProvider) -> None:
    """Wait until the models were looked at: what is queued now is for runs."""
    await provider.received()
    await settle()


_WITHOUT_STREAMS = {name: fault for name, fault in FAULTS.items() if "stream" not in name}


@pytest.mark.parametrize("way", ["literal", "header", "password", "variable"])
async def test_no_key_of_an_embedder_is_told(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear_everything(caplog)
    given = WAYS[way]
    async with LoopbackProvider() as provider:
        main = configured(given, provider, monkeypatch)
        text = f"embedders:\n  main: {main}\nllms:\n  other: {{_type: scripted}}"
        async with serving_file(text, embedding) as server:
            await looked_at(provider)
            for fault, queue in _WITHOUT_STREAMS.items():
                queue(provider, given.said)
                message, told = await failed(server, "embedding", fault)
                assert leaks(told | {"log": caplog.text}, given.secret) == [], fault
                assert "main (m of " in message


@pytest.mark.parametrize("fault", _WITHOUT_STREAMS)
async def test_no_key_is_told_in_ready_when_the_provider_repeats_it(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = WAYS["literal"]
    async with LoopbackProvider(models=["another"]) as provider:
        _WITHOUT_STREAMS[fault](provider, given.said)
        main = configured(given, provider, monkeypatch)
        async with serving_file(f"llms:\n  main: {main}\n  other: {{_type: scripted}}") as server:
            await looked_at(provider)
            ready = (await server.client.get("/ready")).text
            assert leaks({"ready": ready}, given.secret) == []


_SEARCHES = {
    "web_search": "provider: tavily, api_key: Zx81-of-tavily, url: URL, max_tries: 1",
    "tavily_web_search": "api_key: Zx81-of-tavily, api_base_url: URL, max_retries: 1",
}


@pytest.mark.parametrize("type", _SEARCHES)
@pytest.mark.parametrize("is_variable", [False, True])
async def test_no_key_of_a_search_is_told(
    type: str,
    is_variable: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hear_everything(caplog)
    config = _SEARCHES[type]
    if is_variable:
        monkeypatch.setenv("TAVILY_API_KEY", "Zx81-of-tavily")
        config = config.replace("api_key: Zx81-of-tavily, ", "")
    async with LoopbackProvider() as provider:
        search = f"{{_type: {type}, {config.replace('URL', provider.address)}}}"
        text = f"functions:\n  main: {search}\nllms:\n  other: {{_type: scripted}}"
        async with serving_file(text, using) as server:
            for fault, queue in _WITHOUT_STREAMS.items():
                queue(provider, "Zx81-of-tavily")
                message, told = await failed(server, "using", "main")
                assert leaks(told | {"log": caplog.text}, "Zx81-of-tavily") == [], fault
                assert "Tavily" in message or provider.address.removeprefix("http://") in message
        assert provider.requests[0].headers["authorization"] == "Bearer Zx81-of-tavily"


@pytest.mark.parametrize(
    "config",
    [
        "_type: openai_compatible, base_url: URL/v1",
        "_type: litellm, base_url: URL/v1",
        "_type: nim, base_url: URL/v1",
        "_type: anthropic, base_url: URL",
        "_type: openai, base_url: URL/v1, api_key: of-its-own",
    ],
)
async def test_a_key_of_the_environment_goes_to_its_own_provider_only(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "Zx81-of-openai")
    monkeypatch.setenv("GROQ_API_KEY", "Zx81-of-groq")
    async with LoopbackProvider() as provider:
        main = config.replace("URL", provider.address)
        text = f"llms:\n  main: {{{main}, model_name: m}}\n  other: {{_type: scripted}}"
        async with serving_file(text, asking) as server:
            assert (await server.run("hello", agent="asking")).json()["output"] == "hello"
        assert "Zx81" not in str([dict(each.headers) for each in provider.requests])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_key_does_not_follow_a_redirect(status: int) -> None:
    async with Website() as site, Website() as elsewhere:
        for path in ("/v1/chat/completions", "/v1/models"):
            site.redirect(path, f"{elsewhere.url}{path}", status)
        main = f"_type: openai, base_url: {site.url}/v1, model_name: m, api_key: Zx81-literal"
        text = f"llms:\n  main: {{{main}}}\n  other: {{_type: scripted}}"
        async with serving_file(text, asking) as server:
            run = (await server.run("hello", agent="asking")).json()
            assert run["error"]["error"] == "ModelUnreachable"
            assert str(status) in run["error"]["message"]
            assert "base_url in llms.main" in run["error"]["message"]
        assert elsewhere.calls == []
