"""web_search: what is asked of each engine, what comes back, and what its refusals mean."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pydantic
import pytest
from pydantic import SecretStr

from forebay.builtins.tools.web_search import WebSearchConfig, register
from forebay.builtins.tools.web_search.engines import Tavily
from forebay.core.errors import InvalidArguments, ToolError, ToolUnavailable
from forebay.core.json import Json
from forebay.ports.components import Parts
from forebay.testing.clock import ManualClock
from forebay.testing.websites import LoopbackSearxng, LoopbackTavily, WebPage, Website
from tests.support.contexts import Heard, use
from tests.support.waiting import pass_time_until

from .outside import Types, outside, properties, sources

KEY = "tvly-secret-0123456789"
ROME = {"url": "https://example.org/rome", "title": "Rome", "content": "A city.", "score": 0.9}
OSLO = {"url": "https://news.example.com/oslo", "title": "Oslo", "content": "Cold.", "score": 0.5}
BERN = {"url": "http://example.net/bern", "title": "Bern", "content": "Bears.", "score": 0.1}


@pytest.fixture
async def parts() -> AsyncGenerator[Parts]:
    async with outside() as parts:
        yield parts


@pytest.fixture
async def searxng() -> AsyncGenerator[LoopbackSearxng]:
    async with LoopbackSearxng(ROME, OSLO, BERN) as site:
        yield site


@pytest.fixture
async def tavily() -> AsyncGenerator[LoopbackTavily]:
    async with LoopbackTavily(ROME, OSLO, BERN, key=KEY) as site:
        yield site


def types(**environment: str) -> Types:
    return Types.of(register, environment)


def urls(results: Any) -> list[str]:
    return [result["url"] for result in results]


# --- SearXNG ------------------------------------------------------------------------------------


async def test_searxng_is_asked_and_its_pages_come_back(parts: Parts, searxng: LoopbackSearxng):
    tool = types().tool("web_search", parts, provider="searxng", url=searxng.url)
    heard = Heard()
    found = await use(tool, {"query": "  old \n cities "}, heard)
    assert found == [
        {"title": "Rome", "url": "https://example.org/rome", "content": "A city.", "score": 0.9},
        {
            "title": "Oslo",
            "url": "https://news.example.com/oslo",
            "content": "Cold.",
            "score": 0.5,
        },
        {"title": "Bern", "url": "http://example.net/bern", "content": "Bears.", "score": 0.1},
    ]
    assert searxng.searches == [{"q": "old cities", "format": "json"}]
    assert sources(heard) == [
        ("https://example.org/rome", "Rome", "web_search"),
        ("https://news.example.com/oslo", "Oslo", "web_search"),
        ("http://example.net/bern", "Bern", "web_search"),
    ]


async def test_searxng_is_told_what_the_file_and_the_model_say(
    parts: Parts, searxng: LoopbackSearxng
):
    tool = types().tool(
        "web_search", parts, url=searxng.url + "/", language="de", safe_search=2,
        categories=["general", "news"], engines=["brave", "bing"],
    )  # fmt: skip
    await use(tool, {"query": "c++ & café", "time_range": "month"})
    assert searxng.searches == [
        {
            "q": "c++ & café", "format": "json", "time_range": "month", "language": "de",
            "safesearch": "2", "categories": "general,news", "engines": "brave,bing",
        }
    ]  # fmt: skip


async def test_the_address_of_searxng_may_stand_in_the_environment(
    parts: Parts, searxng: LoopbackSearxng
):
    tool = types(SEARXNG_URL=searxng.url).tool("web_search", parts)
    assert len(await use(tool, {"query": "cities"})) == 3


async def test_a_server_below_a_path_is_found(parts: Parts):
    async with LoopbackSearxng(ROME) as site:
        site.put("/searx/search", WebPage(b'{"results": []}', "application/json"))
        tool = types().tool("web_search", parts, url=f"{site.url}/searx/")
        assert await use(tool, {"query": "x"}) == []


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (WebPage(b"no", status=403), "`search.formats`"),
        (WebPage(b"no", status=404), "404"),
        (WebPage(b"<h1>Hello</h1>"), "does not answer as SearXNG"),
        (WebPage(b"[1]", "application/json"), "does not answer as SearXNG"),
        (WebPage(b'{"results": 7}', "application/json"), "does not answer as SearXNG"),
        (WebPage(b"", "application/json"), "does not answer as SearXNG"),
        (WebPage(b"[" * 100_000, "application/json"), "does not answer as SearXNG"),
    ],
)
async def test_what_searxng_refuses_says_what_to_try(parts: Parts, page: WebPage, told: str):
    async with Website() as site:
        site.put("/search", page)
        tool = types().tool("web_search", parts, url=site.url)
        with pytest.raises(ToolUnavailable) as caught:
            await use(tool, {"query": "x"})
    assert told in caught.value.message


async def test_searxng_whose_engines_are_silent_has_not_found_nothing(
    parts: Parts, searxng: LoopbackSearxng
):
    tool = types().tool("web_search", parts, url=searxng.url)
    searxng.results = []
    assert await use(tool, {"query": "x"}) == []
    searxng.silent_engines = [("google", "timeout"), ("bing", "CAPTCHA")]
    with pytest.raises(ToolUnavailable, match=r"google \(timeout\), bing \(CAPTCHA\)"):
        await use(tool, {"query": "x"})


async def test_searxng_without_an_address_says_how_to_give_one(parts: Parts):
    tool = types().tool("web_search", parts, provider="searxng")
    with pytest.raises(ToolUnavailable, match="SEARXNG_URL"):
        await use(tool, {"query": "x"})


# --- Tavily -------------------------------------------------------------------------------------


async def test_tavily_is_asked_with_its_key(parts: Parts, tavily: LoopbackTavily):
    tool = types().tool("web_search", parts, provider="tavily", api_key=KEY, url=tavily.url)
    assert urls(await use(tool, {"query": "cities"})) == [ROME["url"], OSLO["url"], BERN["url"]]
    assert tavily.searches == [
        {
            "query": "cities", "max_results": 5, "search_depth": "basic", "topic": "general",
            "include_answer": False, "include_domains": [], "exclude_domains": [],
        }
    ]  # fmt: skip
    assert tavily.calls[0].method == "POST"


async def test_tavily_is_told_what_the_file_and_the_model_say(parts: Parts, tavily: LoopbackTavily):
    tool = types().tool(
        "web_search", parts, api_key=KEY, url=tavily.url, max_results=2, search_depth="advanced",
        topic="news", include_domains=["*.Example.org", "example.com"],
    )  # fmt: skip
    found = await use(tool, {"query": "cities", "time_range": "week"})
    assert urls(found) == [ROME["url"], OSLO["url"]]
    (asked,) = cast(Any, tavily.searches)
    assert asked["max_results"] == 2
    assert asked["search_depth"] == "advanced"
    assert asked["topic"] == "news"
    assert asked["time_range"] == "week"
    assert asked["include_domains"] == ["example.org", "example.com"]


async def test_the_key_may_stand_in_the_environment(parts: Parts, tavily: LoopbackTavily):
    tool = types(TAVILY_API_KEY=f" {KEY}\n").tool(
        "web_search", parts, provider="tavily", url=tavily.url, api_key=""
    )
    assert len(await use(tool, {"query": "x"})) == 3


async def test_a_key_in_the_file_comes_before_the_environment(parts: Parts, tavily: LoopbackTavily):
    tool = types(TAVILY_API_KEY="other", SEARXNG_URL="http://127.0.0.1:1").tool(
        "web_search", parts, url=tavily.url, api_key=KEY
    )
    assert len(await use(tool, {"query": "x"})) == 3


async def test_a_missing_key_is_an_error_of_the_first_call_and_not_of_the_start(parts: Parts):
    tool = types().tool("web_search", parts)
    with pytest.raises(ToolUnavailable, match=r"TAVILY_API_KEY.*SEARXNG_URL"):
        await use(tool, {"query": "x"})


async def test_a_summary_comes_with_the_pages_if_it_is_asked_for(
    parts: Parts, tavily: LoopbackTavily
):
    tavily.summary = "There are three."
    plain = types().tool("web_search", parts, api_key=KEY, url=tavily.url)
    assert isinstance(await use(plain, {"query": "x"}), list)
    told = types().tool("web_search", parts, api_key=KEY, url=tavily.url, include_answer=True)
    found = await use(told, {"query": "x"})
    assert found["answer"] == "There are three."
    assert len(found["results"]) == 3


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (401, {"detail": {"error": "no"}}, ToolUnavailable, "refuses the key"),
        (403, {}, ToolUnavailable, "refuses the key"),
        (432, {}, ToolUnavailable, "used up"),
        (433, {}, ToolUnavailable, "used up"),
        (400, {"detail": {"error": "Query is too long."}}, ToolError, "Query is too long."),
        (422, {"detail": "Bad topic"}, ToolError, "Bad topic"),
        (400, ["?"], ToolError, "status 400"),
        (500, {}, ToolUnavailable, "500"),
    ],
)
async def test_what_tavily_refuses_says_what_to_try(
    parts: Parts,
    tavily: LoopbackTavily,
    status: int,
    body: Json,
    kind: type[ToolError],
    told: str,
):
    tavily.refusals.append((status, body))
    tool = types().tool("web_search", parts, api_key=KEY, url=tavily.url)
    with pytest.raises(ToolError) as caught:
        await use(tool, {"query": "x"})
    assert type(caught.value) is kind
    assert told in caught.value.message


async def test_the_key_is_never_repeated(parts: Parts, tavily: LoopbackTavily):
    tool = types().tool("web_search", parts, api_key=KEY, url=tavily.url)
    tavily.refusals.append((400, {"detail": {"error": f"What is {KEY}?"}}))
    with pytest.raises(ToolError) as caught:
        await use(tool, {"query": "x"})
    assert "What is ***?" in caught.value.message
    config = WebSearchConfig(api_key=SecretStr(KEY))
    engine = Tavily(parts.http, "it", tavily.url, 1, SecretStr(KEY), "basic", "general", False)
    for thing in (config, engine, tool, tool.parameters):
        assert KEY not in repr(thing)


async def test_what_is_not_tavily_is_seen(parts: Parts):
    async with Website() as site:
        site.put("/search", "<h1>Hello</h1>")
        tool = types().tool("web_search", parts, provider="tavily", api_key=KEY, url=site.url)
        with pytest.raises(ToolUnavailable, match="does not answer as Tavily"):
            await use(tool, {"query": "x"})


async def test_a_long_query_is_cut_for_tavily(parts: Parts, tavily: LoopbackTavily):
    tool = types().tool("web_search", parts, api_key=KEY, url=tavily.url)
    await use(tool, {"query": "word " * 200})
    (asked,) = cast(Any, tavily.searches)
    assert len(asked["query"]) == 400


# --- the network --------------------------------------------------------------------------------


async def test_an_engine_that_is_not_there_is_named_with_the_tool():
    async with Website() as site:
        url = site.url
    async with outside() as parts:
        tool = types().tool("web_search", parts, url=url, max_tries=1)
        with pytest.raises(ToolUnavailable, match=r"web_search cannot ask SearXNG\. 127\.0\.0\.1"):
            await use(tool, {"query": "x"})


async def test_what_is_refused_for_now_is_asked_again(tavily: LoopbackTavily):
    tavily.refusals += [(429, {}), (503, {})]
    clock = ManualClock()
    async with outside(clock=clock) as parts:
        tool = types().tool("web_search", parts, api_key=KEY, url=tavily.url)
        search = asyncio.ensure_future(use(tool, {"query": "x"}))
        await pass_time_until(clock, search.done)
        assert len(await search) == 3
    assert len(tavily.calls) == 3


async def test_what_is_refused_for_now_again_and_again_is_unavailable(tavily: LoopbackTavily):
    tavily.refusals += [(429, {})]
    async with outside() as parts:
        tool = types().tool("web_search", parts, api_key=KEY, url=tavily.url, max_tries=1)
        with pytest.raises(ToolUnavailable, match="no more searches for now"):
            await use(tool, {"query": "x"})


async def test_offline_no_public_engine_is_asked():
    async with outside(profile="offline") as parts:
        tool = types().tool("web_search", parts, api_key=KEY)
        with pytest.raises(ToolUnavailable, match="offline"):
            await use(tool, {"query": "x"})


# --- what comes back ----------------------------------------------------------------------------


async def test_each_page_comes_once_and_what_is_none_is_left_out(
    parts: Parts, searxng: LoopbackSearxng
):
    searxng.results = [
        ROME,
        {**ROME, "title": "Rome again"},
        {"url": "not a url", "title": "x"},
        {"url": "mailto:a@example.org"},
        {"title": "nowhere"},
        {"url": 7},
        {"url": "https://example.org/bare"},
    ]
    heard = Heard()
    tool = types().tool("web_search", parts, url=searxng.url)
    found = await use(tool, {"query": "x"}, heard)
    assert urls(found) == ["https://example.org/rome", "https://example.org/bare"]
    assert found[1] == {"title": "", "url": "https://example.org/bare", "content": ""}
    assert sources(heard) == [
        ("https://example.org/rome", "Rome", "web_search"),
        ("https://example.org/bare", None, "web_search"),
    ]


async def test_no_more_than_so_many_pages_come_back(parts: Parts, searxng: LoopbackSearxng):
    searxng.results = [{**ROME, "url": f"https://example.org/{each}"} for each in range(30)]
    tool = types().tool("web_search", parts, url=searxng.url, max_results=7)
    assert len(await use(tool, {"query": "x"})) == 7


async def test_a_long_excerpt_is_cut(parts: Parts, searxng: LoopbackSearxng):
    searxng.results = [{**ROME, "content": "word  \n" * 1000}]
    tool = types().tool("web_search", parts, url=searxng.url, max_characters=12)
    assert (await use(tool, {"query": "x"}))[0]["content"] == "word word wo…"


async def test_only_pages_of_the_wanted_domains_come_back(parts: Parts, searxng: LoopbackSearxng):
    tool = types().tool(
        "web_search", parts, url=searxng.url, include_domains=["example.com", "example.net"]
    )
    assert urls(await use(tool, {"query": "x"})) == [OSLO["url"], BERN["url"]]
    assert searxng.searches[0]["q"] == "x (site:example.com OR site:example.net)"


async def test_pages_of_unwanted_domains_do_not_come_back(parts: Parts, searxng: LoopbackSearxng):
    tool = types().tool("web_search", parts, url=searxng.url, exclude_domains=["example.com"])
    assert urls(await use(tool, {"query": "x"})) == [ROME["url"], BERN["url"]]
    assert searxng.searches[0]["q"] == "x -site:example.com"


# --- what a file may say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"provider": "google"},
        {"url": "example.org"},
        {"url": "ftp://example.org"},
        {"max_results": 0},
        {"max_results": 21},
        {"include_domains": ["https://example.org/x"]},
        {"time": 3},
        {"timeout_seconds": 0},
    ],
)
def test_a_file_may_not_say_what_cannot_be(said: dict[str, object]):
    with pytest.raises(pydantic.ValidationError):
        types().tool("web_search", None, **said)


def test_a_model_is_told_of_two_arguments():
    tool = types().tool("web_search")
    assert list(properties(tool)) == ["query", "time_range"]
    assert all("description" in each for each in properties(tool).values())
    assert tool.timeout_seconds == 30


async def test_a_model_that_asks_for_nothing_is_told(parts: Parts):
    with pytest.raises(InvalidArguments, match="query"):
        await use(types().tool("web_search", parts), {"query": ""})


async def test_the_name_and_fields_that_nat_had_are_known():
    async with outside(profile="offline") as parts:
        tool = types(SEARXNG_URL="http://127.0.0.1:1").tool(
            "tavily_internet_search", parts, max_results=4, api_key=KEY, description="Looks."
        )
        assert (tool.name, tool.description) == ("tavily_internet_search", "Looks.")
        with pytest.raises(ToolUnavailable, match=r"offline, and api\.tavily\.com"):
            await use(tool, {"query": "x"})


async def test_the_name_and_fields_of_aiq_are_known(parts: Parts, tavily: LoopbackTavily):
    tavily.summary = "There are three."
    heard = Heard()
    tool = types().tool(
        "tavily_web_search", parts, max_results=2, api_key=KEY, advanced_search=True,
        max_content_length=4, api_base_url=tavily.url, max_retries=1, needs_approval=True,
    )  # fmt: skip
    found = await use(tool, {"query": "cities"}, heard)
    assert found["answer"] == "There are three."
    assert [each["content"] for each in found["results"]] == ["A ci…", "Cold…"]
    (asked,) = cast(Any, tavily.searches)
    assert (asked["search_depth"], asked["include_answer"]) == ("advanced", "advanced")
    assert {each[2] for each in sources(heard)} == {"tavily_web_search"}
    assert tool.needs_approval


async def test_aiq_has_a_word_for_no_summary(parts: Parts, tavily: LoopbackTavily):
    tavily.summary = "There are three."
    tool = types().tool(
        "tavily_web_search", parts, api_key=KEY, api_base_url=tavily.url, include_answer="none"
    )
    assert len(await use(tool, {"query": "cities"})) == 3
