"""Watching providers: which of the configured models cannot be used now, for `/ready`.

Each is looked at when the server starts, without a call that costs anything; those that cannot be
used are looked at again until they can.
"""

import asyncio
from collections.abc import Sequence

from forebay.core.clock import Clock
from forebay.ports.models import Embedder, Model

_LOOK_SECONDS = 20.0


class ProviderWatch:
    """The problems of some models, from `start` to `aclose`."""

    def __init__(self, models: Sequence[Model | Embedder], clock: Clock) -> None:
        self._problems: dict[str, str] = {}
        self._models = models
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None

    @property
    def problems(self) -> Sequence[str]:
        """One sentence for each model that cannot be used."""
        return list(self._problems.values())

    def start(self) -> None:
        """Begin to look."""
        if self._models:
            self._looking = asyncio.create_task(self._look(), name="provider-watch")

    async def aclose(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        wanted = self._models
        while wanted:
            told = await asyncio.gather(*map(_problem_of, wanted), return_exceptions=True)
            for model, problem in zip(wanted, told, strict=True):
                self._note(model.name, problem)
            await self._clock.sleep(_LOOK_SECONDS)
            wanted = [model for model in self._models if model.name in self._problems]

    def _note(self, name: str, problem: str | BaseException | None) -> None:
        if problem is None:
            self._problems.pop(name, None)
        elif isinstance(problem, str):
            self._problems[name] = problem
        else:  # what others have written may raise anything
            self._problems[name] = f"{name} cannot be looked at: {type(problem).__name__}."


async def _problem_of(model: Model | Embedder) -> str | None:
    findings = await model.validate(dry_call=False)
    return next((finding.message for finding in findings if not finding.is_ok), None)
