"""The search engines behind web_search: how each is asked, and what its refusals mean.

A message tells the next thing to try, and never the key.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urlencode

import msgspec
from pydantic import SecretStr

from forebay.builtins.tools.domains import host_of
from forebay.core.codec import decode_json, encode_json
from forebay.core.errors import HttpError, ToolError, ToolUnavailable
from forebay.core.json import Json
from forebay.ports.http import HttpAnswer, HttpClient, HttpRequest

TimeRange: TypeAlias = Literal["day", "week", "month", "year"]

_MAX_BYTES = 5_000_000
_MAX_TAVILY_QUERY = 400
_LONGEST_MESSAGE = 300
_PATIENCE_SECONDS = 15.0  # for the next bytes; the tool has a limit for all of it


class Search(msgspec.Struct, frozen=True):
    """What is looked for."""

    query: str
    max_results: int
    time_range: TimeRange | None = None
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()


class Hit(msgspec.Struct, frozen=True):
    """One page that an engine names."""

    url: str
    title: str
    content: str
    score: float | None = None


class Hits(msgspec.Struct, frozen=True):
    """What an engine answers."""

    hits: Sequence[Hit]
    answer: str | None = None
    """The engine's own summary."""


class Engine(Protocol):
    """A search engine."""

    async def search(self, search: Search) -> Hits:
        """Ask it. Raises ToolUnavailable, ToolError."""
        ...


class Tavily(msgspec.Struct, frozen=True):
    """Tavily, by its key."""

    http: HttpClient
    tool: str
    url: str
    tries: int
    key: SecretStr
    depth: str
    topic: str
    answer: str | Literal[False]

    async def search(self, search: Search) -> Hits:
        if not self.key.get_secret_value():
            raise ToolUnavailable(
                f"{self.tool} has no key for Tavily: set TAVILY_API_KEY or `api_key`. Or use a "
                "SearXNG server: set SEARXNG_URL, or `provider: searxng` and its `url`."
            )
        answer = await _send(self.http, self._request(search), self.tool, "Tavily")
        if answer.status != 200:
            raise self._refusal(answer)
        found = _found(answer.body)
        if found is None:
            raise ToolUnavailable(
                f"{host_of(self.url)} does not answer as Tavily does: check `url`."
            )
        told = found.get("answer")
        return Hits(_hits(found), told if isinstance(told, str) and told else None)

    def _request(self, search: Search) -> HttpRequest:
        body: dict[str, object] = {
            "query": search.query[:_MAX_TAVILY_QUERY],
            "max_results": search.max_results,
            "search_depth": self.depth,
            "topic": self.topic,
            "include_answer": self.answer,
            "include_domains": list(search.include_domains),
            "exclude_domains": list(search.exclude_domains),
        }
        if search.time_range is not None:
            body["time_range"] = search.time_range
        key = self.key.get_secret_value()
        return HttpRequest(
            url=f"{self.url.rstrip('/')}/search",
            trust="operator",
            method="POST",
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            body=encode_json(body),
            timeout_seconds=_PATIENCE_SECONDS,
            retries=self.tries - 1,
            max_bytes=_MAX_BYTES,
        )

    def _refusal(self, answer: HttpAnswer) -> ToolError:
        match answer.status:
            case 401 | 403:
                return ToolUnavailable("Tavily refuses the key: check TAVILY_API_KEY or `api_key`.")
            case 429:
                return ToolUnavailable("Tavily takes no more searches for now: try again later.")
            case 432 | 433:
                return ToolUnavailable("The plan of the Tavily key is used up: raise its limit.")
            case 400 | 422:
                return ToolError(f"Tavily does not take this search: {self._told(answer)}")
            case status:
                return ToolUnavailable(f"Tavily answers {status}: try again later.")

    def _told(self, answer: HttpAnswer) -> str:
        found = (_object(answer.body) or {}).get("detail")
        said = found.get("error") if isinstance(found, dict) else found
        text = said if isinstance(said, str) else f"status {answer.status}"
        return text.replace(self.key.get_secret_value(), "***")[:_LONGEST_MESSAGE]


