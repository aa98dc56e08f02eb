"""Prompts with places: `{name}` is filled in; a brace that is to stay one is written twice."""

import re
from collections.abc import Mapping

_BRACES = re.compile(r"\{\{|\}\}|\{(\w+)\}")


def filled(prompt: str, values: Mapping[str, str]) -> str:
    """The prompt with these values in their places. Other braces stay as they are."""

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return values.get(found[1], found[0])

    return _BRACES.sub(put, prompt)


def check_places(prompt: str, *names: str) -> str:
    """The prompt, if it has these places. Raises ValueError."""
    missing = [f"{{{name}}}" for name in names if f"{{{name}}}" not in prompt]
    if missing:
        raise ValueError(f"The prompt needs {' and '.join(missing)}, for what is known only later.")
    return prompt
