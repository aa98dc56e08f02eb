"""start = who asks -> what he may use -> admit. open = whose run is it -> the run."""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from forebay.access.callers import Callers, may_open
from forebay.control.agents import Agents
from forebay.core.caller import Caller
from forebay.core.clock import Clock, Millis
from forebay.core.codec import Entry, fingerprint
from forebay.core.errors import BadCursor, KeyReused, RunNotFound
from forebay.core.grant import UNLIMITED, Grant
from forebay.core.ids import RunId
from forebay.core.json import Json
from forebay.core.run import Run
from forebay.core.turns import SessionPolicy
from forebay.ports.agent import Agent
from forebay.ports.store import IdempotencyKey, RunQuery
from forebay.runs.follow import Page
from forebay.runs.reader import View
from forebay.runs.service import Runs
from forebay.runs.starting import Start

from .patience import WaitingRoom
from .started import Started

_KEY_SECONDS = 86_400


class Submission(msgspec.Struct, frozen=True):
    """What a dialect wants started."""

    dialect: str
    operation: str
    input: Json
    durable: bool
    expiry_seconds: int
    agent: str | None = None
    session: str | None = None
    session_policy: SessionPolicy | None = None
    """What unfinished runs of its session mean for it; None: what the settings say."""
    priority: int = 0
    metadata: dict[str, Json] = {}
    deadline_seconds: float | None = None
    max_steps: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    trace: str | None = None
    idempotency_key: str | None = None
    request: Json = None
    """The parsed request, to compare with when the same key comes again."""
    waits: bool = False
    """Whether the caller waits for the answer: then `Started.wait` executes the run."""
    queued: bool = False
    """Whether nobody is there who wants the answer at once: then whoever has room executes it."""
    stays: bool = False
    """Whether it waits for answers where it is, because who gives them sits there."""


class Desk:
    """Everything a dialect may ask for, on behalf of a caller."""

    def __init__(
        self,
        callers: Callers,
        agents: Agents,
        runs: Runs,
        clock: Clock,
        *,
        session_policy: SessionPolicy = "queue",
    ) -> None:
        self._callers = callers
        self._agents = agents
        self._runs = runs
        self._clock = clock
        self._session_policy: SessionPolicy = session_policy
        self._room = WaitingRoom()

    def identify(self, authorization: str | None) -> Caller:
        """Who presents this header."""
        return self._callers.identify(authorization)

    def agents(self, caller: Caller) -> Sequence[Agent]:
        """The agents this caller may use."""
        del caller
        return self._agents.all()

    def default_agent(self) -> Agent:
        """The agent that answers when nobody is named. Raises NoDefaultAgent."""
        return self._agents.default()

    async def start(self, submission: Submission, caller: Caller) -> Started:
        """Start a run, or join the one that this idempotency key has started before.

        Raises AgentNotFound, NoDefaultAgent, InvalidInput, KeyReused, SessionBusy, QueueFull,
        TooManyQueued, TooManyRuns.
        """
        name = submission.agent
        agent = self._agents.default() if name is None else self._agents.get(name)
        elsewhere = self._agents.is_elsewhere(agent.name)
        start = Start(
            agent=agent,
            input=submission.input,
            value=agent.read_input(submission.input),
            caller=caller,
            grant=_grant(submission),
            dialect=submission.dialect,
            durable=submission.durable or elsewhere,
            expiry_seconds=submission.expiry_seconds,
            session=submission.session,
            session_policy=submission.session_policy or self._session_policy,
            priority=submission.priority,
            metadata=submission.metadata,
            trace=submission.trace,
            key=self._key(submission, caller),
            folded=submission.waits,
            queued=submission.queued or elsewhere,
            stays=submission.stays,
        )
        admitted = await self._runs.start(start)
        if isinstance(admitted, bytes):
            return await self._join(admitted)
        if isinstance(admitted, Run):
            return Started(self._runs, self._room, run=admitted, is_new=True)
        started = Started(self._runs, self._room, attempt=admitted)
        if not submission.waits:
            started.launch()
        return started

    async def _join(self, run: RunId) -> Started:
        try:
            return Started(self._runs, self._room, run=await self._runs.reader.find(run))
        except RunNotFound as error:
            raise KeyReused("The run that this key started was deleted.") from error

    async def open(self, run: RunId, caller: Caller) -> Run:
        """A run of this caller. Raises RunNotFound, also for a run of somebody else."""
        found = await self._runs.reader.find(run)
        if not may_open(caller, found):
            raise RunNotFound
        return found

    async def view(self, run: RunId, caller: Caller) -> View:
        """A run of this caller, with what its log adds up to now."""
        return await self._runs.reader.view(await self.open(run, caller))

    async def list(self, query: RunQuery) -> Sequence[Run]:
        """A page of runs, newest first."""
        return await self._runs.reader.list(query)

    async def read(
        self, run: Run, *, after: int, limit: int, types: Sequence[str] | None = None
    ) -> Sequence[Entry]:
        """A page of an opened run's entries. Raises BadCursor."""
        _check_cursor(run, after)
        return await self._runs.reader.read(run, after=after, limit=limit, types=types)

    async def follow(
        self, run: Run, *, after: int = 0, types: Sequence[str] | None = None
    ) -> AsyncGenerator[Page]:
        """An opened run's entries after a number, as they come. Raises BadCursor."""
        _check_cursor(run, after)
        return await self._runs.reader.follow(run, after, types)

    async def read_object(self, run: Run, object_id: str) -> bytes:
        """A value beside an opened run's log, as JSON. Raises ObjectNotFound."""
        return await self._runs.reader.read_object(run, object_id)

    async def cancel(self, run: RunId, caller: Caller) -> Started:
        """Ask a run of this caller to end. Raises RunFinished."""
        found = await self.open(run, caller)
        attempt = self._runs.reader.live(run)
        await self._runs.controls.cancel(found, caller.name)
        return Started(self._runs, self._room, attempt=attempt, run=found)

    async def answer(self, run: RunId, question: str, answer: Json, caller: Caller) -> View:
        """Answer a question of a run of this caller.

        Raises QuestionNotFound, QuestionClosed, InvalidAnswer, RunFinished.
        """
        found = await self.open(run, caller)
        await self._runs.controls.answer(found, question, answer, caller.name)
        return await self.view(run, caller)

    async def delete(self, run: RunId, caller: Caller) -> None:
        """Forget a finished run of this caller. Raises RunUnfinished."""
        await self._runs.controls.delete(await self.open(run, caller))

    def _key(self, submission: Submission, caller: Caller) -> IdempotencyKey | None:
        if submission.idempotency_key is None:
            return None
        return IdempotencyKey(
            caller.tenant,
            caller.name,
            submission.operation,
            submission.idempotency_key,
            fingerprint(submission.request),
            Millis(self._clock.now() + _KEY_SECONDS * 1000),
        )


def _grant(submission: Submission) -> Grant:
    grant = Grant(
        deadline_seconds=submission.deadline_seconds,
        max_steps=submission.max_steps,
        max_tokens=submission.max_tokens,
        max_cost_usd=submission.max_cost_usd,
    )
    return UNLIMITED if grant == UNLIMITED else grant  # the log leaves out that very object


def _check_cursor(run: Run, after: int) -> None:
    if after < 0 or after > run.last:
        raise BadCursor(f"The run has entries 1 to {run.last}; {after} is none of them.")
