"""Questions of runs as people see them, and what they type as an answer."""

import json
from collections.abc import Sequence

from forebay.core.events import Prompt
from forebay.core.json import Json


def prompt_lines(prompt: Prompt) -> list[str]:
    """What is asked, and what may be answered."""
    lines = [prompt.text]
    for number, option in enumerate(prompt.options, 1):
        lines.append(f"  {number}  {option.label}  {option.description}".rstrip())
    if prompt.default is not None:
        lines.append(f"  without an answer in time: {json.dumps(prompt.default)}")
    return lines


def read_answer(prompt: Prompt, typed: str) -> Json:
    """What was typed, as a server takes it.

    An option is given by its id, value, label or number; for a checkbox, several with commas
    between them or as a JSON list.
    """
    chosen = _choice(prompt, typed)
    if prompt.kind != "checkbox" or chosen is not None:
        return typed if chosen is None else chosen
    return [each if (found := _choice(prompt, each)) is None else found for each in _parts(typed)]


def _choice(prompt: Prompt, typed: str) -> str | None:
    for option in prompt.options:
        if typed in (option.id, option.value):
            return typed
    for option in prompt.options:
        if typed.casefold() == option.label.casefold():
            return option.id
    if typed.isdecimal() and 1 <= int(typed) <= len(prompt.options):
        return prompt.options[int(typed) - 1].id
    return None


def _parts(typed: str) -> Sequence[str]:
    try:
        listed: Json = json.loads(typed)
    except ValueError:
        listed = None
    parts = listed if isinstance(listed, list) else typed.split(",")
    return [str(each).strip() for each in parts]
