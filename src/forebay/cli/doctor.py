"""`forebay doctor`: one line for each thing that could keep a server from working."""

import argparse
import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from forebay.app.catalogue import load_catalogue
from forebay.app.database import look_at_database, sqlite_version
from forebay.core.clock import SystemClock
from forebay.core.errors import ForebayError, WorkflowError
from forebay.core.json import Json
from forebay.settings import Settings, database, database_name, load

from .banner import warnings_of
from .listen import listen, url_of
from .outcome import DONE, FAILED, Refusal
from .output import tell
from .parser import given
from .workflow import name_of

_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 51, 3)
_SPARE_DISK_BYTES = 256 * 2**20
_DATABASE_SECONDS = 10.0
_ANSWER_SECONDS = 1.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    state: Literal["ok", "warning", "wrong"]
    about: str
    message: str


def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything; tells whether something is wrong."""
    settings, _ = load(given(arguments), is_strict=False)  # it is told below what is wrong
    findings = list(_examine(settings))
    text = "\n".join(f"{each.state:<8} {each.about}: {each.message}" for each in findings)
    told: Json = [each._asdict() for each in findings]
    tell(text, told, as_json=arguments.json)
    return FAILED if any(each.state == "wrong" for each in findings) else DONE


def _examine(settings: Settings) -> Iterator[Finding]:
    yield _version("Python", sys.version_info[:3], _OLDEST_PYTHON, platform.python_version())
    sqlite = sqlite_version()
    yield _version("SQLite", tuple(map(int, sqlite.split("."))), _OLDEST_SQLITE, sqlite)
    yield asyncio.run(_database(settings))
    path = database(settings.db_url).path
    if path is not None:
        yield from _file(path)
    yield _port(settings)
    yield from _agents(settings)
    for warning in warnings_of(settings):
        yield Finding("warning", "address", warning)


def _version(name: str, found: tuple[int, ...], oldest: tuple[int, ...], shown: str) -> Finding:
    if found >= oldest:
        return Finding("ok", name, shown)
    return Finding("wrong", name, f"{shown} is older than {'.'.join(map(str, oldest))}")


async def _database(settings: Settings) -> Finding:
    name = database_name(settings)
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            state = await look_at_database(settings, SystemClock())
    except ForebayError as error:
        return Finding("wrong", "database", error.message)
    except TimeoutError:
        return Finding("wrong", "database", f"{name} does not answer")
    return Finding("ok", "database", f"{name}: {state}")


def _file(path: Path) -> Iterator[Finding]:
    folder = next(each for each in path.parents if each.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("wrong", "folder", f"{folder} cannot be written to by this user")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        yield Finding("wrong", "permissions", f"{path} cannot be read and written by this user")
    elif path.exists() and path.stat().st_mode & 0o022:
        yield Finding("warning", "permissions", f"{path} can be written by other users")
    free = shutil.disk_usage(folder).free
    state = "ok" if free >= _SPARE_DISK_BYTES else "wrong"
    yield Finding(state, "disk", f"{free / 2**30:.1f} GiB free in {folder}")


def _port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        listening = listen(settings.host, settings.port)
    except Refusal as refusal:
        if asyncio.run(_is_forebay(settings)):
            return Finding("ok", "port", f"a Forebay server runs on {where}")
        return Finding("wrong", "port", refusal.message)
    for each in listening.sockets:
        each.close()
    return Finding("ok", "port", f"{where} is free")


async def _is_forebay(settings: Settings) -> bool:
    from forebay.client import AsyncClient, ClientError

    try:
        async with (
            asyncio.timeout(_ANSWER_SECONDS),
            AsyncClient(url_of(settings.host, settings.port), patience_seconds=0) as client,
        ):
            await client.agents()
    except (ClientError, TimeoutError):
        return False
    return True


def _agents(settings: Settings) -> Iterator[Finding]:
    try:
        catalogue = load_catalogue(settings, SystemClock())
    except WorkflowError as error:
        for line in error.message.splitlines():
            yield Finding("wrong", "workflow", line)
        return
    except ForebayError as error:
        yield Finding("wrong", "agents", error.message)
        return
    yield Finding("ok", "agents", catalogue.agents.names)
    described = catalogue.described
    if described is not None:
        yield Finding("ok", "workflow", name_of(described))
        for key in described.unused:
            yield Finding("warning", "workflow", f"{key} has no effect here")
