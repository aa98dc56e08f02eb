"""No secret of a configuration is told by the commands that look at it, be it right or wrong."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli.main import main
from forebay.settings import Settings, database, database_name

_SECRET = "Zx81-never-told-Qm4"
_RIGHT = "workflow: {_type: chat_completion, llm_name: main}\nllms:\n  main: "
_SCRIPTED = f"{_RIGHT}{{_type: scripted}}\n"
_COMMANDS = (
    ("check",),
    ("check", "--json"),
    ("check", "--online"),
    ("doctor", "--port", "0"),
    ("doctor", "--port", "0", "--json"),
    ("run", "--input", "hello"),
)
_OPENAI = "_type: openai, model_name: m"
_THERE = (
    "_type: openai_compatible, model_name: m, max_retries: 0, base_url: 'http://127.0.0.1:9/v1'"
)

_LLMS = """
# what is right
{THERE, api_key: SECRET, default_headers: {x-key: SECRET}}
{_type: openai_compatible, model_name: m, max_retries: 0, base_url: 'http://me:SECRET@127.0.0.1:9/v1'}
{_type: openai_compatible, model_name: m, max_retries: 0, base_url: 'http://127.0.0.1:9/v1?key=SECRET'}
# what is wrong where the secret is, or beside it
{OPENAI, api_key: {SECRET: SECRET}}
{OPENAI, api_key: [SECRET]}
{OPENAI, default_headers: SECRET}
{OPENAI, default_headers: {authorization: [SECRET]}}
{OPENAI, extra_body: SECRET}
{OPENAI, temperature: SECRET}
{OPENAI, max_tokens: SECRET}
{OPENAI, price: SECRET}
{OPENAI, api_type: SECRET}
{OPENAI, apikey: SECRET}
{OPENAI, api_key: SECRET, model: [SECRET]}
{_type: openai_compatible, model_name: m, api_key: SECRET}
{_type: openai_compatible, model_name: m, base_url: 'http://me:SECRET@[/v1'}
{_type: openai_compatible, model_name: m, base_url: 'http://me:SECRET@127.0.0.1:x/v1'}
{_type: openai_compatible, model_name: m, base_url: 'nothing://me:SECRET@127.0.0.1:9/v1'}
{_type: openai_compatible, model_name: m, base_url: 'me:SECRET@127.0.0.1:9/v1'}
{_type: anthropic, model_name: m, api_key: SECRET, top_k: SECRET}
{_type: azure_openai, azure_deployment: m, api_key: SECRET}
{_type: azure_openai, azure_deployment: m, azure_endpoint: 'me:SECRET@127.0.0.1'}
{_type: litellm, model_name: nobody/m, api_key: SECRET}
{OPENAI, thinking: true, api_key: SECRET}
{_type: scripted, script: [{call: {x: SECRET}, sayy: SECRET}]}
# what no header takes
{THERE, api_key: "SECRET\\nx"}
{THERE, api_key: "SECRET\\u00e9"}
{THERE, default_headers: {x: "SECRET\\u0000"}}
# what is no YAML
{OPENAI, api_key: SECRET
{OPENAI, api_key: 'SECRET}
{OPENAI, api_key: SECRET, api_key: SECRET}
{OPENAI, api_key: *SECRET}
{OPENAI, api_key: !SECRET x}
{OPENAI, api_key: @SECRET}
{OPENAI, api_key: &SECRET}
{OPENAI, api_key: ${SECRET}
{OPENAI, api_key: SECRET: x}
\\n    _type: openai\\n    api_key: SECRET: x
\\n    _type: openai\\n    api_key: |SECRET
\\n    _type: openai\\n    api_key: %SECRET
\\n    _type: openai\\n    api_key: - SECRET
\\n    _type: openai\\n\\tapi_key: SECRET
"""

_SEARCHES = """
api_key: [SECRET]
url: 'ftp://me:SECRET@b'
url: 'http://me:SECRET@b:c'
topic: SECRET
api_key: SECRET, max_results: SECRET
"""

_SERVERS = """
transport: stdio, command: nothing, env: {KEY: SECRET}, args: [SECRET]
transport: stdio, command: nothing, env: {KEY: [SECRET]}
transport: stdio, command: nothing, env: [SECRET]
transport: SECRET, command: nothing
transport: streamable-http, url: 'ftp://me:SECRET@b'
transport: streamable-http, url: 'http://me:SECRET@b:c'
transport: streamable-http, url: 'http://b', env: {KEY: SECRET}
transport: streamable-http, url: 'http://b', custom_headers: {x: {y: SECRET}}
"""

_FRONT_ENDS = """
port: SECRET
db_url: [SECRET]
cors: {allow_origin_regex: [SECRET]}
runner_class: [SECRET]
"""

_OTHERS = """
memory: {m: {_type: mem0_memory, api_key: SECRET}}
authentication: {a: {_type: api_key, raw_key: SECRET}}
general: {telemetry: {tracing: {x: {_type: langfuse, secret_key: SECRET}}}}
SECRET
"""


def _lines(text: str) -> Iterator[str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        line = line.replace("OPENAI", _OPENAI).replace("THERE", _THERE)
        yield line.replace("\\n", "\n").replace("\\t", "\t") if line.startswith("\\n") else line


FILES = [
    *(f"{_RIGHT}{line}" for line in _lines(_LLMS)),
    *(f"{_SCRIPTED}functions: {{s: {{_type: web_search, {line}}}}}" for line in _lines(_SEARCHES)),
    *(
        f"{_SCRIPTED}function_groups: {{g: {{_type: mcp_client, server: {{{line}}}}}}}"
        for line in _lines(_SERVERS)
    ),
    *(
        f"{_SCRIPTED}general: {{front_end: {{_type: fastapi, {line}}}}}"
        for line in _lines(_FRONT_ENDS)
    ),
    *(f"{_SCRIPTED}{line}" for line in _lines(_OTHERS)),
]


@pytest.fixture(autouse=True)
def logging_stays_as_it_is() -> Iterator[None]:
    """Commands set up logging for the process that they are."""
    root, ours = logging.getLogger(), logging.getLogger("forebay")
    handlers, levels = root.handlers, (root.level, ours.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.getLogger("forebay.runs").disabled = False


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_no_secret_of_a_file_is_told(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "as-it-is.yml").write_text(text.replace("SECRET", _SECRET))
    (folder / "by-variable.yml").write_text(text.replace("SECRET", "${MY_KEY}"))
    (folder / ".env").write_text(f"MY_KEY={_SECRET}\n")
    for file, command in itertools.product(("as-it-is.yml", "by-variable.yml"), _COMMANDS):
        main([*command, "--config_file", file, "--workflow-runtime", "native"])
        _check_nothing_told(capsys, caplog)


def _check_nothing_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    printed = capsys.readouterr()
    told = printed.out + printed.err + caplog.text
    assert told
    assert _SECRET not in told


DATABASES = """
mysql://me:SECRET@127.0.0.1/x
postgresql://me:SECRET@127.0.0.1:9/x
postgresql+asyncpg://me:SECRET@127.0.0.1:9/x
postgresql://me:SECRET@127.0.0.1:9,127.0.0.1:8/x
postgresql://127.0.0.1:9/x?user=me&password=SECRET
postgresql://127.0.0.1:9/x?sslpassword=SECRET
postgresql://me:a/SECRET@127.0.0.1:9/x
postgresql://me:1/SECRET@127.0.0.1:9/x
postgresql://me:a#SECRET@127.0.0.1:9/x
postgresql://me:a?SECRET@127.0.0.1:9/x
postgresql://me:a@SECRET@127.0.0.1:9/x
postgresql://me:a%SECRET@127.0.0.1:9/x
postgresql://me:SECRET@127.0.0.1:SECRET/x
postgresql://me:SECRET@[127.0.0.1/x
mssql+pyodbc:///?odbc_connect=PWD%3DSECRET
"""


@pytest.mark.parametrize("url", DATABASES.split())
@pytest.mark.parametrize("variable", ["FOREBAY_DB_URL", "FOREBAY_DB_DIRECT_URL", ""])
def test_no_password_of_a_database_is_told(
    url: str,
    variable: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = url.replace("SECRET", _SECRET)
    if variable:
        monkeypatch.setenv(variable, url)
    else:
        text = f"{_SCRIPTED}general: {{front_end: {{_type: fastapi, db_url: '{url}'}}}}"
        (folder / "w.yml").write_text(text)
        monkeypatch.setenv("FOREBAY_CONFIG_FILE", "w.yml")
    for command in (("check",), ("check", "--json"), ("doctor", "--port", "0")):
        main(command)
        _check_nothing_told(capsys, caplog)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:SECRET@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:a%2FSECRET@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgresql://me:a#SECRET@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:SECRET@[::1]:5432/x", "postgresql://me:***@[::1]:5432/x"),
        ("postgresql://me:SECRET@a:1,b:2/x", "postgresql://me:***@a:1,b:2/x"),
        ("postgresql://me:SECRET@/x?host=/tmp", "postgresql://me:***@/x?host=/tmp"),
        ("postgresql:///x?host=/tmp", "postgresql:///x?host=/tmp"),
        ("postgresql://db?user=me@there", "postgresql://db?user=me@there"),
        ("postgresql://db/x?user=me@there", "postgresql://db/x?user=me@there"),
        ("postgresql://db/x?password=SECRET&user=me", "postgresql://db/x?password=***&user=me"),
    ],
)
def test_a_url_of_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    url = url.replace("SECRET", _SECRET)
    assert database(url).url == url
    assert database_name(Settings(db_url=url)) == shown


def test_no_secret_of_an_override_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "w.yml").write_text(_SCRIPTED)
    for key in ("llms.main.api_key", "llms.other.api_key", "general.front_end.port", "a..b", ""):
        for command in _COMMANDS:
            main([*command, "--config_file", "w.yml", "--override", key, _SECRET])
            _check_nothing_told(capsys, caplog)
