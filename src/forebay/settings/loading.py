"""Reading the settings: where each value comes from.

Command line > `FOREBAY_*` > variables of the systems whose users move here > `.env` > workflow
file > default.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args, get_type_hints
from urllib.parse import urlsplit

from forebay.core.errors import SettingError

from .checking import check
from .databases import without_password
from .environment import DOTENV, Environment, read_environment
from .values import Settings, Value, variable
from .workflow import FromFile, read_file, values_of

DEFAULT_SERVER = "http://127.0.0.1:8000"
"""Where the commands of a client look for a server."""

_PREFIX = "FOREBAY_"
_OF_THE_CLIENT = frozenset({"FOREBAY_SERVER", "FOREBAY_TOKEN"})


@dataclass(frozen=True, slots=True)
class Sourced:
    """A setting's value, and where it comes from."""

    name: str
    value: Value
    source: str
    doc: str
    secret: bool

    @property
    def shown(self) -> str:
        """The value as it may be printed."""
        if isinstance(self.value, tuple):
            values = map(_without_value, self.value) if self.secret else self.value
            return ", ".join(values)
        if self.secret and isinstance(self.value, str):
            return without_password(self.value)
        return str(self.value)


def _without_value(pair: str) -> str:
    return f"{pair.partition('=')[0]}=***"


class _Sources(NamedTuple):
    """Where values may come from, besides being the default."""

    given: Mapping[str, Value]
    environment: Environment
    file: Mapping[str, FromFile]


def load(
    given: Mapping[str, Value] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = DOTENV,
    is_strict: bool = True,
) -> tuple[Settings, list[Sourced]]:
    """Read the settings; `given` are those of the command line.

    Raises SettingError, and WorkflowError if the workflow file cannot be read. If that is not
    strict, only what is right in its `general.front_end` is taken.
    """
    environment = read_environment(environ, dotenv)
    _refuse_unknown(environment.all())
    sources = _Sources(given or {}, environment, {})
    named = {name: _find(name, sources).value for name in ("config_file", "overrides")}
    file = read_file(
        cast(str | None, named["config_file"]), cast(Any, named["overrides"]), environment
    )
    if file is not None:
        sources = sources._replace(file=values_of(file, is_strict=is_strict))
    found = [_find(name, sources) for name in _TYPES]
    settings = Settings(**cast(dict[str, Any], {each.name: each.value for each in found}))
    check(settings)
    return settings, found


@dataclass(frozen=True, slots=True)
class Remote:
    """The server that the commands of a client speak to."""

    server: str
    token: str | None


def remote(
    server: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = DOTENV,
) -> Remote:
    """Where that server is; `server` is the command line's. Raises SettingError."""
    environment = read_environment(environ, dotenv)

    def found(name: str) -> str | None:
        each = environment.find(name)
        return each.text if each else None

    url = server or found("FOREBAY_SERVER") or DEFAULT_SERVER
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingError(f"server={url!r}: a URL such as {DEFAULT_SERVER}.")
    return Remote(url, found("FOREBAY_TOKEN"))


_FIELDS = {field.name: field for field in fields(Settings)}
_TYPES: dict[str, Any] = get_type_hints(Settings)


def _find(name: str, sources: _Sources) -> Sourced:
    metadata = _FIELDS[name].metadata

    def sourced(value: Value, source: str) -> Sourced:
        return Sourced(name, value, source, metadata["doc"], metadata["secret"])

    if sources.given.get(name) is not None:
        return sourced(sources.given[name], "command line")
    # Of a setting that is the name of a file, the variable with `_FILE` would be another's.
    in_files = f"{name}_file" not in _TYPES
    found = sources.environment.find(variable(name), *metadata["aliases"], in_files=in_files)
    if found is not None:
        value = _read(found.name, found.text, _TYPES[name], metadata["separator"])
        return sourced(value, f"{found.name} ({found.where})")
    if name in sources.file:
        return sourced(sources.file[name].value, str(sources.file[name].place))
    return sourced(cast(Value, _FIELDS[name].default), "default")


def _read(key: str, text: str, kind: Any, separator: str) -> Value:
    if type(None) in get_args(kind):
        kind = get_args(kind)[0]
    if kind is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off", ""):
            return False
        raise SettingError(f"{key}={text!r}: true or false.")
    if kind in (int, float):
        try:
            return cast(type[int], kind)(text)
        except ValueError as error:
            raise SettingError(f"{key}={text!r}: a number.") from error
    if kind is str:
        return text
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _refuse_unknown(names: Iterable[str]) -> None:
    known = {variable(name) for name in _TYPES}
    for name in names:
        either = {name, name.removesuffix("_FILE")}
        if not name.startswith(_PREFIX) or either & known or either & _OF_THE_CLIENT:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SettingError(f"{name} is not a setting.{hint}")
