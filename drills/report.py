"""The report: what was done to the product, what it did, and everything that did not hold."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .faults import KINDS, Fault
from .rounds import Round, Violation
from .stories import Story


@dataclass(frozen=True, slots=True)
class Told:
    """All rounds on one kind of database."""

    database: str
    rounds: Sequence[Round]
    seconds: float
    lacks: Sequence[str]
    """Kinds of faults that were left out, and why."""
    raised: Counter[str]
    """What stands under the tracebacks in the logs of processes."""

    @property
    def faults(self) -> list[Fault]:
        return [fault for each in self.rounds for fault in each.faults]

    @property
    def violations(self) -> list[Violation]:
        return [violation for each in self.rounds for violation in each.violations]


def table(told: Sequence[Told]) -> str:
    """Everything, for people."""
    raised = sum((each.raised for each in told), Counter[str]())
    below = [f"raised {count} times: {what}" for what, count in raised.most_common()]
    return "\n".join([_faults(told), "", _figures(told), *below])


def tracebacks(folder: Path) -> Counter[str]:
    """What the processes have raised and written into their logs, and how often."""
    found: Counter[str] = Counter()
    for log in folder.glob("*.log"):
        is_inside = False
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("Traceback ("):
                is_inside = True
            elif is_inside and line and not line.startswith(" "):
                found[line] += 1
                is_inside = False
    return found


def violation_line(violation: Violation, round_: Round, again: str, folder: Path) -> str:
    """A violation with all that is needed to look at it; its log is left in the folder."""
    story = violation.story
    if story is None:
        return f"VIOLATION [{round_.stage}] {violation.told} (again: {again})"
    file = folder / f"run-{story.run or story.key.replace('/', '-')}.json"
    file.write_text(_record(violation, round_))
    return (
        f"VIOLATION [{round_.stage}] run {story.run} ({story.plan.name}): {violation.told} "
        f"(log, effects and faults: {file}; again: {again})"
    )


# --- the tables ---------------------------------------------------------------------------------


def _faults(told: Sequence[Told]) -> str:
    rows = [["fault", *(each.database for each in told), "runs hit", "p50 s", "max s"]]
    for kind in KINDS:
        found = [fault for each in told for fault in each.faults if fault.kind == kind.name]
        recoveries = [seconds for fault in found for seconds in fault.recoveries]
        rows.append(
            [
                kind.name,
                *(str(_count(each, kind.name)) for each in told),
                str(sum(fault.hit for fault in found)),
                f"{median(recoveries):.2f}" if recoveries else "-",
                f"{max(recoveries):.2f}" if recoveries else "-",
            ]
        )
    rows.append(["all", *(str(len(each.faults)) for each in told), "", "", ""])
    lacks = [
        f"left out: {text}" for text in dict.fromkeys(text for each in told for text in each.lacks)
    ]
    head = (
        "Recovery: from the fault until the client of a run that it hit hears the next event of it."
    )
    return "\n".join([head, _aligned(rows), *lacks])


def _count(told: Told, kind: str) -> int:
    return sum(fault.kind == kind for fault in told.faults)


def _figures(told: Sequence[Told]) -> str:
    rows = [["", *(each.database for each in told)]]
    rows += [[name, *(count(each) for each in told)] for name, count in _FIGURES.items()]
    return _aligned(rows)


def _rounds(count: Callable[[Round], int]) -> Callable[[Told], str]:
    return lambda told: str(sum(map(count, told.rounds)))


def _stories(count: Callable[[Story], int]) -> Callable[[Told], str]:
    return _rounds(lambda one: sum(map(count, one.stories)))


def _longest_calm(told: Told) -> str:
    return f"{max((each.quiet - each.calm for each in told.rounds), default=0):.1f}"


_FIGURES: Mapping[str, Callable[[Told], str]] = {
    "seconds": lambda told: f"{told.seconds:.0f}",
    "rounds": _rounds(lambda _: 1),
    "runs": _stories(lambda _: 1),
    "attempts": _rounds(lambda one: one.attempts),
    "events": _rounds(lambda one: one.events),
    "steps with a result": _rounds(lambda one: one.steps),
    "steps begun": _rounds(lambda one: one.begun),
    "steps executed": _rounds(lambda one: one.executed),
    "submissions": _stories(lambda story: story.submissions),
    "answers sent": _stories(lambda story: story.answers_sent),
    "reconnections": _stories(lambda story: story.reconnects),
    "last run final after the last fault, max s": _longest_calm,
    "tracebacks in the logs of processes": lambda told: str(told.raised.total()),
    "violations": lambda told: str(len(told.violations)),
}


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _record(violation: Violation, round_: Round) -> str:
    story = violation.story
    assert story is not None, "its caller has looked"
    faults = [
        {
            "number": fault.number,
            "kind": fault.kind,
            "target": fault.target,
            "at": round(fault.at - round_.began, 3),
            "over": None if fault.over is None else round(fault.over - round_.began, 3),
        }
        for fault in round_.faults
    ]
    return json.dumps(
        {
            "run": story.run,
            "key": story.key,
            "body": story.body,
            "log": [entry.said for entry in violation.log],
            "views": {view.name: [entry.said for entry in view.entries] for view in story.views},
            "began": round_.began_at,
            "calm": round(round_.calm - round_.began, 3),
            "setbacks": {
                name: [(round(each.at - round_.began, 3), each.told) for each in setbacks]
                for name, setbacks in (
                    ("story", story.setbacks),
                    *((view.name, view.setbacks) for view in story.views),
                )
            },
            "effects": [effect._asdict() for effect in violation.effects],
            "faults": faults,
        },
        indent=1,
    )
