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
        self._problems: dict[int, str] = {}
        """By the place of the model: an embedder may have the name of another model."""
        self._models = models
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None

    @property
    def problems(self) -> Sequence[str]:
        """One sentence for each model that cannot be used."""
        return [self._problems[number] for number in sorted(self._problems)]

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
        wanted = range(len(self._models))
        while wanted:
            await asyncio.gather(*map(self._look_at, wanted))
            await self._clock.sleep(_LOOK_SECONDS)
            wanted = sorted(self._problems)

    async def _look_at(self, number: int) -> None:
        model = self._models[number]
        [problem] = await asyncio.gather(_problem_of(model), return_exceptions=True)
        if problem is None:
            self._problems.pop(number, None)
        elif isinstance(problem, str):
            self._problems[number] = problem
        else:  # what others have written may raise anything
            name = type(problem).__name__
            self._problems[number] = f"{model.name} cannot be looked at: {name}."


async def _problem_of(model: Model | Embedder) -> str | None:
    findings = await model.validate(dry_call=False)
    return next((finding.message for finding in findings if not finding.is_ok), None)
