"""Hiding: what a NAT configuration keeps secret stays out of what its errors say."""

from collections.abc import Iterator
from types import TracebackType

import pydantic

from forebay.core.errors import ForebayError

_SHORTEST = 8  # what is shorter is a word like any other, and protects nothing


class Secrets:
    """The secret values of a configuration."""

    def __init__(self, config: pydantic.BaseModel) -> None:
        self._values = sorted(set(_secrets_in(config)), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, "***")
        return text

    def hidden(self) -> "_Hidden":
        """Within this, an error that tells a secret is replaced by one that does not."""
        return _Hidden(self)


class _Hidden:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        del kind, where
        if isinstance(error, Exception) and not isinstance(error, ForebayError):
            said = f"{type(error).__name__}: {error}"
            plain = self._secrets.hide(said)
            if plain != said:
                raise RuntimeError(plain) from None


def _secrets_in(value: object) -> Iterator[str]:
    match value:
        case pydantic.SecretStr():
            text = value.get_secret_value()
            if len(text) >= _SHORTEST:
                yield text
        case pydantic.BaseModel():
            yield from _secrets_in(vars(value))  # asking for a deprecated field would warn
            yield from _secrets_in(value.model_extra)
        case dict():
            for each in value.values():  # pyright: ignore[reportUnknownVariableType] -- of any kind
                yield from _secrets_in(each)  # pyright: ignore[reportUnknownArgumentType]
        case list() | tuple() | set():
            for each in value:  # pyright: ignore[reportUnknownVariableType] -- of any kind
                yield from _secrets_in(each)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            pass
