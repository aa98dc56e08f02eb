"""Rows, and how they are shown: what was counted, the goal, and whether it was reached."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal, TypeAlias

from .measure import Figure

Durability: TypeAlias = Literal["none", "light", "durable"]
_PACKAGES = ("forebay", "uvicorn", "uvloop", "httptools", "apsw", "psycopg")


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for a row's figure, or for its ratio to the ceiling."""

    limit: float
    of: Literal["figure", "ratio"] = "figure"
    at_least: bool = False

    def reached_by(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    group: str
    name: str
    durability: Durability
    connections: int
    counted: str
    figure: Figure | None = None
    ratio: Figure | None = None
    goal: Goal | None = None
    frames: int | None = None
    """How many frames were received and counted, on rows that stream."""
    wall: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not available"
        if self.goal is None:
            return ""
        judged = self.ratio if self.goal.of == "ratio" else self.figure
        return "reached" if judged and self.goal.reached_by(judged.median) else "NOT REACHED"


def table(rows: Sequence[Row]) -> str:
    """Everything, for people."""
    heads = ("row", "durability", "conns", "median (low … high)", "ratio", "goal", "verdict")
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in rows):
        members = [row for row in rows if row.group == group]
        cells = [heads, *(_cells(row) for row in members)]
        widths = [max(len(each[column]) for each in cells) for column in range(len(heads))]
        lines.append("")
        lines.append(f"{group}: {members[0].counted}")
        for number, each in enumerate(cells):
            row = "  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True))
            lines.append(f"  {row.rstrip()}")
            if number:
                lines.extend(f"      {text}" for text in _below(members[number - 1]))
    return "\n".join(lines)


def as_json(rows: Sequence[Row], conditions: dict[str, object]) -> str:
    """Everything, for programs."""
    told = [{**asdict(row), "verdict": row.verdict} for row in rows]
    return json.dumps({"conditions": conditions, "rows": told}, indent=1, ensure_ascii=False)


def conditions(*, server_cores: Sequence[int], client_cores: Sequence[int]) -> dict[str, object]:
    """What the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "server_cores": list(server_cores),
        "client_cores": list(client_cores),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.durability,
        str(row.connections),
        _figure(row.figure) if row.figure else "-",
        _figure(row.ratio) if row.ratio else "",
        _goal(row.goal, row.figure) if row.goal else "",
        row.verdict,
    )


def _below(row: Row) -> list[str]:
    frames = f"{row.frames:,} frames counted" if row.frames is not None else ""
    told = " · ".join(text for text in (row.wall, frames, row.note) if text)
    return [told] if told else []


def _figure(figure: Figure) -> str:
    return (
        f"{_number(figure.median)} {figure.unit} ({_number(figure.low)} … {_number(figure.high)})"
    )


def _goal(goal: Goal, figure: Figure | None) -> str:
    unit = "x" if goal.of == "ratio" else figure.unit if figure else ""
    return f"{'≥' if goal.at_least else '≤'} {_number(goal.limit)} {unit}"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
