"""Controls: what others than its attempt do to a run. They cancel it, answer it, forget it.

A control entry belongs to no attempt; the transition table alone decides whether it may stand.
"""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from forebay.core.clock import Clock
from forebay.core.codec import Entry, canonical
from forebay.core.errors import (
    Conflict,
    InvalidAnswer,
    NotFound,
    QuestionClosed,
    QuestionNotFound,
    RunFinished,
    RunUnfinished,
    StaleAttempt,
)
from forebay.core.events import (
    CancelRequested,
    Event,
    QuestionAnswered,
    QuestionExpired,
    RunInterrupted,
    RunRequeued,
)
from forebay.core.ids import RunId
from forebay.core.json import Json
from forebay.core.prompts import check_answer
from forebay.core.run import FINISHED, Fold, Run, move_of, reason_of
from forebay.ports.storage import Storage
from forebay.ports.store import CONTROL, Append, Appended

from .attempt import CANCELLED, REPLACED, Attempt, cancelled_by
from .commit import NOT_WRITTEN, Committer
from .follow import Follower
from .reader import RunReader

_WHY_NOT_BEGUN = "the database went away while the run was admitted"
_NOT_BEGUN = RunInterrupted("not_begun", _WHY_NOT_BEGUN)
_TO_BE_BEGUN = RunRequeued("not_begun", _WHY_NOT_BEGUN)
_GUARDED_TRIES = 5
_EARLIER_RUNS = 1_000


class Controls:
    """Writes control entries, from this process into any run."""

    def __init__(
        self,
        storage: Storage,
        committer: Committer,
        follower: Follower,
        reader: RunReader,
        live: Mapping[RunId, Attempt],
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._committer = committer
        self._follower = follower
        self._reader = reader
        self._live = live
        self._clock = clock
        self.doubted: dict[RunId, bool] = {}
        """Runs that may have been admitted, though their callers were told otherwise; and whether
        they go on all the same."""

    def doubt(self, run: RunId, *, goes_on: bool) -> None:
        """Nobody knows whether this run was admitted; its caller was told that it was not.

        One that has a key goes on: he sends his request again, and joins it.
        """
        self.doubted[run] = goes_on

    async def cancel(self, run: Run, by: str, reason: str = CANCELLED) -> None:
        """Ask a run to end. Raises RunFinished."""
        if run.is_finished:
            raise RunFinished
        request = CancelRequested(by, reason)
        attempt, light = self._live.get(run.id), self._reader.light(run.id)
        if attempt is not None and light is not None:
            if attempt.is_closing:
                raise RunFinished
            light.say(CONTROL, request)
            attempt.interrupt(cancelled_by(request))
        elif run.status == "running":
            await self.write(run, request)
            now = await self._reader.find(run.id)
            if now.status in ("submitted", "waiting"):  # its attempt was over before it could hear
                await self._end(now, request)
        else:  # nobody executes it, so nobody else will end it
            await self.write(run, request, cancelled_by(request))

    async def _end(self, run: Run, request: CancelRequested) -> None:
        with suppress(Conflict, NotFound):
            await self.write(run, cancelled_by(request))

    async def replace_earlier(self, run: Run) -> None:
        """Ask the unfinished runs to end that came before this one in its session.

        If the database goes away meanwhile, the run has to wait until they end by themselves.
        """
        with suppress(*NOT_WRITTEN):
            for earlier in await self._storage.earlier(run, _EARLIER_RUNS):
                with suppress(Conflict, NotFound):
                    await self.cancel(earlier, run.caller, REPLACED)

    async def answer(self, run: Run, question: str, answer: Json, by: str) -> None:
        """Answer a question of a run.

        Raises QuestionNotFound, QuestionClosed, InvalidAnswer, RunFinished.
        """
        fold = (await self._reader.view(run)).fold
        for _ in range(_GUARDED_TRIES):
            answered = _answer_to(fold, question, answer, by)
            if answered is None:
                return
            try:
                now = msgspec.structs.replace(run, last=fold.last)
                return await self.write(now, answered, only_if_last=True)
            except StaleAttempt:  # somebody wrote in between: perhaps another answer
                await self._reader.go_on(run, fold)
        answered = _answer_to(fold, question, answer, by)
        if answered is not None:  # the run writes all the time; of two answers the first counts
            await self.write(run, answered)
            await self._reader.go_on(run, fold)
            _answer_to(fold, question, answer, by)

    async def expire(self, run: Run, question: str) -> None:
        """Say that nobody has answered in time."""
        with suppress(Conflict, NotFound):
            await self.write(run, QuestionExpired(question))

    async def write(self, run: Run, *events: Event, only_if_last: bool = False) -> None:
        """Write into a run's log without being its attempt. Raises RunFinished, StaleAttempt."""
        now = self._clock.now()
        entries = [
            Entry(number, CONTROL, now, event=event)
            for number, event in enumerate(events, run.last + 1)
        ]
        append = Append(
            await self._reader.number(run),
            CONTROL,
            entries,
            move_of(events),
            reason_of(events[-1]),
            only_if_last=only_if_last,
            frees=move_of(events).leads_to in FINISHED,
        )
        outcome = await self._committer.write(append)
        assert isinstance(outcome, Appended)
        for number, entry in enumerate(entries, outcome.first):
            entry.number = number
        self._follower.deliver(run.id, entries)
        attempt = self._live.get(run.id)
        if attempt is not None:
            attempt.hear(entries)

    async def settle_doubted(self) -> None:
        """End runs that turn out to be admitted, though their callers were told otherwise, or let
        somebody begin them."""
        for run_id, goes_on in list(self.doubted.items()):
            run = await self._storage.find(run_id)
            if run is not None:
                with suppress(Conflict, NotFound):
                    if not goes_on:
                        await self.write(run, _NOT_BEGUN)
                    elif run.status == "running":
                        await self.write(run, _TO_BE_BEGUN, only_if_last=True)
            self.doubted.pop(run_id, None)

    async def delete(self, run: Run) -> None:
        """Forget a finished run. Raises RunUnfinished."""
        if not run.is_finished:
            raise RunUnfinished
        await self._committer.kept(run.id)
        await self._storage.delete(run.id)


def _answer_to(fold: Fold, question: str, answer: Json, by: str) -> QuestionAnswered | None:
    """The event that answers an open question; None if it stands in the log already."""
    closed = fold.closed.get(question)
    asked = closed.asked if closed else fold.questions.get(question)
    if asked is None:
        raise QuestionNotFound
    if closed is None and fold.is_finished:
        raise RunFinished
    try:
        answered = QuestionAnswered(question, check_answer(asked.prompt, answer), by)
    except InvalidAnswer as error:
        raise (QuestionClosed() if closed else error) from None
    if closed is None:
        return answered
    if not isinstance(closed.event, QuestionAnswered) or not _are_same(closed.event, answered):
        raise QuestionClosed
    return None


def _are_same(one: QuestionAnswered, other: QuestionAnswered) -> bool:
    return one.by == other.by and canonical(one.answer) == canonical(other.answer)
