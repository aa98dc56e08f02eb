"""The catalogue of models: those that are configured, and which one answers when none is named."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from forebay.core.errors import ModelNotFound
from forebay.ports.models import Embedder, Model

_T = TypeVar("_T")
_MOST_MADE = 256
_EXAMPLE = "for instance openai/gpt-4.1-mini"


class ModelCatalogue:
    """The models and embedders of this server."""

    def __init__(
        self,
        models: Mapping[str, Model] | None = None,
        embedders: Mapping[str, Embedder] | None = None,
        *,
        default: str | None = None,
        make: Callable[[str], Model | None] = lambda name: None,
    ) -> None:
        """`make` makes a model of a name under which none is configured, if it can."""
        self.models = dict(models or {})
        self.embedders = dict(embedders or {})
        self._default = default
        self._make = make
        self._made: dict[str, Model] = {}

    def model(self, name: str | None) -> Model:
        """The model of this name; None: the default one. Raises ModelNotFound."""
        if name is None:
            name = self._default or _only(self.models)
        if name is None:
            raise ModelNotFound(
                "No model was named, and none is the default. "
                f"{_known(self.models)} Set FOREBAY_DEFAULT_MODEL, or name one, {_EXAMPLE}."
            )
        model = self.models.get(name) or self._made.get(name)
        if model is None:
            model = self._make(name)
            if model is None:
                raise ModelNotFound(
                    f"No model is called {name[:100]!r}. {_known(self.models)} "
                    f"Others are named by their provider, {_EXAMPLE}."
                )
            while len(self._made) >= _MOST_MADE:  # names may come from users
                del self._made[next(iter(self._made))]
            self._made[name] = model
        return model

    def embedder(self, name: str | None) -> Embedder:
        """The embedder of this name; None: the only one. Raises ModelNotFound."""
        wanted = name or _only(self.embedders)
        if wanted is None:
            raise ModelNotFound(f"Name an embedder. {_known(self.embedders)}")
        embedder = self.embedders.get(wanted)
        if embedder is None:
            raise ModelNotFound(f"No embedder is called {wanted[:100]!r}. {_known(self.embedders)}")
        return embedder


def _only(things: Mapping[str, _T]) -> str | None:
    return next(iter(things)) if len(things) == 1 else None


def _known(things: Mapping[str, _T]) -> str:
    return f"There are: {', '.join(sorted(things))}." if things else "None is configured."
