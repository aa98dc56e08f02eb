"""Masking: what is secret in a configuration does not come back out in what a server says."""

import re
from collections.abc import Sequence

from forebay.core.json import Json

_SHOWN = "***"


class Mask:
    """Puts `***` where one of these values stands."""

    def __init__(self, secrets: Sequence[str]) -> None:
        longest_first = sorted(set(secrets), key=len, reverse=True)
        either = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(either, re.IGNORECASE) if secrets else None

    def text(self, text: str) -> str:
        """A text without them."""
        return text if self._pattern is None else self._pattern.sub(_SHOWN, text)

    def json(self, value: Json) -> Json:
        """A value without them, in any of its texts and keys."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.json(item) for key, item in value.items()}
        return value
