"""What commands print: text for people, or JSON."""

import json
import sys
from collections.abc import Sequence

from forebay.core.json import Json


def tell(text: str, value: Json, *, as_json: bool) -> None:
    """Print a result, in one of its two forms."""
    print(json.dumps(value, ensure_ascii=False) if as_json else text)


def complain(message: str, code: str, *, as_json: bool, problems: Sequence[str] = ()) -> None:
    """Print what went wrong, in one line; or in one for each of several problems."""
    lines = [" ".join(each.split()) for each in problems or [message]]
    if as_json:
        error: dict[str, Json] = {"code": code, "message": " ".join(lines)}
        if problems:
            error["problems"] = list[Json](lines)
        print(json.dumps({"error": error}, ensure_ascii=False), file=sys.stderr)
        return
    for line in lines:
        print(f"forebay: {line}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, as narrow as they can be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
