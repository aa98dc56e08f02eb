"""Where a model is, who runs it, and with which key it is called. A key is shown to nobody else."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from forebay.ports.models import Price

KeyHeader: TypeAlias = Literal["authorization", "api-key", "x-api-key"]

_HIDDEN = "[key]"
_LOOKS_LIKE_A_KEY = re.compile(
    r"\b(?:sk|pk|nvapi|gsk|xai|pplx|csk|fw|hf|tgp)[-_][\w*.-]{6,}|\bAIza[\w*-]{6,}"
    r"|(?i:bearer) [\w*.+/=-]{6,}|\S*\*{3,}\S*"
)
_KNOWN_PART = 8
"""So many characters of a key are enough to hide the word they are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One model at one provider."""

    name: str
    """The name it is configured under."""
    section: str
    """The place of its configuration, `llms.fast`; empty if it has none."""
    kind: str
    """The provider's name."""
    model: str
    """The provider's name for the model."""
    url: str
    """The base URL, without a slash at its end."""
    key: SecretStr | None = None
    key_variable: str | None = None
    needs_key: bool = False
    key_header: KeyHeader = "authorization"
    headers: Mapping[str, SecretStr] = field(default_factory=dict[str, SecretStr])
    plain_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: str = ""
    listing: str = ""
    """Where its provider lists what it has."""
    lists_models: bool = True
    """Whether models are listed there by the names they are called with."""
    timeout_seconds: float = 300.0
    retries: int = 2
    fallbacks: tuple[str, ...] = ()
    price: Price | None = None
    context_tokens: int | None = None

    @property
    def provider(self) -> str:
        """Whose it is and where."""
        return f"{self.kind} at {shown(self.url)}"

    @property
    def who(self) -> str:
        """The subject of every sentence about it."""
        named = "" if self.name == self.model else f"{self.model} of "
        return f"{self.name} ({named}{self.provider})"

    @property
    def key_advice(self) -> str:
        """How it gets a key."""
        config = f"api_key in {self.section}" if self.section else None
        return f"set {' or '.join(filter(None, (self.key_variable, config))) or 'an api_key'}"

    @property
    def place(self) -> str:
        """Where a person changes something about it."""
        return self.section or "its configuration"

    def address(self, path: str) -> str:
        """The URL of this path."""
        return f"{self.url}{path}{f'?{self.query}' if self.query else ''}"

    def credentials(self) -> dict[str, str]:
        """The headers that nobody else may see."""
        headers = dict(self.plain_headers)
        headers |= {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.key:
            prefix = "Bearer " if self.key_header == "authorization" else ""
            headers[self.key_header] = f"{prefix}{self.key.get_secret_value()}"
        return headers

    def scrub(self, text: str) -> str:
        """The text without anything that is a key of ours, or looks like one."""
        for secret in self._secrets():
            if len(secret) > _KNOWN_PART:
                begin = re.escape(secret[:_KNOWN_PART])
                text = re.sub(rf"{re.escape(secret)}|{begin}\S*", _HIDDEN, text, flags=re.I)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _HIDDEN, text)
        return _LOOKS_LIKE_A_KEY.sub(_HIDDEN, text)

    def _secrets(self) -> Iterator[str]:
        """Keys, passwords, and words of headers that have several, such as `Bearer KEY`."""
        values = [value.get_secret_value() for value in self.headers.values()]
        if self.key:
            values.append(self.key.get_secret_value())
        user = self.url.partition("://")[2].partition("/")[0].rpartition("@")[0]
        if user:
            values += [unquote(user.partition(":")[2]), b64encode(unquote(user).encode()).decode()]
        for value in filter(None, values):
            yield value
            yield from (word for word in value.split() if _KNOWN_PART < len(word) < len(value))


def shown(url: str) -> str:
    """A URL as people may see it: without a user, a password or a query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no URL"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
