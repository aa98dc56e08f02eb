"""Starting: what a run is started with, and how its row and its first entry look."""

import msgspec

from forebay.core.caller import Caller
from forebay.core.clock import Millis
from forebay.core.events import RunSubmitted
from forebay.core.grant import Grant
from forebay.core.ids import new_run_id
from forebay.core.json import Json
from forebay.core.run import Run
from forebay.core.turns import SessionPolicy
from forebay.ports.agent import Agent
from forebay.ports.store import IdempotencyKey


class Start(msgspec.Struct, frozen=True):
    """A run that somebody may start: everything was checked."""

    agent: Agent
    input: Json
    value: object
    caller: Caller
    grant: Grant
    dialect: str
    durable: bool
    expiry_seconds: int
    session: str | None = None
    session_policy: SessionPolicy = "parallel"
    """What the unfinished runs of its session mean for it; without a session, nothing."""
    priority: int = 0
    metadata: dict[str, Json] | None = None
    trace: str | None = None
    key: IdempotencyKey | None = None
    folded: bool = False
    """Whether this process should keep what the log adds up to, because somebody waits for it."""
    queued: bool = False
    """Whether it is left to whoever has room for it, here or in another process."""
    stays: bool = False
    """Whether its attempt goes on while it waits for answers."""

    @property
    def minds_its_session(self) -> bool:
        """Whether it is one of a session whose runs do not just go on beside each other."""
        return self.session is not None and self.session_policy != "parallel"

    def queued_run(self, now: Millis) -> Run:
        """The run, left to others."""
        limit = self.grant.deadline_seconds
        return Run(
            id=new_run_id(now),
            agent=self.agent.name,
            tenant=self.caller.tenant,
            caller=self.caller.name,
            created=now,
            last=1,
            session=self.session,
            priority=self.priority,
            metadata=self.metadata or {},
            expiry_seconds=self.expiry_seconds,
            deadline=None if limit is None else Millis(now + int(limit * 1000)),
            in_turn=self.minds_its_session and self.session_policy != "reject",
        )

    def begun_run(self, now: Millis, holder: str) -> Run:
        """The run, begun by this holder at once."""
        limit = self.grant.deadline_seconds
        return Run(
            id=new_run_id(now),
            agent=self.agent.name,
            tenant=self.caller.tenant,
            caller=self.caller.name,
            created=now,
            status="running",
            last=2,
            attempt=1,
            session=self.session,
            priority=self.priority,
            durable=self.durable,
            metadata=self.metadata or {},
            started=now,
            expiry_seconds=self.expiry_seconds,
            holder=holder,
            deadline=None if limit is None else Millis(now + int(limit * 1000)),
        )

    def submitted(self) -> RunSubmitted:
        """Entry 1."""
        return RunSubmitted(
            self.agent.name,
            self.input,
            self.dialect,
            self.caller,
            self.grant,
            self.session,
            self.metadata or {},
            self.trace,
        )
