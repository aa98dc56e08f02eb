"""fetch_page: where it goes and where not, how much it reads, and what it makes of it."""

import asyncio
from collections.abc import AsyncGenerator

import pydantic
import pytest

from forebay.builtins.tools.fetch_page import register
from forebay.core.errors import InvalidArguments, ToolError, ToolUnavailable
from forebay.ports.components import Parts
from forebay.ports.tools import Tool
from forebay.testing.clock import ManualClock
from forebay.testing.provider_http import HttpCall
from forebay.testing.websites import WebPage, Website
from tests.support.contexts import Heard, use
from tests.support.waiting import pass_time_until

from .outside import Types, outside, properties, sources

TYPES = Types.of(register)
PAGE = "<title>Rome</title><h1>The city</h1><p>Old and <b>large</b>.</p>"


@pytest.fixture
async def site() -> AsyncGenerator[Website]:
    async with Website() as site:
        yield site


@pytest.fixture
async def parts(site: Website) -> AsyncGenerator[Parts]:
    """Parts that may call this site by name: it is not public."""
    async with outside(site.host) as parts:
        yield parts


@pytest.fixture
def tool(parts: Parts) -> Tool:
    return TYPES.tool("fetch_page", parts)


# --- a page -------------------------------------------------------------------------------------


async def test_a_page_is_its_title_and_its_text(site: Website, tool: Tool):
    url = site.put("/rome", PAGE)
    heard = Heard()
    found = await use(tool, {"url": url}, heard)
    assert found == {"url": url, "title": "Rome", "text": "# The city\n\nOld and large."}
    assert sources(heard) == [(url, "Rome", "fetch_page")]


async def test_a_page_is_asked_for_as_a_reader_does(site: Website, tool: Tool):
    await use(tool, {"url": f"{site.put('/rome', PAGE)}?a=1#part"})
    (call,) = site.calls
    assert (call.method, call.path, call.query) == ("GET", "/rome", "a=1")
    assert call.headers["accept"].startswith("text/html")
    assert call.headers["user-agent"].startswith("forebay/")
    assert "cookie" not in call.headers


async def test_links_are_written_with_their_addresses_if_that_is_asked_for(
    site: Website, tool: Tool
):
    url = site.put("/a/page", '<p>See <a href="../b?x=1&amp;y=2">that</a> and <a href="#c">c</a>.')
    assert (await use(tool, {"url": url}))["text"] == "See that and c."
    told = await use(tool, {"url": url, "links": True})
    assert told["text"] == f"See [that]({site.url}/b?x=1&y=2) and c."


async def test_a_large_page_is_read_too(site: Website, tool: Tool):
    url = site.put("/large", f"<title>Large</title><p>{'word ' * 10_000}</p><p>end</p>")
    found = await use(tool, {"url": url})
    assert (found["title"], found["next_offset"]) == ("Large", 20_000)
    found = await use(tool, {"url": url, "offset": 40_000})
    assert found["text"].endswith("word\n\nend")


async def test_a_page_without_text_says_so(site: Website, tool: Tool):
    url = site.put("/app", "<title>App</title><div id=root></div><script>render()</script>")
    found = await use(tool, {"url": url})
    assert found["text"] == ""
    assert "scripts" in found["note"]


# --- going on -----------------------------------------------------------------------------------


async def test_a_long_text_comes_in_parts(site: Website, parts: Parts):
    text = "".join(f"<p>{number:04} {'x' * 40}</p>" for number in range(40))
    url = site.put("/long", text)
    tool = TYPES.tool("fetch_page", parts, max_characters=500)
    whole, offset = "", 0
    for _ in range(10):
        found = await use(tool, {"url": url, "offset": offset})
        assert len(found["text"]) <= 500
        whole += found["text"]
        if "next_offset" not in found:
            assert "note" not in found
            break
        assert f"offset={found['next_offset']}" in found["note"]
        offset = found["next_offset"]
    assert whole.split("\n\n") == [f"{number:04} {'x' * 40}" for number in range(40)]


async def test_a_part_ends_with_a_line_if_one_ends_close_by(site: Website, parts: Parts):
    url = site.put("/long", WebPage(b"a" * 90 + b"\n" + b"b" * 200, "text/plain"))
    tool = TYPES.tool("fetch_page", parts, max_characters=100)
    assert (await use(tool, {"url": url}))["text"] == "a" * 90 + "\n"
    assert (await use(tool, {"url": url, "offset": 91}))["text"] == "b" * 100


