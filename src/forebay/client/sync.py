"""Client: the native API for code that blocks."""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from forebay.core.json import Json

from . import exchange
from .exchange import Call, Exchange
from .following import Following
from .models import AgentInfo, Entry, Question, Run, RunFilter, RunOptions, RunPage, id_of
from .wire import Wire, head_of, reply_of

_T = TypeVar("_T")


class Client:
    """A Forebay server, as its client sees it.

    Methods raise ApiError when the server refuses (see its subclasses), and Unreachable when it
    could not be reached for `patience_seconds`.
    """

    def __init__(
        self, url: str | None = None, *, token: str | None = None, patience_seconds: float = 60.0
    ) -> None:
        self._wire = Wire(url, token, patience_seconds)
        self._http = httpx2.Client(**self._wire.options())

    def submit(self, value: Json, **options: Unpack[RunOptions]) -> Run:
        """Start a run in the background."""
        return self._ask(exchange.submit(value, options, wait=False))

    def run(self, value: Json, **options: Unpack[RunOptions]) -> Run:
        """Start a run, and return it when it is finished, however long it waits for answers."""
        run = self._ask(exchange.submit(value, options, wait=True))
        return run if run.is_finished else self.wait(run)

    def wait(self, run: Run | str) -> Run:
        """Return the run when it is finished, however long it waits for answers."""
        for _ in self.follow(Following.to_the_end(id_of(run), self._wire.patience())):
            pass
        return self.get(run)

    def events(self, run: Run | str, *, after: int = 0) -> Iterator[Entry]:
        """The entries of a run after a number, as they come, to the last one.

        Each comes once and in order, however often the connection is lost or the server restarted.
        """
        return self.follow(Following(id_of(run), after, self._wire.patience()))

    def get(self, run: Run | str) -> Run:
        """The run as it is now, with its answer."""
        return self._ask(exchange.get(id_of(run)))

    def list(self, **which: Unpack[RunFilter]) -> RunPage:
        """A page of runs, newest first."""
        return self._ask(exchange.listing(which))

    def answer(self, run: Run | str, question: Question | str, answer: Json) -> Run:
        """Answer a question of a run: text, an option's id or value, or several of them as a list.

        Raises Conflict if it is closed, Rejected if it does not take this answer.
        """
        return self._ask(exchange.answer(id_of(run), id_of(question), answer))

    def cancel(self, run: Run | str) -> Run:
        """Ask a run to end. Raises Conflict if it is finished."""
        return self._ask(exchange.cancel(id_of(run)))

    def delete(self, run: Run | str) -> None:
        """Forget a finished run. Raises Conflict if it is not."""
        self._ask(exchange.delete(id_of(run)))

    def read_object(self, run: Run | str, name: str) -> Json:
        """A value that was too large for the log: `stored.object` of an event names it."""
        return self._ask(exchange.read_object(id_of(run), name))

    def agents(self) -> Sequence[AgentInfo]:
        """The agents that may be run."""
        return self._ask(exchange.agents())

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the network ----------------------------------------------------------------------------

    def follow(self, following: Following) -> Iterator[Entry]:
        """The entries that a Following has still to see. It tells meanwhile how it goes."""
        while not following.is_over:
            try:
                with self._http.stream(**self._wire.question(following)) as response:
                    if following.accepts(*head_of(response)):
                        for chunk in response.iter_bytes():
                            yield from following.feed(chunk)
                            if following.is_over:
                                return
                    else:
                        response.read()
                        following.refused(reply_of(response))
            except httpx2.TransportError as error:
                following.lost(self._wire.failure(error))
            if not following.is_over:
                time.sleep(following.pause())

    def _ask(self, call: Call[_T]) -> _T:
        asking = Exchange(call, self._wire.patience())
        while True:
            try:
                response = self._http.request(**self._wire.request(call))
            except httpx2.TransportError as error:
                pause = asking.lost(self._wire.failure(error))
            else:
                pause = asking.answered(reply_of(response))
                if pause is None:
                    return call.read(response.content)
            time.sleep(pause)
