"""web_search: finds pages by Tavily or a SearXNG server; each page it names is a source of the run.

Without a key or a URL it is there all the same: its first call says what is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, SecretStr

from forebay.builtins.tools.configuration import ToolConfig, configured
from forebay.builtins.tools.domains import Domain, host_of, is_within
from forebay.core.events import SourceFound
from forebay.core.json import Json
from forebay.ports.agent import Context
from forebay.ports.components import Parts, Registry
from forebay.ports.tools import Tool

from .engines import Engine, Hit, Search, Searxng, Tavily, TimeRange

_TAVILY_URL = "https://api.tavily.com"
_SECONDS = 30.0


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it has to be an http or https URL")
    return url


_Url: TypeAlias = Annotated[str, AfterValidator(_http_url)]
_Depth: TypeAlias = Literal["basic", "advanced"]


class WebSearchConfig(ToolConfig):
    """A search in the web."""

    provider: Literal["tavily", "searxng"] | None = None
    """Without one it is SearXNG if its URL is known and there is no `api_key`, else Tavily."""
    api_key: SecretStr | None = None
    """Tavily's; without one it is TAVILY_API_KEY."""
    url: _Url | None = None
    """SearXNG's, without one it is SEARXNG_URL; or another one for Tavily."""
    max_results: int = Field(default=5, ge=1, le=20)
    max_characters: int | None = Field(default=2000, ge=1)
    """How much of each result's text is kept."""
    max_tries: int = Field(default=3, ge=1, le=10)
    include_domains: tuple[Domain, ...] = ()
    exclude_domains: tuple[Domain, ...] = ()
    search_depth: _Depth = "basic"
    topic: Literal["general", "news", "finance"] = "general"
    include_answer: _Depth | bool = False
    """Whether Tavily writes a summary too; then the result is an object with it."""
    language: str | None = None
    categories: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    safe_search: Literal[0, 1, 2] | None = None
    timeout_seconds: PositiveFloat | None = _SECONDS


class TavilyInternetSearchConfig(ToolConfig):
    """NAT's search by Tavily, as it was before version 1.8."""

    max_results: int = Field(default=3, ge=1, le=20)
    api_key: SecretStr | None = None
    timeout_seconds: PositiveFloat | None = _SECONDS

    def plain(self) -> WebSearchConfig:
        """The same as a web_search."""
        return WebSearchConfig(
            **_common(self), provider="tavily", api_key=self.api_key, max_results=self.max_results
        )


class TavilyWebSearchConfig(ToolConfig):
    """AI-Q's search by Tavily."""

    include_answer: str = "advanced"
    """`basic` or `advanced`; with any other text there is no summary."""
    max_results: int = Field(default=3, ge=1, le=20)
    api_key: SecretStr | None = None
    max_retries: int = Field(default=3, ge=1, le=10)
    advanced_search: bool = False
    max_content_length: int | None = Field(default=None, ge=1)
    api_base_url: _Url | None = None
    timeout_seconds: PositiveFloat | None = _SECONDS

    def plain(self) -> WebSearchConfig:
        """The same as a web_search."""
        return WebSearchConfig(
            **_common(self),
            provider="tavily",
            api_key=self.api_key,
            url=self.api_base_url,
            max_results=self.max_results,
            max_characters=self.max_content_length,
            max_tries=self.max_retries,
            search_depth="advanced" if self.advanced_search else "basic",
            include_answer=_depth(self.include_answer),
        )


def _common(config: ToolConfig) -> dict[str, Any]:
    return config.model_dump(include={"description", "timeout_seconds", "needs_approval"})


def _depth(answer: str) -> _Depth | Literal[False]:
    return answer if answer == "basic" or answer == "advanced" else False


# --- the tool -----------------------------------------------------------------------------------


class WebSearch:
    """One configured search. What it needs is put together at its first call."""

    def __init__(
        self, name: str, config: WebSearchConfig, parts: Parts, environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._config = config
        self._parts = parts
        self._environment = environment
        self._engine: Engine | None = None

    async def search(
        self,
        ctx: Context,
        query: Annotated[
            str, Field(min_length=1, description="A few words, as for any search engine.")
        ],
        time_range: Annotated[
            TimeRange | None, Field(description="Only what is as new as that.")
        ] = None,
    ) -> Json:
        """Searches the web. Returns pages, each with its title, its URL and an excerpt.

        An excerpt is short: read the page itself to be sure of what it says.
        """
        self._engine = self._engine or self._make_engine()
        config = self._config
        wanted = Search(
            " ".join(query.split()), config.max_results, time_range,
            config.include_domains, config.exclude_domains,
        )  # fmt: skip
        found = await self._engine.search(wanted)
        hits = _chosen(found.hits, config)
        for hit in hits:
            ctx.emit(SourceFound(hit.url, hit.title or None, tool=self._name))
        results: list[Json] = [_result(hit, config.max_characters) for hit in hits]
        return results if found.answer is None else {"answer": found.answer, "results": results}

    def _make_engine(self) -> Engine:
        config, http = self._config, self._parts.http
        server = config.url or self._environment.get("SEARXNG_URL", "")
        key = config.api_key.get_secret_value().strip() if config.api_key else ""
        if config.provider == "searxng" or (config.provider is None and server and not key):
            return Searxng(
                http, self._name, server, config.max_tries,
                config.language, config.categories, config.engines, config.safe_search,
            )  # fmt: skip
        answer = "basic" if config.include_answer is True else config.include_answer
        return Tavily(
            http, self._name, config.url or _TAVILY_URL, config.max_tries,
            SecretStr(key or self._environment.get("TAVILY_API_KEY", "").strip()),
            config.search_depth, config.topic, answer,
        )  # fmt: skip


def _chosen(hits: Sequence[Hit], config: WebSearchConfig) -> Sequence[Hit]:
    """Those that fit, each page once."""
    chosen: dict[str, Hit] = {}
    for hit in hits:
        host = host_of(hit.url)
        is_wanted = not config.include_domains or is_within(host, config.include_domains)
        if host and is_wanted and not is_within(host, config.exclude_domains):
            chosen.setdefault(hit.url, hit)
    return list(chosen.values())[: config.max_results]


def _result(hit: Hit, most: int | None) -> Json:
    content = hit.content if most is None or len(hit.content) <= most else f"{hit.content[:most]}…"
    result: dict[str, Json] = {"title": hit.title, "url": hit.url, "content": content}
    return result if hit.score is None else {**result, "score": hit.score}


def register(registry: Registry, environment: Mapping[str, str]) -> None:
    """Make the searches known. The environment may hold TAVILY_API_KEY and SEARXNG_URL."""

    def plain(name: str, config: WebSearchConfig, parts: Parts) -> Tool:
        return configured(WebSearch(name, config, parts, environment).search, name, config)

    def as_in_nat(name: str, config: TavilyInternetSearchConfig, parts: Parts) -> Tool:
        return plain(name, config.plain(), parts)

    def as_in_aiq(name: str, config: TavilyWebSearchConfig, parts: Parts) -> Tool:
        return plain(name, config.plain(), parts)

    registry.add_function("web_search", WebSearchConfig, plain)
    registry.add_function("tavily_internet_search", TavilyInternetSearchConfig, as_in_nat)
    registry.add_function("tavily_web_search", TavilyWebSearchConfig, as_in_aiq)
