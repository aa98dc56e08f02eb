"""ReAct as text: how a reply with thoughts, actions and a final answer is read.

Models write it in many shapes. What can be understood in one way only is understood.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from forebay.core.json import Json

OBSERVATION = "Observation:"

_COLON = "[:\uff1a]"  # some models write the wide one
_LABEL = re.compile(
    # At the beginning of a line in any case and decorated, else after something as it is written.
    r"(?:^(?P<before>[ \t>#*_`-]*)"
    r"(?P<first>(?i:thought|action[ \t]*\d*[ \t]*input|action|input|observation|final[ \t]+answer))"
    r"|(?<=[ \t.!?)\]}])(?P<between>[*_`]*)(?P<later>Action[ \t]*\d*[ \t]*Input|Action|Input"
    r"|Final[ \t]+Answer))"
    rf"[ \t]*\d*[ \t]*(?P<closed>[*_`]*)[ \t]*{_COLON}",
    re.MULTILINE,
)
_HEADING = re.compile(
    r"^[ \t>-]*(?:#+[ \t]*[*_]*|[*_]{2,3})(?i:final[ \t]+answer)[*_]*[ \t]*\n", re.MULTILINE
)
_REST_OF_FINAL = re.compile(rf"(?i:inal[ \t]+answer)[ \t]*\d*[ \t]*[*_`]*[ \t]*(?:{_COLON}|\n)")
_THINKS = re.compile(r"\s*<(think|thinking)>")
_CALL = re.compile(r"([\w.-]+)[ \t]*(?:\((.*)\)|\[(.*)\])", re.DOTALL)
_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)\s*```", re.DOTALL)
_NO_ACTION = ("none", "no action", "n/a", "nothing")
_EDGES = " \t\r\n`'\"*_[](){}<>.:,;"
_FORM = (
    "Write `Action:` with the name of a tool and `Action Input:` with its input to use a tool, "
    "or `Final Answer:` with the answer."
)


class Action(NamedTuple):
    """The model wants a tool called."""

    tool: str
    input: str
    text: str
    """What it wrote, up to the end of that."""


class Final(NamedTuple):
    """The model has answered."""

    text: str
    is_marked: bool
    """Whether `answer_start` has found it."""


class Unclear(Exception):
    """The reply is neither: the message tells the model what to write."""


class _Label(NamedTuple):
    kind: str
    start: int
    end: int
    opened: str
    """Decoration that is still to be closed after the colon."""
    begins_line: bool


def parse(text: str) -> Action | Final:
    """What a reply means. Raises Unclear."""
    start = answer_start(text)
    if start is not None:
        return Final(text[start:].strip(), is_marked=True)
    body = _without_thinking(text)
    labels = list(_labels(body))
    found = _action(body, labels) or _structured(body)
    if found is not None:
        is_answer = _plain(found.tool) == "final answer"
        return Final(found.input.strip(), is_marked=False) if is_answer else found
    if not body.strip():
        raise Unclear(f"There is no text. {_FORM}")
    if any(label.kind == "final" for label in labels):
        raise Unclear(f"The final answer is empty. {_FORM}")
    if labels:
        raise Unclear(f"There is neither an action nor a final answer. {_FORM}")
    return Final(body.strip(), is_marked=False)


def answer_start(text: str) -> int | None:
    """Where the final answer begins, as soon as that is certain: more text does not change it."""
    if not _may_answer(text):
        return None
    thinks = _THINKS.match(text)
    begin = 0
    if thinks is not None:
        begin = text.find(f"</{thinks[1]}>")
        if begin < 0:
            return None
    has_action = False
    labels = list(_labels(text, begin))
    for at, label in enumerate(labels):
        if label.kind == "final":
            return _behind(text, label)
        if label.kind in ("input", "observation") and has_action:
            return None  # whatever comes now is what the model imagines to come back
        if label.kind == "action":
            end = labels[at + 1].start if at + 1 < len(labels) else len(text)
            has_action = not _is_no_action(text[label.end : end])
    return None


def _may_answer(text: str) -> bool:
    # This is asked with each piece of a long reply, and reading all labels each time is too slow.
    for word in ("inal", "INAL"):
        at = text.find(word)
        while at >= 0:
            if _REST_OF_FINAL.match(text, at):
                return True
            at = text.find(word, at + 1)
    return False


# --- labels -------------------------------------------------------------------------------------


def _labels(text: str, begin: int = 0) -> Iterator[_Label]:
    heading = _HEADING.search(text, begin)
    for found in _LABEL.finditer(text, begin):
        if heading is not None and heading.start() < found.start():
            yield _Label("final", heading.start(), heading.end(), "", begins_line=True)
            heading = None
        begins_line = found["first"] is not None
        opened = _decoration(found["before"] if begins_line else found["between"])
        is_open = bool(opened) and not found["closed"]
        kind = _kind(found["first"] or found["later"])
        yield _Label(kind, found.start(), found.end(), opened if is_open else "", begins_line)
    if heading is not None:
        yield _Label("final", heading.start(), heading.end(), "", begins_line=True)


def _kind(word: str) -> str:
    word = word.lower()
    return "input" if word.endswith("input") else word.split()[0]


def _decoration(before: str) -> str:
    return before[len(before.rstrip("*_`")) :]


def _behind(text: str, label: _Label) -> int | None:
    """Where the text behind a label begins, if it has begun."""
    at = label.end
    if label.opened:
        if text.startswith(label.opened, at):
            at += len(label.opened)
        elif label.opened.startswith(text[at:]):
            return None  # perhaps the rest of it is still to come
    while at < len(text) and text[at].isspace():
        at += 1
    return at if at < len(text) else None


# --- actions ------------------------------------------------------------------------------------


def _action(text: str, labels: Sequence[_Label]) -> Action | None:
    for at, label in enumerate(labels):
        following = labels[at + 1] if at + 1 < len(labels) else None
        end = following.start if following is not None else len(text)
        if label.kind != "action" or _is_no_action(text[label.end : end]):
            continue
        if following is not None and following.kind == "input":
            return _with_input(
                text, _plain_name(text[label.end : end]), following, labels[at + 2 :]
            )
        return _without_input(text, label.end, end)
    return None


def _with_input(text: str, name: str, label: _Label, after: Sequence[_Label]) -> Action:
    begin = label.end
    if label.opened and text.startswith(label.opened, begin):
        begin += len(label.opened)
    # Words in the middle of a line, and `Input:`, may well be a part of it.
    ends = (each.start for each in after if each.begins_line and each.kind != "input")
    end = _end_of_json(text, begin) or next(ends, len(text))
    return Action(name, text[begin:end].strip(), text[:end].rstrip())


def _without_input(text: str, begin: int, end: int) -> Action:
    """The input may stand in the next line, or in brackets behind the name."""
    segment = text[begin:end].strip("*_` \t\r\n")
    line, _, rest = segment.partition("\n")
    called = _CALL.fullmatch(segment.rstrip(" \t\r\n.`"))
    if called is not None:
        return Action(called[1], (called[2] or called[3] or "").strip(), text[:end].rstrip())
    is_input = rest.strip().startswith(("{", "[", "```"))
    return Action(_plain_name(line), rest.strip() if is_input else "", text[:end].rstrip())


def _structured(text: str) -> Action | None:
    """An action as an object with `action` and `action_input`."""
    fenced = _FENCE.search(text)
    written = (fenced[1] if fenced is not None else text).strip()
    end = _end_of_json(written, 0)
    if end is None:
        return None
    value: Json = json.loads(written[:end], strict=False)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or not isinstance(name := value.get("action"), str):
        return None
    given = value.get("action_input", "")
    return Action(name, given if isinstance(given, str) else json.dumps(given), text.rstrip())


def _end_of_json(text: str, begin: int) -> int | None:
    while begin < len(text) and text[begin].isspace():
        begin += 1
    if not text.startswith(("{", "["), begin):
        return None
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, begin)[1]
    except (ValueError, RecursionError):
        return None


def _without_thinking(text: str) -> str:
    thinks = _THINKS.match(text)
    if thinks is None:
        return text.rpartition("</think>")[2]  # the other half may stand in the prompt
    return text.partition(f"</{thinks[1]}>")[2]


def _is_no_action(segment: str) -> bool:
    return _plain(segment).startswith(_NO_ACTION)


def _plain_name(segment: str) -> str:
    lines = segment.strip().splitlines() or [""]
    return lines[0].strip(_EDGES)


def _plain(name: str) -> str:
    return " ".join(name.strip(_EDGES).lower().split())
