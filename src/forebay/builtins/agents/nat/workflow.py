"""NatWorkflow: a workflow file that NAT runs, as agents. NAT is loaded when the first one needs it.

A process whose interpreter lacks NAT knows the agents all the same: others execute their runs.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from forebay.authoring import FunctionAgent
from forebay.core.clock import Clock
from forebay.core.errors import StartError, WorkflowError
from forebay.core.json import Json
from forebay.ports.agent import Agent, BlockingContext, Context

from .entries import Entry, entries_of
from .loading import BuildError, is_installed, load

if TYPE_CHECKING:
    from .building import Builders

_PATIENCE_SECONDS = 30.0

log = logging.getLogger("forebay.nat")


class NatWorkflow:
    """The agents of one file, and what NAT has built for them, from the first need to `aclose`."""

    def __init__(
        self,
        data: Mapping[str, Json],
        source: str,
        clock: Clock,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Of a file that was read; `prepare` imports what registers types. Raises WorkflowError."""
        self._data = data
        self._source = source
        self._clock = clock
        self._prepare = prepare
        self._entries = entries_of(data, source)
        self._loading: asyncio.Task[Builders] | None = None
        self._starting: asyncio.Task[StartError | None] | None = None
        self._refusal: StartError | None = None
        self.agents: Sequence[Agent] = [self._agent(entry) for entry in self._entries]
        self.is_here = is_installed()
        """Whether this interpreter can run them."""

    @property
    def absence(self) -> str | None:
        """What is to be told where their runs cannot be executed."""
        if self.is_here:
            return None
        names = ", ".join(agent.name for agent in self.agents)
        return (
            f"{sys.executable} has no nvidia-nat-core: runs of {names} wait for a worker whose "
            "interpreter has it (forebay worker --python PATH)."
        )

    @property
    def problem(self) -> str | None:
        """Why runs would fail now, as far as it is known."""
        if self._refusal is not None:
            return self._refusal.message
        loading = self._loading
        if loading is None or not loading.done() or loading.cancelled() or loading.exception():
            return None
        failure = loading.result().failure
        return None if failure is None else failure.message

    def start(self) -> None:
        """Begin to load NAT in a thread, then to build. What goes wrong becomes the `problem`."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="nat-start")

    async def ready(self) -> None:
        """Wait until the workflow is built. Raises StartError if it never will be.

        What may go away, as a server that cannot be reached now, is a `problem` instead; and what
        takes very long to build goes on being built.
        """
        self.start()
        assert self._starting is not None
        await asyncio.wait({self._starting}, timeout=_PATIENCE_SECONDS)
        refusal = self._starting.result() if self._starting.done() else None
        if refusal is not None:
            raise refusal

    async def aclose(self) -> None:
        """Let go of everything that NAT has built."""
        if self._loading is not None:
            await asyncio.wait({self._loading})
            if not self._loading.cancelled() and self._loading.exception() is None:
                await self._loading.result().aclose()
        if self._starting is not None:
            await asyncio.wait({self._starting})

    async def _start(self) -> StartError | None:
        try:
            builders = await self._builders()
            await builders.build()
        except BuildError as error:
            log.warning("%s", error.message)
            return error if error.lasts else None
        except StartError as error:
            self._refusal = error
            return error
        return None

    async def _builders(self) -> "Builders":
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="nat-load")
        return await asyncio.shield(self._loading)

    async def _load(self) -> "Builders":
        if self.absence is not None:
            raise WorkflowError(self.absence)
        config = await asyncio.to_thread(load, self._data, self._source, self._prepare)
        from .building import Builders  # which is light once NAT is there

        functions = [entry.function for entry in self._entries]
        return Builders(config, functions, self._source, self._clock)

    def _agent(self, entry: Entry) -> FunctionAgent:
        def call(ctx: Context | BlockingContext, value: object) -> object:
            return self._run(entry, cast(Context, ctx), cast(Json, value))

        return FunctionAgent(
            entry.agent, entry.description, "async generator", {}, call, lambda value: value
        )

    async def _run(self, entry: Entry, ctx: Context, value: Json) -> AsyncGenerator[Json]:
        builders = await self._builders()
        from .running import run_workflow

        async with aclosing(run_workflow(builders, entry, ctx, value)) as parts:
            async for part in parts:
                yield part