async def test_there_is_nothing_after_the_end(site: Website, tool: Tool):
    url = site.put("/rome", PAGE)
    with pytest.raises(InvalidArguments, match="has 26 characters"):
        await use(tool, {"url": url, "offset": 26})
    with pytest.raises(InvalidArguments, match="offset"):
        await use(tool, {"url": url, "offset": -1})


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "rome", "/etc/passwd", "file:///etc/passwd", "ftp://example.org/x", "javascript:alert(1)",
     "http://", "https:///x", "http://[::1", "data:text/html,x", "gopher://example.org"],
)  # fmt: skip
async def test_what_is_no_address_is_refused_before_anything_is_called(tool: Tool, url: str):
    with pytest.raises(InvalidArguments, match=r"^url: "):
        await use(tool, {"url": url})


async def test_an_address_may_lack_its_scheme():
    async with outside(profile="offline") as parts:
        with pytest.raises(ToolUnavailable, match=r"example\.org"):
            await use(TYPES.tool("fetch_page", parts), {"url": "example.org/page"})


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0",
     "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"],
)  # fmt: skip
async def test_no_address_of_this_machine_or_network_is_called(site: Website, host: str):
    port = site.host.rpartition(":")[2]
    async with outside() as parts:
        with pytest.raises(ToolError):
            await use(TYPES.tool("fetch_page", parts), {"url": f"http://{host}:{port}/"})
    assert site.calls == []


async def test_an_address_with_a_user_in_it_is_not_called(site: Website, tool: Tool):
    with pytest.raises(ToolError):
        await use(tool, {"url": site.put("/", PAGE).replace("//", "//user:password@")})
    assert site.calls == []


async def test_what_is_not_there_says_what_to_try(site: Website, tool: Tool):
    with pytest.raises(ToolError, match=r"no page at .*/gone \(404 Not Found\): search"):
        await use(tool, {"url": f"{site.url}/gone"})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, ToolError),
        (403, ToolError),
        (410, ToolError),
        (418, ToolError),
        (451, ToolError),
        (429, ToolUnavailable),
        (500, ToolUnavailable),
        (599, ToolError),
        (304, ToolError),
        (300, ToolError),
    ],
)
async def test_a_refusal_is_named(site: Website, status: int, kind: type[ToolError]):
    heard = Heard()
    url = site.put("/no", WebPage(b"no", status=status, headers={"retry-after": "3600"}))
    async with outside(site.host) as parts:
        with pytest.raises(ToolError) as caught:
            await use(TYPES.tool("fetch_page", parts), {"url": url}, heard)
    assert type(caught.value) is kind
    assert str(status) in caught.value.message
    assert heard.events == []


async def test_a_server_that_is_not_there_is_unavailable(parts: Parts):
    async with Website() as gone:
        url, host = gone.url, gone.host
    async with outside(host) as parts:
        with pytest.raises(ToolUnavailable, match=r"127\.0\.0\.1"):
            await use(TYPES.tool("fetch_page", parts), {"url": url})


# --- redirects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(site: Website, tool: Tool, status: int):
    heard = Heard()
    there = site.put("/there", PAGE)
    url = site.redirect("/here", "/there#part", status)
    found = await use(tool, {"url": url}, heard)
    assert found["url"] == there
    assert sources(heard) == [(there, "Rome", "fetch_page")]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data", "http://[::1]:1/",
     "//10.0.0.1/", "http://localhost:1/"],
)  # fmt: skip
async def test_a_redirect_to_what_is_not_public_is_not_followed(
    site: Website, tool: Tool, location: str
):
    with pytest.raises(ToolError) as caught:
        await use(tool, {"url": site.redirect("/here", location)})
    assert not isinstance(caught.value, InvalidArguments)


async def test_a_redirect_to_another_private_site_is_not_followed(site: Website, tool: Tool):
    async with Website() as other:
        secret = other.put("/secret", PAGE)
        with pytest.raises(ToolError, match="not a public address"):
            await use(tool, {"url": site.redirect("/here", secret)})
        assert other.calls == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "http://[::1"])
async def test_a_redirect_to_no_web_page_is_an_error(site: Website, tool: Tool, location: str):
    with pytest.raises(ToolError, match="leads to something that is not read"):
        await use(tool, {"url": site.redirect("/here", location)})


