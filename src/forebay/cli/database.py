"""The commands that open the database themselves: migrate, backup, restore."""

import argparse
import asyncio
from pathlib import Path

from forebay.app.database import back_up
from forebay.app.database import migrate as migrate_database
from forebay.app.database import restore as restore_database
from forebay.core.clock import SystemClock
from forebay.core.json import Json
from forebay.settings import database, load

from .outcome import DONE
from .output import tell
from .parser import given


def migrate(arguments: argparse.Namespace) -> int:
    """Bring the schema up to date."""
    settings, _ = load(given(arguments))
    applied = asyncio.run(migrate_database(settings, SystemClock()))
    text = f"applied: {', '.join(applied)}" if applied else "the schema is up to date"
    if database(settings.db_url).engine == "sqlite":
        text += " (for SQLite, serve does this itself)"
    told: Json = {"applied": list[Json](applied)}
    tell(text, told, as_json=arguments.json)
    return DONE


def backup(arguments: argparse.Namespace) -> int:
    """Copy the database to a file."""
    settings, _ = load(given(arguments))
    file = Path(arguments.file).expanduser().absolute()
    size = back_up(settings, file, force=arguments.force)
    text = f"{file}: {size:,} bytes, checked. It contains no key: keep <database>.key beside it."
    told: Json = {"file": str(file), "bytes": size, "contains_key": False}
    tell(text, told, as_json=arguments.json)
    return DONE


def restore(arguments: argparse.Namespace) -> int:
    """Put a backup back."""
    settings, _ = load(given(arguments))
    file = Path(arguments.file).expanduser().absolute()
    kept = restore_database(settings, file, force=arguments.force)
    path = database(settings.db_url).path
    text = f"{path} is what {file} holds"
    if kept is not None:
        text += f"; what it was is in {kept}"
    told: Json = {"database": str(path), "kept": None if kept is None else str(kept)}
    tell(text, told, as_json=arguments.json)
    return DONE