class Searxng(msgspec.Struct, frozen=True):
    """A SearXNG server, by its URL."""

    http: HttpClient
    tool: str
    url: str
    tries: int
    language: str | None
    categories: tuple[str, ...]
    engines: tuple[str, ...]
    safe_search: int | None

    async def search(self, search: Search) -> Hits:
        if not self.url:
            raise ToolUnavailable(
                f"{self.tool} does not know where the SearXNG server is: set SEARXNG_URL or `url`."
            )
        answer = await _send(self.http, self._request(search), self.tool, "SearXNG")
        if answer.status != 200:
            raise self._refusal(answer.status)
        found = _found(answer.body)
        if found is None:
            raise ToolUnavailable(
                f"{host_of(self.url)} does not answer as SearXNG does: check `url`, and that "
                "`json` is among `search.formats` in the server's settings.yml."
            )
        hits = _hits(found)
        if not hits and (silent := _silent_engines(found)):
            raise ToolUnavailable(f"No engine has answered SearXNG: {silent}. Try again later.")
        return Hits(hits)

    def _request(self, search: Search) -> HttpRequest:
        fields = {
            "q": _with_domains(search),
            "format": "json",
            "time_range": search.time_range,
            "language": self.language,
            "categories": ",".join(self.categories),
            "engines": ",".join(self.engines),
            "safesearch": None if self.safe_search is None else str(self.safe_search),
        }
        query = urlencode({name: value for name, value in fields.items() if value})
        return HttpRequest(
            url=f"{self.url.rstrip('/')}/search?{query}",
            trust="operator",
            headers={"accept": "application/json"},
            timeout_seconds=_PATIENCE_SECONDS,
            retries=self.tries - 1,
            max_bytes=_MAX_BYTES,
        )

    def _refusal(self, status: int) -> ToolError:
        match status:
            case 403:
                return ToolUnavailable(
                    "SearXNG refuses to answer in JSON: put `json` into `search.formats` in the "
                    "server's settings.yml."
                )
            case 429:
                return ToolUnavailable(
                    "SearXNG takes no more searches for now: try again later, or switch off its "
                    "limiter for this machine."
                )
            case _:
                return ToolUnavailable(
                    f"SearXNG answers {status}: check `url`, or try again later."
                )


async def _send(http: HttpClient, request: HttpRequest, tool: str, engine: str) -> HttpAnswer:
    try:
        return await http.send(request)
    except HttpError as error:
        raise ToolUnavailable(f"{tool} cannot ask {engine}. {error.message}") from None


def _object(body: bytes) -> Mapping[str, Json] | None:
    try:
        found = decode_json(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _found(body: bytes) -> Mapping[str, Json] | None:
    found = _object(body)
    return found if found is not None and isinstance(found.get("results"), list) else None


def _hits(found: Mapping[str, Json]) -> Sequence[Hit]:
    results = found.get("results")
    hits: list[Hit] = []
    for each in results if isinstance(results, list) else []:
        if isinstance(each, dict) and isinstance(url := each.get("url"), str):
            score = each.get("score")
            is_number = isinstance(score, int | float)
            hits.append(
                Hit(url, _text(each, "title"), _text(each, "content"), score if is_number else None)
            )
    return hits


def _text(result: Mapping[str, Json], name: str) -> str:
    value = result.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _silent_engines(found: Mapping[str, Json]) -> str:
    engines = found.get("unresponsive_engines")
    listed = engines if isinstance(engines, list) else []
    named = [f"{each[0]} ({each[-1]})" for each in listed if isinstance(each, list) and each]
    return ", ".join(named)[:_LONGEST_MESSAGE]


def _with_domains(search: Search) -> str:
    # Most engines behind it know these words; results that do not fit are dropped anyway.
    only = " OR ".join(f"site:{domain}" for domain in search.include_domains)
    words = [search.query, f"({only})" if len(search.include_domains) > 1 else only]
    words += [f"-site:{domain}" for domain in search.exclude_domains]
    return " ".join(word for word in words if word)
