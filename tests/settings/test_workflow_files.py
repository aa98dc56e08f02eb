"""Workflow files as a source of settings."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from forebay.core.errors import SettingError, WorkflowError
from forebay.settings import Settings, Sourced, Value, load, workflow_file

FRONT_END = """
general:
  front_end:
    _type: aiq_api
    host: 0.0.0.0
    port: ${PORT:-9000}
    workers: 2
    db_url: sqlite+aiosqlite:///./theirs.db
    expiry_seconds: 7200
    max_running_async_jobs: 4
    cors: {allow_origins: ["http://ui.example"]}
"""


def loaded(
    given: Mapping[str, Value] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, Sourced]]:
    settings, found = load(given, environ=environ or {})
    return settings, {each.name: each for each in found}


def test_a_front_end_is_a_source_of_settings(folder: Path) -> None:
    (folder / "w.yml").write_text(FRONT_END)
    settings, found = loaded({"config_file": "w.yml"})
    assert settings.host == "0.0.0.0"
    assert settings.port == 9000
    assert settings.workers == 2
    assert settings.db_url == "sqlite+aiosqlite:///./theirs.db"
    assert settings.expiry_seconds == 7200
    assert settings.concurrency == 4
    assert settings.cors_origins == ("http://ui.example",)
    sources = {name: found[name].source for name in ("host", "port", "cors_origins", "dev")}
    assert sources == {
        "host": "w.yml:5",
        "port": "w.yml:6",
        "cors_origins": "w.yml:11",
        "dev": "default",
    }


def test_every_other_source_comes_before_it(folder: Path) -> None:
    (folder / "w.yml").write_text(FRONT_END)
    (folder / ".env").write_text("FOREBAY_WORKERS=3\nPORT=9001\n")
    environ = {"FOREBAY_CONFIG_FILE": "w.yml", "NAT_JOB_STORE_DB_URL": "ours.db"}
    settings, found = loaded({"host": "::1"}, environ)
    assert (settings.host, settings.workers, settings.db_url) == ("::1", 3, "ours.db")
    assert settings.port == 9001
    assert found["config_file"].source == "FOREBAY_CONFIG_FILE (environment)"


def test_the_variable_of_nat_names_a_file_too(folder: Path) -> None:
    (folder / "w.yml").write_text(FRONT_END)
    settings, found = loaded(environ={"NAT_CONFIG_FILE": "w.yml"})
    assert settings.port == 9000
    assert found["config_file"].source == "NAT_CONFIG_FILE (environment)"


def test_overrides_are_put_into_the_file(folder: Path) -> None:
    (folder / "w.yml").write_text(FRONT_END)
    overrides = ("general.front_end.port=9100", "llms.main._type=a=b")
    settings, found = loaded({"config_file": "w.yml", "overrides": overrides})
    assert (settings.port, found["port"].source) == (9100, "--override")
    file = workflow_file(settings, environ={})
    assert file is not None
    assert file.data["llms"] == {"main": {"_type": "a=b"}}


def test_overrides_stand_in_a_variable_one_a_line(folder: Path) -> None:
    (folder / "w.yml").write_text("general: {}")
    text = 'general.front_end.cors.allow_origins=["http://a", "http://b"]\ngeneral.front_end.port=1'
    environ = {"FOREBAY_CONFIG_FILE": "w.yml", "FOREBAY_OVERRIDES": text}
    settings, _ = loaded(environ=environ)
    assert (settings.cors_origins, settings.port) == (("http://a", "http://b"), 1)


def test_the_values_of_overrides_are_not_shown(folder: Path) -> None:
    (folder / "w.yml").write_text("llms: {main: {_type: openai}}")
    overrides = ("llms.main.api_key=hush", "llms.main.seed=1")
    _, found = loaded({"config_file": "w.yml", "overrides": overrides})
    assert found["overrides"].shown == "llms.main.api_key=***, llms.main.seed=***"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"overrides": ("a.b=1",)}, "--config_file"),
        ({"config_file": "w.yml", "overrides": ("a.b",)}, "KEY=VALUE"),
    ],
)
def test_overrides_that_mean_nothing_are_refused(
    folder: Path, given: Mapping[str, Value], told: str
) -> None:
    (folder / "w.yml").write_text("general: {}")
    with pytest.raises(SettingError, match=told):
        loaded(given)


def test_a_front_end_that_is_wrong_is_refused(folder: Path) -> None:
    (folder / "w.yml").write_text("general:\n  front_end:\n    prot: 1\n    workers: 0\n")
    with pytest.raises(WorkflowError) as raised:
        loaded({"config_file": "w.yml"})
    assert len(raised.value.problems) == 2


def test_who_looks_at_all_of_it_later_may_read_it_all_the_same(folder: Path) -> None:
    (folder / "w.yml").write_text("general:\n  front_end:\n    prot: 1\n")
    settings, _ = load({"config_file": "w.yml"}, environ={}, is_strict=False)
    assert settings.port == 8000


def test_a_value_that_no_setting_takes_is_refused(folder: Path) -> None:
    (folder / "w.yml").write_text("general: {front_end: {db_url: 'mysql://x'}}")
    with pytest.raises(SettingError, match="db_url"):
        loaded({"config_file": "w.yml"})


def test_without_a_file_there_is_none(folder: Path) -> None:
    del folder
    assert workflow_file(Settings(), environ={}) is None


def test_the_profile_may_stand_in_a_file_that_is_a_setting_itself(folder: Path) -> None:
    del folder
    settings, _ = loaded(environ={"FOREBAY_RUNTIME_PROFILE_FILE": "/nowhere"})
    assert (settings.runtime_profile, settings.runtime_profile_file) == ("online", "/nowhere")


@pytest.mark.parametrize("name", ["workflow_runtime", "runtime_profile", "log_level"])
def test_a_word_that_is_no_choice_is_refused(folder: Path, name: str) -> None:
    del folder
    with pytest.raises(SettingError, match=f"{name}='other': one of "):
        loaded({name: "other"})


def test_a_regular_expression_that_is_none_is_refused(folder: Path) -> None:
    (folder / "w.yml").write_text("general: {front_end: {cors: {allow_origin_regex: '('}}}")
    with pytest.raises(SettingError, match="cors_origin_regex="):
        loaded({"config_file": "w.yml"})


def test_lists_are_separated_by_commas(folder: Path) -> None:
    del folder
    environ = {"FOREBAY_IMPORTS": "one, two.three", "FOREBAY_OUTBOUND_ALLOWED_HOSTS": "a,b:1"}
    settings, _ = loaded(environ=environ)
    assert settings.imports == ("one", "two.three")
    assert settings.outbound_allowed_hosts == ("a", "b:1")
