"""The page at /docs: complete without a network, and cached."""

import asyncio
import re
import shutil
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.asgi import PATIENCE_SECONDS
from tests.support.listening import listening
from tests.support.server import serving

STATIC = files("forebay.dialects.native") / "static"
OURS = ("docs.html", "docs.js", "docs.css", "icon.svg")

# Swagger UI 5.35.0 as it was published; a newer one is a decision (docs/decisions/0007).
VENDORED = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": (
        "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb"
    ),
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_NO_NETWORK = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--virtual-time-budget=10000",
    "--enable-logging=stderr",
)


def test_vendored_files_are_unmodified() -> None:
    folder = STATIC / "swagger-ui"
    found = {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert found == VENDORED


@pytest.mark.parametrize("name", OURS)
def test_our_own_files_name_no_other_host(name: str) -> None:
    text = (STATIC / name).read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


async def test_the_policy_of_the_page_lets_nothing_in_from_elsewhere() -> None:
    async with serving() as server:
        page = await server.client.get("/docs")
    policy = dict(
        part.split(" ", 1) for part in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} == {
        "'none'",
        "'self'",
        "data:",
    }
    assert policy["script-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"


async def test_every_file_that_the_page_names_is_served_and_kept_for_ever() -> None:
    async with serving() as server:
        page = await server.client.get("/docs")
        named = re.findall(r'(?:href|src)="docs/([^"?]+)\?([^"]+)"', page.text)
        assert {name for name, _ in named} == {
            "docs.css", "docs.js", "icon.svg", "swagger-ui-bundle.js", "swagger-ui.css",
        }  # fmt: skip
        for name, version in named:
            answer = await server.client.get(f"/docs/{name}", query=version)
            assert answer.status == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["etag"] == f'"{version}"'


async def test_a_file_under_a_url_that_does_not_name_its_content_is_asked_for_again() -> None:
    async with serving() as server:
        answer = await server.client.get("/docs/docs.js", query="0123456789abcdef")
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/swagger-ui.css"])
async def test_what_a_browser_has_already_is_not_sent_again(path: str) -> None:
    async with serving() as server:
        first = await server.client.get(path)
        tag = first.headers["etag"]
        again = await server.client.get(path, headers={"if-none-match": f"W/{tag}"})
        other = await server.client.get(path, headers={"if-none-match": '"something-else"'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert other.status == 200


@pytest.mark.parametrize("name", ["docs.html", "nothing.js", "..%2Fdocs.py", "LICENSE"])
async def test_other_files_are_not_served(name: str) -> None:
    async with serving() as server:
        assert (await server.client.get(f"/docs/{name}")).status == 404


@pytest.mark.needs_chromium
async def test_a_browser_without_a_network_shows_every_route(tmp_path: Path) -> None:
    chromium = next(found for name in _BROWSERS if (found := shutil.which(name)))
    async with serving() as server, listening() as url:
        browser = await asyncio.create_subprocess_exec(
            chromium,
            *_NO_NETWORK,
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
            f"{url}/docs",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(3 * PATIENCE_SECONDS):
            dom, complaints = await browser.communicate()
    text = dom.decode()
    for route in server.app.router.routes:
        shown = route.path.replace("/", "/<wbr>")
        assert route.summary in text
        assert shown in text or f'data-path="{route.path}"' in text
    console = [line for line in complaints.decode().splitlines() if "CONSOLE" in line]
    assert not [line for line in console if "Refused" in line or "violates" in line], console
