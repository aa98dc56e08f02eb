"""AsyncClient: the native API for code on an event loop."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from forebay.core.clock import SystemClock
from forebay.core.json import Json

from . import exchange
from .exchange import Call, Exchange
from .following import Following
from .models import AgentInfo, Entry, Question, Run, RunFilter, RunOptions, RunPage, id_of
from .wire import Wire, head_of, reply_of

_T = TypeVar("_T")


class AsyncClient:
    """A Forebay server, as its client sees it. See Client: the same methods, awaited.

    Methods raise ApiError when the server refuses (see its subclasses), and Unreachable when it
    could not be reached for `patience_seconds`.
    """

    def __init__(
        self, url: str | None = None, *, token: str | None = None, patience_seconds: float = 60.0
    ) -> None:
        self._wire = Wire(url, token, patience_seconds)
        self._clock = SystemClock()
        self._http = httpx2.AsyncClient(**self._wire.options())

    async def submit(self, value: Json, **options: Unpack[RunOptions]) -> Run:
        """Start a run in the background."""
        return await self._ask(exchange.submit(value, options, wait=False))

    async def run(self, value: Json, **options: Unpack[RunOptions]) -> Run:
        """Start a run, and return it when it is finished, however long it waits for answers."""
        run = await self._ask(exchange.submit(value, options, wait=True))
        return run if run.is_finished else await self.wait(run)

    async def wait(self, run: Run | str) -> Run:
        """Return the run when it is finished, however long it waits for answers."""
        following = Following.to_the_end(id_of(run), self._wire.patience())
        async with aclosing(self.follow(following)) as entries:
            async for _ in entries:
                pass
        return await self.get(run)

    def events(self, run: Run | str, *, after: int = 0) -> AsyncGenerator[Entry]:
        """The entries of a run after a number, as they come, to the last one.

        Each comes once and in order, however often the connection is lost or the server restarted.
        Who leaves early closes the generator (`contextlib.aclosing`).
        """
        return self.follow(Following(id_of(run), after, self._wire.patience()))

    async def get(self, run: Run | str) -> Run:
        """The run as it is now, with its answer."""
        return await self._ask(exchange.get(id_of(run)))

    async def list(self, **which: Unpack[RunFilter]) -> RunPage:
        """A page of runs, newest first."""
        return await self._ask(exchange.listing(which))

    async def answer(self, run: Run | str, question: Question | str, answer: Json) -> Run:
        """Answer a question of a run: text, an option's id or value, or several of them as a list.

        Raises Conflict if it is closed, Rejected if it does not take this answer.
        """
        return await self._ask(exchange.answer(id_of(run), id_of(question), answer))

    async def cancel(self, run: Run | str) -> Run:
        """Ask a run to end. Raises Conflict if it is finished."""
        return await self._ask(exchange.cancel(id_of(run)))

    async def delete(self, run: Run | str) -> None:
        """Forget a finished run. Raises Conflict if it is not."""
        await self._ask(exchange.delete(id_of(run)))

    async def read_object(self, run: Run | str, name: str) -> Json:
        """A value that was too large for the log: `stored.object` of an event names it."""
        return await self._ask(exchange.read_object(id_of(run), name))

    async def agents(self) -> Sequence[AgentInfo]:
        """The agents that may be run."""
        return await self._ask(exchange.agents())

    async def aclose(self) -> None:
        """Let go of all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- the network ----------------------------------------------------------------------------

    async def follow(self, following: Following) -> AsyncGenerator[Entry]:
        """The entries that a Following has still to see. It tells meanwhile how it goes."""
        while not following.is_over:
            try:
                async with self._http.stream(**self._wire.question(following)) as response:
                    if following.accepts(*head_of(response)):
                        async for chunk in response.aiter_bytes():
                            for entry in following.feed(chunk):
                                yield entry
                            if following.is_over:
                                return
                    else:
                        await response.aread()
                        following.refused(reply_of(response))
            except httpx2.TransportError as error:
                following.lost(self._wire.failure(error))
            if not following.is_over:
                await self._clock.sleep(following.pause())

    async def _ask(self, call: Call[_T]) -> _T:
        asking = Exchange(call, self._wire.patience())
        while True:
            try:
                response = await self._http.request(**self._wire.request(call))
            except httpx2.TransportError as error:
                pause = asking.lost(self._wire.failure(error))
            else:
                pause = asking.answered(reply_of(response))
                if pause is None:
                    return call.read(response.content)
            await self._clock.sleep(pause)
