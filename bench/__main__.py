"""`python -m bench [--quick] [--only NAME …] [--json FILE]`: measure, and print the verdicts."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .report import Row, as_json, conditions, table
from .rows import GROUPS
from .servers import client_cores, raise_file_limit, server_cores
from .stage import FULL, QUICK, stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for."""
    asked = _parser().parse_args(arguments)
    raise_file_limit()
    told = conditions(server_cores=server_cores(), client_cores=client_cores())
    started = time.perf_counter()
    rows: list[Row] = []
    print(_head(told), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="forebay-bench-", ignore_cleanup_errors=True) as folder,
        stage(QUICK if asked.quick else FULL, Path(folder)) as on_stage,
    ):
        for name in asked.only or GROUPS:
            found = GROUPS[name](on_stage)
            print(table(found), flush=True)
            rows += found
    told["seconds"] = round(time.perf_counter() - started, 1)
    told["quick"] = asked.quick
    print(f"\n{_reached(rows)} ({told['seconds']} s)")
    if asked.json:
        asked.json.write_text(as_json(rows, told) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--only", nargs="+", choices=list(GROUPS), metavar="NAME", help=", ".join(GROUPS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here too")
    return parser


def _head(told: dict[str, object]) -> str:
    cores = (
        f"servers on core {told['server_cores']}, client on core {told['client_cores']}"
        if told["server_cores"]
        else "processes not kept on cores"
    )
    return (
        f"{told['system']}, {told['cores']} cores ({cores}), Python {told['python']}, "
        f"load {told['load_before']} before\n"
        "The client's process is never counted. Ratios are medians of the rounds, each against "
        "the ceiling of its own round."
    )


def _reached(rows: Sequence[Row]) -> str:
    judged = [row for row in rows if row.goal is not None]
    missed = [f"{row.group}: {row.name}" for row in judged if row.verdict != "reached"]
    told = f"{len(judged) - len(missed)} of {len(judged)} goals reached"
    return f"{told}; not: {'; '.join(missed)}" if missed else told


if __name__ == "__main__":
    sys.exit(main())