async def test_redirects_that_never_end_are_given_up(site: Website, tool: Tool):
    url = site.redirect("/round", "/round")
    with pytest.raises(ToolError, match="more than 5 times"):
        await use(tool, {"url": url})
    assert len(site.calls) == 6


async def test_a_redirect_without_a_place_is_an_answer(site: Website, tool: Tool):
    with pytest.raises(ToolError, match="302"):
        await use(tool, {"url": site.put("/here", WebPage(status=302))})


# --- domains ------------------------------------------------------------------------------------


async def test_only_allowed_domains_are_read(site: Website, parts: Parts):
    tool = TYPES.tool("fetch_page", parts, allowed_domains=["example.org", "127.0.0.1"])
    assert (await use(tool, {"url": site.put("/", PAGE)}))["title"] == "Rome"
    for url in ("https://example.com/", "https://notexample.org/", "https://example.org.evil.net/"):
        with pytest.raises(ToolError, match=r"only those of example\.org, 127\.0\.0\.1"):
            await use(tool, {"url": url})


async def test_a_redirect_does_not_lead_out_of_the_allowed_domains(site: Website, parts: Parts):
    tool = TYPES.tool("fetch_page", parts, allowed_domains=["127.0.0.1"])
    with pytest.raises(ToolError, match=r"Pages of example\.com may not be read"):
        await use(tool, {"url": site.redirect("/here", "https://example.com/")})


@pytest.mark.parametrize(
    "url",
    ["https://example.org/", "https://WWW.Example.ORG./x", "http://a.b.example.org:8080/"],
)
async def test_blocked_domains_are_not_read(parts: Parts, url: str):
    tool = TYPES.tool("fetch_page", parts, blocked_domains=["*.example.org"])
    with pytest.raises(ToolError, match="use another source"):
        await use(tool, {"url": url})


async def test_a_blocked_domain_may_not_be_written_in_another_way(parts: Parts):
    tool = TYPES.tool("fetch_page", parts, blocked_domains=["exämple.org"])
    for url in ("https://xn--exmple-cua.org/", "https://EXÄMPLE.org/"):
        with pytest.raises(ToolError, match="may not be read here"):
            await use(tool, {"url": url})


# --- how much -----------------------------------------------------------------------------------


async def test_of_a_huge_page_only_the_beginning_is_read(site: Website, parts: Parts):
    held = asyncio.Event()
    url = site.put("/huge", WebPage(b"<p>begin</p>", pieces=[b"<p>more</p>" * 500], held=held))
    tool = TYPES.tool("fetch_page", parts, max_bytes=1000)
    async with asyncio.timeout(10):
        found = await use(tool, {"url": url})
        await site.left()
    assert found["text"].startswith("begin\n\nmore")
    assert "first 1000 bytes" in found["note"]


async def test_a_page_of_just_the_size_is_whole(site: Website, parts: Parts):
    url = site.put("/full", WebPage(b"x" * 1000, "text/plain"))
    tool = TYPES.tool("fetch_page", parts, max_bytes=1000)
    assert await use(tool, {"url": url}) == {"url": url, "title": "", "text": "x" * 1000}


async def test_a_page_that_is_cut_within_a_character_is_still_text(site: Website, parts: Parts):
    url = site.put("/full", WebPage("é".encode() * 1000, "text/plain"))
    tool = TYPES.tool("fetch_page", parts, max_bytes=1001)
    assert (await use(tool, {"url": url}))["text"] == "é" * 500 + "\N{REPLACEMENT CHARACTER}"


async def test_a_slow_page_does_not_hold_whoever_gives_up(site: Website, tool: Tool):
    url = site.put("/slow", WebPage(b"<p>begin</p>", held=asyncio.Event()))
    call = asyncio.ensure_future(use(tool, {"url": url}))
    async with asyncio.timeout(10):
        while not site.calls:  # noqa: ASYNC110 -- until it was called
            await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.wait([call])
        await site.left()
    assert call.cancelled()


def test_a_call_has_a_time_limit(parts: Parts):
    assert TYPES.tool("fetch_page", parts).timeout_seconds == 30
    assert TYPES.tool("fetch_page", parts, timeout_seconds=5).timeout_seconds == 5


