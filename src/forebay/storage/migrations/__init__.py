"""Numbered, forward-only schema changes, a file for each database: `0001_runs.sqlite.sql`."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal, TypeAlias

Engine: TypeAlias = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the schema."""

    number: int
    name: str
    sql: str


@lru_cache
def migrations(engine: Engine) -> tuple[Migration, ...]:
    """Every change there is for this engine, in order."""
    found: list[Migration] = []
    for file in files(__name__).iterdir():
        stem, _, rest = file.name.partition(".")
        if rest == f"{engine}.sql":
            number, _, name = stem.partition("_")
            found.append(Migration(int(number), name, file.read_text()))
    return tuple(sorted(found, key=lambda migration: migration.number))
