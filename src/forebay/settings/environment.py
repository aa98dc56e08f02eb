"""The environment and `.env`: the only place that reads them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from forebay.core.errors import SettingError

DOTENV = Path(".env")

_PROVIDERS = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_VERSION"),
    *("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY", "NVIDIA_BASE_URL"),
    *("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_VERSION"),
    *("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "TAVILY_API_KEY", "SEARXNG_URL"),
)
_KEY = "_API_KEY"


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables from the environment, then those of `.env`."""

    variables: Mapping[str, str]
    dotenv: Mapping[str, str]

    def all(self) -> dict[str, str]:
        """Every variable there is."""
        return {**self.dotenv, **self.variables}

    def find(self, *names: str, in_files: bool = True) -> "Found | None":
        """The first of these variables that there is, or what the file holds that `…_FILE` names.

        Raises SettingError if that file cannot be read.
        """
        for variables, where in ((self.variables, "environment"), (self.dotenv, ".env")):
            for name in names:
                text = _lookup(name, variables, in_files=in_files)
                if text is not None:
                    return Found(name, text, where)
        return None


class Found(NamedTuple):
    """A variable, and where it was."""

    name: str
    text: str
    where: str


def read_environment(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = DOTENV
) -> Environment:
    """What there is now."""
    found = os.environ if environ is None else environ
    return Environment(found, _read_dotenv(dotenv) if dotenv else {})


def provider_environment(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = DOTENV
) -> Mapping[str, str]:
    """The keys and addresses of providers that stand in the environment or `.env`.

    Every `…_API_KEY`, and the addresses that providers' own clients read. Those that Forebay knows
    may be given as `…_FILE`. Raises SettingError if such a file cannot be read.
    """
    environment = read_environment(environ, dotenv)
    others = [name for name in environment.all() if name.endswith(_KEY)]
    found = {name: environment.find(name) for name in _PROVIDERS}
    # A file of a key that we do not know may be another program's.
    found |= {name: environment.find(name, in_files=False) for name in others if name not in found}
    return {name: each.text for name, each in found.items() if each is not None}


def _lookup(key: str, variables: Mapping[str, str], *, in_files: bool) -> str | None:
    if key in variables:
        return variables[key]
    path = variables.get(f"{key}_FILE") if in_files else None
    if path is None:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingError(f"{key}_FILE: {path} cannot be read: {error.strerror}.") from error


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("\"'")
    return found
