"""What a log adds up to, worked out a second time: nothing of the product's own folds is used."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from .stories import Entry

Said: TypeAlias = tuple[str, str]
"""An emission: its type, and its fields without those of every entry."""

_Name = TypeVar("_Name", str, str | None)

_EMISSIONS = frozenset(
    {
        "output.chunk", "output.value", "output.written", "model.started", "model.chunk",
        "model.finished", "tool.started", "tool.finished", "todos.updated", "file.written",
        "source.found", "source.cited",
    }
)  # fmt: skip
_OF_EVERY_ENTRY = frozenset({"number", "attempt", "time", "type"})
_MOOD = re.compile(r"@\d+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What holds of a run's log, whichever attempts it took, and in which order branches came."""

    ended: str
    said: Mapping[str | None, Sequence[Said]]
    """What was said in each scope, and not voided."""
    results: Mapping[str, str]
    """The results of steps."""
    answers: Mapping[str, str]


def outcome_of(log: Sequence[Entry]) -> Outcome:
    """What this log adds up to."""
    drawn = {str(entry.said["value"]): str(entry.said["kind"]) for entry in _of(log, "value.drawn")}
    said: dict[str | None, list[Said]] = {}
    for entry in unvoided(log):
        said.setdefault(entry.within, []).append((entry.type, _plain(entry, drawn)))
    return Outcome(
        log[-1].type,
        said,
        {entry.step: _text(entry.said.get("result"), drawn) for entry in _of(log, "step.finished")},
        {
            str(entry.said["question"]): _text(entry.said["answer"], drawn)
            for entry in _of(log, "question.answered")
        },
    )


def unvoided(log: Sequence[Entry]) -> list[Entry]:
    """What the agent said, without what was taken back."""
    outer: dict[str, str | None] = {}
    kept: list[Entry] = []
    for entry in log:
        if entry.type in _EMISSIONS:
            kept.append(entry)
        elif entry.type == "step.started":
            outer[entry.step] = entry.within
        elif entry.type == "step.restarted":
            kept = [each for each in kept if not _is_inside(each.within, entry.step, outer)]
        elif entry.type == "output.restarted":
            after, within = entry.said.get("after"), entry.within
            assert isinstance(after, int), "as it is documented"
            kept = [each for each in kept if each.number <= after or each.within != within]
    return kept


def text_of(log: Sequence[Entry]) -> str | None:
    """The answer's text; None if the agent has said values too."""
    kept = unvoided(log)
    if any(entry.type == "output.value" for entry in kept):
        return None
    return "".join(str(entry.said["text"]) for entry in kept if entry.type == "output.chunk")


def moods_of(log: Sequence[Entry]) -> set[str]:
    """The attempts whose words hold, of an agent that says in each which one it is."""
    return set(_MOOD.findall(text_of(log) or ""))


def difference(found: Outcome, expected: Outcome) -> str | None:
    """What is not as it should be, if anything."""
    if found.ended != expected.ended:
        return f"it ended with {found.ended}, not with {expected.ended}"
    return (
        _different("said in scope", found.said, expected.said)
        or _different("result of step", found.results, expected.results)
        or _different("answer to", found.answers, expected.answers)
    )


def _different(
    what: str, found: Mapping[_Name, object], expected: Mapping[_Name, object]
) -> str | None:
    for name in sorted({*found, *expected}, key=str):
        if found.get(name) != expected.get(name):
            return f"{what} {name}: {found.get(name)!r} instead of {expected.get(name)!r}"
    return None


def _is_inside(within: str | None, step: str, outer: Mapping[str, str | None]) -> bool:
    while within is not None and within != step:
        within = outer[within] if within in outer else within.rpartition(".")[0] or None
    return within == step


def _of(log: Sequence[Entry], kind: str) -> list[Entry]:
    return [entry for entry in log if entry.type == kind]


def _plain(entry: Entry, drawn: Mapping[str, str]) -> str:
    fields = {name: value for name, value in entry.said.items() if name not in _OF_EVERY_ENTRY}
    return _text(fields, drawn)


def _text(value: object, drawn: Mapping[str, str]) -> str:
    text = json.dumps(value, sort_keys=True)
    for each, kind in drawn.items():
        text = text.replace(each, f"<{kind}>")
    return _MOOD.sub("@", text)
