"""The checks: what must hold of every run, judged from outside by what clients and steps saw."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from .effects import Effect
from .logs import Outcome, difference, moods_of, outcome_of, text_of
from .stories import FINAL, Entry, Story
from .wire import Object

_STATUS = {"run.succeeded": "success", "run.failed": "failure", "run.interrupted": "interrupted"}
_DIVERGED = frozenset({"output.restarted", "journal.diverged", "code.changed"})
_MOODY = "moody"


class Kept(NamedTuple):
    """What the server shows of a run when all is quiet again."""

    run: Object
    log: Sequence[Entry]
    joined: str
    """Which run the same submission leads to, sent once more."""


def flaws(
    story: Story, kept: Kept, effects: Sequence[Effect], reference: Outcome | None
) -> Iterator[str]:
    """Everything that is wrong with a run that has ended."""
    yield from story.complaints
    yield from _views(story, kept.log)
    yield from _order(kept.log)
    yield from _shown(story, kept)
    yield from _steps(kept.log, effects)
    if reference is not None:
        yield from _outcome(story, kept.log, reference)
    else:
        yield from _cancelled(story, kept.log)


def _views(story: Story, log: Sequence[Entry]) -> Iterator[str]:
    for view in story.views:
        for complaint in view.complaints:
            yield f"follower {view.name}: {complaint}"
        if view.entries != list(log):
            pairs = enumerate(zip_longest(view.entries, log), 1)
            at = next(number for number, (seen, stands) in pairs if seen != stands)
            yield f"follower {view.name} saw another log than is kept, from entry {at} on"


def _order(log: Sequence[Entry]) -> Iterator[str]:
    """Whether attempts follow one another, and only the one under way writes."""
    attempt, is_under_way = 0, False
    for number, entry in enumerate(log, 1):
        if entry.number != number:
            yield f"entry {entry.number} is kept as number {number}"
        if (entry.type == "run.submitted") != (number == 1):
            yield f"entry {number} is {entry.type}"
        if (entry.type in FINAL) != (number == len(log)):
            yield f"entry {number} of {len(log)} is {entry.type}"
        if entry.type == "run.started":
            if is_under_way:
                yield f"entry {number} begins attempt {entry.attempt} beside attempt {attempt}"
            if entry.attempt != attempt + 1:
                yield f"entry {number} begins attempt {entry.attempt} after attempt {attempt}"
            attempt, is_under_way = entry.attempt, True
        elif entry.attempt and number > 1 and (entry.attempt != attempt or not is_under_way):
            yield f"entry {number} is by attempt {entry.attempt}, after attempt {attempt} was over"
        if entry.type in ("run.requeued", "run.waiting"):
            is_under_way = False


def _shown(story: Story, kept: Kept) -> Iterator[str]:
    last = kept.log[-1]
    if kept.joined != story.run:
        yield f"the same submission, sent once more, led to run {kept.joined}"
    if kept.run.get("status") != _STATUS.get(last.type):
        yield f"it is shown as {kept.run.get('status')}, and its log ends with {last.type}"
    if kept.run.get("events") != len(kept.log):
        yield f"it is shown with {kept.run.get('events')} events and has {len(kept.log)}"
    text = text_of(kept.log)
    if text is not None and last.type == "run.succeeded" and kept.run.get("output") != text:
        yield f"it is shown with the output {kept.run.get('output')!r}, and said {text!r}"


def _steps(log: Sequence[Entry], effects: Sequence[Effect]) -> Iterator[str]:
    """Whether each step ran at most once for each time it was begun, and never after its result."""
    names = {entry.step: str(entry.said["name"]) for entry in log if entry.type == "step.started"}
    begun: Counter[tuple[int, str]] = Counter()
    finished: dict[str, Entry] = {}
    for entry in log:
        if entry.type not in ("step.started", "step.finished"):
            continue
        name = names.get(entry.step, entry.step)
        if name in finished:
            yield f"step {name} has its result, and then entry {entry.number}, {entry.type}"
        if entry.type == "step.started":
            begun[entry.attempt, name] += 1
        else:
            finished.setdefault(name, entry)
    yield from _executions(Counter((each.attempt, each.name) for each in effects), begun, finished)
    yield from _keys(effects)


def _executions(
    executed: Counter[tuple[int, str]],
    begun: Counter[tuple[int, str]],
    finished: Mapping[str, Entry],
) -> Iterator[str]:
    for (attempt, name), times in sorted(executed.items()):
        if times > (most := begun[attempt, name]):
            yield f"step {name} ran {times} times in attempt {attempt}, and was begun {most} times"
        if name in finished and attempt > finished[name].attempt:
            yield f"step {name} ran in attempt {attempt}, after it had its result"
    for name, entry in finished.items():
        if not executed[entry.attempt, name]:
            yield f"step {name} has a result of attempt {entry.attempt}, and did not run in it"


def _keys(effects: Sequence[Effect]) -> Iterator[str]:
    keys: dict[str, set[str]] = {}
    for effect in effects:
        keys.setdefault(effect.name, set()).add(effect.key)
    for name, found in keys.items():
        if len(found) > 1:
            yield f"step {name} had several idempotency keys: {sorted(found)}"
    if len({key for found in keys.values() for key in found}) < len(keys):
        yield f"several steps had the same idempotency key: {keys}"


def _outcome(story: Story, log: Sequence[Entry], reference: Outcome) -> Iterator[str]:
    told = difference(outcome_of(log), reference)
    if told is not None:
        reason = log[-1].said.get("reason"), log[-1].said.get("message")
        yield f"it differs from the undisturbed run: {told} {reason if any(reason) else ''}"
    is_moody = story.plan.agent == _MOODY
    if is_moody and len(moods_of(log)) > 1:
        yield f"words of several attempts hold: {sorted(moods_of(log))}"
    diverged = [f"{entry.number} {entry.type}" for entry in log if entry.type in _DIVERGED]
    if diverged and not is_moody:
        yield f"an agent that says the same each time was found to differ: {diverged}"


def _cancelled(story: Story, log: Sequence[Entry]) -> Iterator[str]:
    was_asked = any(entry.type == "run.cancel_requested" for entry in log)
    if story.is_cancelled and not was_asked:
        yield "it was asked to end, which was acknowledged, and its log does not say so"
    last = log[-1]
    is_cancelled = last.type == "run.interrupted" and last.said.get("reason") == "cancelled"
    if last.type != "run.succeeded" and not (was_asked and is_cancelled):
        yield f"it ended with {last.said}"


def executions(effects: Mapping[str, Sequence[Effect]]) -> int:
    """How often steps were executed."""
    return sum(map(len, effects.values()))