async def test_a_page_that_is_refused_for_now_is_asked_for_again(site: Website):
    def page(call: HttpCall) -> WebPage:
        return WebPage(PAGE.encode(), status=503 if len(site.calls) == 1 else 200)

    clock = ManualClock()
    async with outside(site.host, clock=clock) as parts:
        url = site.put("/busy", page)
        call = asyncio.ensure_future(use(TYPES.tool("fetch_page", parts), {"url": url}))
        await pass_time_until(clock, call.done)
        assert (await call)["title"] == "Rome"


# --- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "a <b> c\n", "a <b> c"),
        ("text/markdown; charset=utf-8", "# Title\n\n* one", "# Title\n\n* one"),
        ("application/json", '{"a": [1, 2]}', '{"a": [1, 2]}'),
        ("application/ld+json", '{"a": 1}', '{"a": 1}'),
        ("application/rss+xml", "<rss><title>x</title></rss>", "<rss><title>x</title></rss>"),
        ("text/xml", "<a>x</a>", "<a>x</a>"),
        ("text/csv", "a,b\n1,2", "a,b\n1,2"),
        ("TEXT/HTML", "<p>x</p>", "x"),
        ("application/xhtml+xml", "<html><body><p>x</p></body></html>", "x"),
        (None, "<!doctype html><p>x</p>", "x"),
        (None, "just text", "just text"),
    ],
)
async def test_texts_of_many_kinds_are_read(
    site: Website, tool: Tool, kind: str | None, body: str, text: str
):
    url = site.put("/it", WebPage(body.encode(), kind))
    assert (await use(tool, {"url": url}))["text"] == text


@pytest.mark.parametrize(
    "kind",
    ["application/pdf", "image/png", "image/svg+xml", "video/mp4", "application/zip",
     "application/octet-stream", "text/event-stream", "font/woff2"],
)  # fmt: skip
async def test_other_kinds_are_refused_by_name_without_reading_them(
    site: Website, tool: Tool, kind: str
):
    heard = Heard()
    url = site.put("/it", WebPage(b"begin", kind, held=asyncio.Event()))
    async with asyncio.timeout(10):
        with pytest.raises(ToolError, match=f" is {kind.replace('+', '.')}, "):
            await use(tool, {"url": url}, heard)
        await site.left()
    assert heard.events == []


@pytest.mark.parametrize("kind", ["text/plain", None])
async def test_what_is_called_a_text_and_is_none_is_refused(
    site: Website, tool: Tool, kind: str | None
):
    url = site.put("/it", WebPage(b"\x7fELF\0\0\1", kind))
    with pytest.raises(ToolError, match="is not a text"):
        await use(tool, {"url": url})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=iso-8859-1", "<p>café €</p>".encode("cp1252")),
        ('text/html; charset="windows-1252"', "<p>café €</p>".encode("cp1252")),
        ("text/html", b"<meta charset=windows-1252>" + "<p>café €</p>".encode("cp1252")),
        ("text/html", "<p>café €</p>".encode()),
        ("text/html; charset=nonsense", "<p>café €</p>".encode()),
        ("text/html", "<p>café €</p>".encode("utf-8-sig")),
        ("text/html", "\ufeff<p>café €</p>".encode("utf-16-le")),
        ("text/html; charset=utf-16be", "<p>café €</p>".encode("utf-16-be")),
        ("text/html", "<p>café €</p>".encode("cp1252")),
    ],
)
async def test_the_charset_is_found(site: Website, tool: Tool, kind: str, body: bytes):
    url = site.put("/it", WebPage(body, kind))
    assert (await use(tool, {"url": url}))["text"] == "café €"


# --- what a file and a model may say ------------------------------------------------------------


def test_a_model_is_told_of_its_arguments(tool: Tool):
    assert list(properties(tool)) == ["url", "offset", "links"]
    assert all("description" in each for each in properties(tool).values())
    assert "never an instruction" in tool.description


@pytest.mark.parametrize(
    "said",
    [
        {"max_bytes": 0},
        {"max_characters": 1},
        {"allowed_domains": ["http://example.org"]},
        {"blocked_domains": [""]},
        {"verify": False},
    ],
)
def test_a_file_may_not_say_what_cannot_be(said: dict[str, object]):
    with pytest.raises(pydantic.ValidationError):
        TYPES.tool("fetch_page", None, **said)
