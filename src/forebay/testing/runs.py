"""Runs for tests: the writes that admit one, let it speak, and end it."""

from collections.abc import Sequence
from itertools import count

import msgspec

from forebay.core.clock import Millis, boot_id
from forebay.core.codec import Entry, Object, Said, pack
from forebay.core.events import (
    CancelRequested,
    Event,
    OutputChunk,
    Prompt,
    QuestionAnswered,
    QuestionAsked,
    RunInterrupted,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    RunWaiting,
)
from forebay.core.ids import RunId, RunNumber, new_run_id
from forebay.core.run import Run, move_of, reason_of
from forebay.ports.store import (
    CONTROL,
    Admit,
    Admitted,
    Append,
    Appended,
    IdempotencyKey,
    Keep,
    Lease,
    Outcome,
    RunStore,
    Write,
)

NOW = Millis(1_767_225_600_000)  # 2026-01-01T00:00:00Z
HOLDER = f"{boot_id()}/1/test"
TAKER = f"{boot_id()}/2/taker"
LEASE_SECONDS = 9.0

_later = count()


def new_run(**changes: object) -> Run:
    """A run that one attempt executes. Each is created a moment after the one before."""
    created = Millis(NOW + next(_later))
    run = Run(
        id=new_run_id(created),
        agent="echo",
        tenant="default",
        caller="anonymous",
        created=created,
        status="running",
        last=2,
        attempt=1,
        started=created,
        holder=HOLDER,
    )
    return msgspec.structs.replace(run, **changes)


def queued_run(**changes: object) -> Run:
    """A run that waits for room."""
    waiting = new_run(status="submitted", last=1, attempt=0, started=None, holder=None)
    return msgspec.structs.replace(waiting, **changes)


def entries_from(first: int, *events: Event, attempt: int = 1) -> list[Entry]:
    """Entries with the numbers from here on."""
    return [Entry(number, attempt, NOW, event=event) for number, event in enumerate(events, first)]


def key(name: str = "key", body: bytes = b"a body", **changes: object) -> IdempotencyKey:
    """A key, valid for a day."""
    expires = Millis(NOW + 86_400_000)
    made = IdempotencyKey("default", "anonymous", "start", name, body, expires)
    return msgspec.structs.replace(made, **changes)


def admission(
    run: Run | None = None,
    *,
    key: IdempotencyKey | None = None,
    lease_seconds: float = LEASE_SECONDS,
    objects: Sequence[Object] = (),
    only_if_alone: bool = False,
) -> Admit:
    """Admit a run: entries 1 and 2, or 1 alone if nobody has started it."""
    run = run or new_run()
    events = [RunSubmitted(run.agent, "hello", "native"), RunStarted("inline", HOLDER)]
    entries = entries_from(1, *events[: run.last])
    return Admit(run, entries, key, lease_seconds, objects, only_if_alone)


def append(
    run: RunNumber,
    first: int,
    *events: Event,
    attempt: int = 1,
    **changes: object,
) -> Append:
    """Append events, of which the first is expected to get this number."""
    said = Append(
        run,
        attempt,
        entries_from(first, *events, attempt=attempt),
        move_of(events),
        reason_of(events[-1]),
    )
    return msgspec.structs.replace(said, **changes)


def chunks(run: RunNumber, first: int, *texts: str, attempt: int = 1) -> Append:
    """Append pieces of the answer."""
    return append(run, first, *map(OutputChunk, texts), attempt=attempt)


def success(run: RunNumber, first: int, *, attempt: int = 1, frees: bool = False) -> Append:
    """Append the end."""
    return append(run, first, RunSucceeded(), attempt=attempt, frees=frees)


def cancel(run: RunNumber, first: int, by: str = "somebody") -> Append:
    """Append a wish that the run may end, without being its attempt."""
    return append(run, first, CancelRequested(by), attempt=CONTROL)


def loss(run: RunNumber, first: int) -> Append:
    """End a run whose executor is gone, if it still is when this is written."""
    ending = RunInterrupted("server_lost", "the server that executed this run is gone")
    return append(run, first, ending, attempt=CONTROL, only_if_lost=True)


def requeue(run: RunNumber, first: int, **guards: object) -> Append:
    """Queue a run again whose attempt is over."""
    again = RunRequeued("lost", "attempt 1 was lost")
    return append(run, first, again, attempt=CONTROL, **guards)


def wait(run: RunNumber, first: int, *, attempt: int = 1, **changes: object) -> Append:
    """Ask a question, and wait for the answer."""
    asked = QuestionAsked("q", Prompt("Go on?"))
    return append(run, first, asked, RunWaiting(["q"]), attempt=attempt, **changes)


def answer(run: RunNumber, first: int, **guards: object) -> Append:
    """Answer the question."""
    said = QuestionAnswered("q", "yes", "somebody")
    return append(run, first, said, attempt=CONTROL, **guards)


def a_lease(**changes: object) -> Lease:
    """Take every queued run of the agent `echo`."""
    started = RunStarted("local", TAKER)
    lease = Lease(TAKER, LEASE_SECONDS, ["echo"], 100, started, Millis(NOW + 60_000))
    return msgspec.structs.replace(lease, **changes)


def kept(*texts: str, run: Run | None = None, objects: Sequence[Object] = ()) -> Keep:
    """Write a finished light run that said this."""
    run = run or new_run()
    said = [RunSubmitted(run.agent, "hello", "native"), RunStarted("inline", HOLDER)]
    log = [Said(1, NOW, event) for event in (*said, *map(OutputChunk, texts), RunSucceeded())]
    finished = msgspec.structs.replace(
        run, status="success", finished=NOW, durable=False, last=len(log), holder=None
    )
    return Keep(finished, pack(log), objects)


async def write(store: RunStore, write: Write) -> Outcome:
    """Write this alone."""
    (outcome,) = await store.write([write])
    return outcome


async def admit(store: RunStore, write: Admit | Keep | None = None) -> RunNumber:
    """Write a new run; its number."""
    outcome = (await store.write([write or admission()]))[0]
    assert isinstance(outcome, Admitted), outcome
    return outcome.number


async def admit_all(store: RunStore, *runs: Run) -> list[RunNumber]:
    """Write these new runs, one after the other; their numbers."""
    return [await admit(store, admission(run)) for run in runs]


async def found(store: RunStore, run: Run | RunId) -> Run:
    """A run that is there, as it is now."""
    stored = await store.find(run.id if isinstance(run, Run) else run)
    assert stored is not None
    return stored


async def written(store: RunStore, write: Append) -> int:
    """Append something; the number its first entry got."""
    outcome = (await store.write([write]))[0]
    assert isinstance(outcome, Appended), outcome
    return outcome.first
