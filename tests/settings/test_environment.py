"""Keys and addresses of providers, and where they may stand."""

from pathlib import Path

import pytest

from forebay.core.errors import SettingError
from forebay.settings import provider_environment


def test_keys_and_addresses_of_providers_are_found(folder: Path) -> None:
    del folder
    environ = {
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": "http://there/v1",
        "AZURE_OPENAI_ENDPOINT": "https://mine.example",
        "SOME_NEW_API_KEY": "2",
        "HOME": "/root",
        "FOREBAY_PORT": "1",
    }
    assert provider_environment(environ) == {
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": "http://there/v1",
        "AZURE_OPENAI_ENDPOINT": "https://mine.example",
        "SOME_NEW_API_KEY": "2",
    }


def test_the_environment_comes_before_the_file(folder: Path) -> None:
    (folder / ".env").write_text("OPENAI_API_KEY=from-file\nTAVILY_API_KEY='tvly'\nOTHER=1\n")
    assert provider_environment({"OPENAI_API_KEY": "from-shell"}) == {
        "OPENAI_API_KEY": "from-shell",
        "TAVILY_API_KEY": "tvly",
    }


def test_a_key_may_stand_in_a_file_of_its_own(folder: Path) -> None:
    (folder / "key").write_text("sk-2\n")
    environ = {"OPENAI_API_KEY_FILE": str(folder / "key")}
    assert provider_environment(environ) == {"OPENAI_API_KEY": "sk-2"}


def test_a_file_of_a_key_that_is_missing_is_told(folder: Path) -> None:
    with pytest.raises(SettingError, match="NVIDIA_API_KEY_FILE"):
        provider_environment({"NVIDIA_API_KEY_FILE": str(folder / "nowhere")})


def test_a_file_of_a_key_of_another_program_is_not_read(folder: Path) -> None:
    assert provider_environment({"THEIR_API_KEY_FILE": str(folder / "nowhere")}) == {}
