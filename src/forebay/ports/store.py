"""RunStore: runs and their entries, changed together or not at all."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from forebay.core.clock import Millis
from forebay.core.codec import Entry, Object
from forebay.core.errors import ForebayError
from forebay.core.events import Event
from forebay.core.ids import RunId, RunNumber
from forebay.core.run import Move, Run, Status

CONTROL = 0
"""The attempt number of entries that no attempt wrote: cancel, expiry, the end of a lost run."""


class IdempotencyKey(msgspec.Struct, frozen=True):
    """Names a submission, so that sending it again joins the run it started."""

    tenant: str
    caller: str
    operation: str
    key: str
    fingerprint: bytes
    expires: Millis


class Admit(msgspec.Struct, frozen=True):
    """Write a new run with its first entries (numbered from 1). Answered by Admitted or Joined."""

    run: Run
    entries: Sequence[Entry]
    key: IdempotencyKey | None = None
    lease_seconds: float = 0.0
    objects: Sequence[Object] = ()
    only_if_alone: bool = False
    """Only if no run of its session is unfinished; else nothing is written, and SessionBusy."""

    @property
    def minds_its_session(self) -> bool:
        """Whether the other runs of its session matter to it: then their order has to be known."""
        return self.run.session is not None and (self.only_if_alone or self.run.in_turn)


class Append(msgspec.Struct, frozen=True):
    """Write further entries of a run. Answered by Appended.

    The numbers in `entries` are what the writer expects. The store assigns the real ones, from the
    run row and inside the transaction: they differ when somebody else wrote in between.
    """

    run: RunNumber
    attempt: int
    entries: Sequence[Entry]
    move: Move
    reason: str | None = None
    objects: Sequence[Object] = ()
    only_if_lost: bool = False
    """Only if the lease has run out meanwhile (the holder may have renewed it since we looked)."""
    only_if_held_by: str | None = None
    """Only while this holder has the lease (somebody else may have taken the run meanwhile)."""
    only_if_last: bool = False
    """Only if nobody else wrote in between: the first entry gets the number it has here."""
    wake: Millis | None = None
    """For a run that begins to wait: when its first question expires."""
    frees: bool = False
    """Whether queued runs may begin after it that could not before: it was their turn to wait for
    the run that this ends, or there were too many at once."""


class Keep(msgspec.Struct, frozen=True):
    """Write a finished light run with its whole packed log at once. Answered by Admitted."""

    run: Run
    log: bytes
    objects: Sequence[Object] = ()


class Lease(msgspec.Struct, frozen=True):
    """Take queued runs, the most urgent first: each begins its next attempt with `started`."""

    holder: str
    seconds: float
    agents: Sequence[str]
    """Only runs of these agents."""
    limit: int
    started: Event
    time: Millis
    most_of_tenant: int = 0
    """So many runs of a tenant may be running afterwards, whoever executes them; 0: any number."""
    most_of_agent: int = 0
    """So many runs of an agent, likewise."""

    @property
    def is_limited(self) -> bool:
        """Whether it matters what is running already."""
        return bool(self.most_of_tenant or self.most_of_agent)


Write: TypeAlias = Admit | Append | Keep


class Admitted(msgspec.Struct, frozen=True):
    """The run exists now, under this number."""

    number: RunNumber


class Joined(msgspec.Struct, frozen=True):
    """The key named a run that exists already."""

    run: RunId


class Appended(msgspec.Struct, frozen=True):
    """The entries stand in the log, the first of them under this number."""

    first: int


Outcome: TypeAlias = Admitted | Joined | Appended | ForebayError
"""What became of one write. An error concerns that write alone, never its neighbours."""


class RunQuery(msgspec.Struct, frozen=True):
    """Which runs to list, newest first."""

    tenant: str
    caller: str | None = None
    status: Status | None = None
    agent: str | None = None
    session: str | None = None
    before: RunId | None = None
    limit: int = 50

    def matches(self, run: Run) -> bool:
        """Whether a run belongs on this page or a later one."""
        return (
            run.tenant == self.tenant
            and self.caller in (None, run.caller)
            and self.status in (None, run.status)
            and self.agent in (None, run.agent)
            and self.session in (None, run.session)
            and (self.before is None or run.id < self.before)
        )


class Crowd(msgspec.Struct, frozen=True):
    """How many runs there are at a moment."""

    queued: Mapping[str, int]
    """Those that wait for room, by tenant."""
    running: Mapping[tuple[str, str], int]
    """Those that somebody executes, by tenant and agent."""


class RunStore(Protocol):
    """Where runs are kept. Every verb raises DatabaseUnavailable when the database is away.

    The time of leases is the store's own (the server's clock on PostgreSQL, the boot-relative clock
    of this host elsewhere), so that no two processes can disagree about it.
    """

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """Commit a batch, power-loss safe, and answer each write in order.

        A write fails alone: StaleAttempt (another attempt holds the run, or an `only_if_…` does
        not hold), RunFinished (no such entry may follow any more), RunNotFound, KeyReused,
        SessionBusy. Raises DatabaseUnavailable if nothing was committed; a batch may be sent again
        after that even if the commit's fate was unknown.
        """
        ...

    async def find(self, run: RunId) -> Run | None:
        """The run with this id."""
        ...

    async def list(self, query: RunQuery) -> Sequence[Run]:
        """A page of runs, newest first."""
        ...

    async def renew(self, holder: str, seconds: float) -> int:
        """Move the end of every lease this holder has to so far from now; tells how many it has."""
        ...

    async def lease(self, lease: Lease) -> Sequence[Run]:
        """Take queued runs in one short transaction, as they are afterwards: running, with the
        number of their `run.started` as `last`. Of several who ask at once, each gets others. A
        run that is `in_turn` is left alone while an earlier one of its session is unfinished."""
        ...

    async def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        """The unfinished runs of a run's session that were admitted before it, oldest first."""
        ...

    async def ahead(self, run: Run, limit: int) -> int:
        """How many queued runs come before this one, whatever keeps each of them; counted only up
        to the limit."""
        ...

    async def crowd(self, besides: str = "") -> Crowd:
        """How many runs are queued, and how many others than this holder executes. It reads all of
        those: not to be asked for each submission."""
        ...

    async def lost(self, limit: int) -> Sequence[Run]:
        """Running runs whose lease has run out."""
        ...

    async def held(self, holder: str, limit: int) -> Sequence[Run]:
        """Running runs whose holder's name begins like this."""
        ...

    async def due(self, now: Millis, limit: int) -> Sequence[Run]:
        """Unfinished runs whose deadline has passed, and waiting ones whose `wake` has."""
        ...

    async def last_attempt_that_spoke(self, run: RunNumber) -> int:
        """The newest attempt that got somewhere, or 0: one with an entry that no later attempt
        will have to make again, so not what began it, and not what a step said on its way."""
        ...

    async def delete(self, run: RunId) -> bool:
        """Forget a finished run and all that belongs to it. Raises RunUnfinished."""
        ...

    async def expire(self, now: Millis, limit: int) -> int:
        """Forget finished runs whose time has come, and old keys; tells how many runs it forgot."""
        ...

    async def read_object(self, run: RunNumber, object_id: str) -> bytes | None:
        """The bytes of an object of a run."""
        ...
