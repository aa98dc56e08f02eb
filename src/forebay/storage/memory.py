"""Memory: the ports without a database. For tests, demos, and as the plainest reading of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from forebay.core.clock import Clock, Millis
from forebay.core.codec import Entry, encode_event, unpack
from forebay.core.errors import KeyReused, RunNotFound, RunUnfinished, SessionBusy
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES, page
from forebay.core.run import FINISHED, Run
from forebay.ports.log import Listener
from forebay.ports.store import (
    CONTROL,
    Admit,
    Admitted,
    Append,
    Appended,
    Crowd,
    IdempotencyKey,
    Joined,
    Keep,
    Lease,
    Outcome,
    RunQuery,
    Write,
)
from forebay.storage.refusing import State, refusal
from forebay.storage.room import Room
from forebay.storage.rows import IN_A_NAMED_SCOPE, IN_A_SCOPE, SILENT_TYPES
from forebay.storage.telling import appended, queues


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Figures of what is held."""

    size_bytes: int
    oldest_run: int | None


class MemoryStorage:
    """Runs and their log in this process, gone with it."""

    name = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[RunNumber, Run] = {}
        self._numbers: dict[RunId, RunNumber] = {}
        self._entries: dict[RunNumber, list[Entry]] = {}
        self._objects: dict[tuple[RunNumber, str], bytes] = {}
        self._leases: dict[RunNumber, float] = {}
        self._keys: dict[tuple[str, str, str, str], tuple[IdempotencyKey, RunId]] = {}
        self._next = 1
        self._listener: Listener | None = None

    @property
    def degraded(self) -> list[str]:
        return []

    async def open(self) -> None: ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...

    async def stats(self) -> MemoryStats:
        size = sum(len(entry.data) for entries in self._entries.values() for entry in entries)
        return MemoryStats(size, min((run.created for run in self._runs.values()), default=None))

    # --- RunStore -------------------------------------------------------------------------------

    async def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = [self._write(write) for write in batch]
        listener = self._listener
        if listener and listener.interested:
            listener.moved(appended(batch, outcomes))
        if listener and listener.takes_runs and queues(batch, outcomes):
            listener.queued()
        return outcomes

    def _write(self, write: Write) -> Outcome:
        if isinstance(write, Append):
            return self._append(write)
        key = write.key if isinstance(write, Admit) else None
        if key is not None and _scope(key) in self._keys:
            known, run = self._keys[_scope(key)]
            if run != write.run.id:
                return Joined(run) if known.fingerprint == key.fingerprint else KeyReused()
        if write.run.id in self._numbers:
            return Admitted(self._numbers[write.run.id])
        if isinstance(write, Admit) and write.only_if_alone and self._earlier(write.run):
            return SessionBusy()
        number = RunNumber(self._next)
        self._next += 1
        self._runs[number] = msgspec.structs.replace(write.run, number=number)
        self._numbers[write.run.id] = number
        self._entries[number] = (
            unpack(write.log) if isinstance(write, Keep) else list(write.entries)
        )
        self._objects |= {(number, stored.id): stored.data for stored in write.objects}
        if isinstance(write, Admit):
            self._leases[number] = self._clock.boot() + write.lease_seconds * 1000
        if key is not None:
            self._keys[_scope(key)] = (key, write.run.id)
        return Admitted(number)

    def _append(self, append: Append) -> Outcome:
        run = self._runs.get(append.run)
        if run is None:
            return RunNotFound()
        log = self._entries[append.run]
        standing = _standing(log, append)
        if standing is not None:
            return Appended(standing)
        lost = run.status == "running" and self._leases[append.run] < self._clock.boot()
        refused = refusal(append, State(run.last, run.attempt, run.status, run.holder, lost))
        if refused is not None:
            return refused
        log.extend(
            Entry(number, entry.attempt, entry.time, data=entry.data)
            for number, entry in enumerate(append.entries, run.last + 1)
        )
        self._objects |= {(append.run, stored.id): stored.data for stored in append.objects}
        self._runs[append.run] = _moved(run, append)
        return Appended(run.last + 1)

    async def find(self, run: RunId) -> Run | None:
        number = self._numbers.get(run)
        return None if number is None else self._runs[number]

    async def list(self, query: RunQuery) -> Sequence[Run]:
        found = [run for run in self._runs.values() if query.matches(run)]
        return sorted(found, key=lambda run: run.id, reverse=True)[: query.limit]

    async def renew(self, holder: str, seconds: float) -> int:
        held = [
            number
            for number, run in self._runs.items()
            if run.holder == holder and run.status == "running"
        ]
        for number in held:
            self._leases[number] = self._clock.boot() + seconds * 1000
        return len(held)

    async def lease(self, lease: Lease) -> Sequence[Run]:
        queued = [
            number
            for number, run in self._runs.items()
            if run.status == "submitted" and run.agent in lease.agents
        ]
        queued.sort(key=lambda number: (-self._runs[number].priority, number))
        taken = [self._take(number, lease) for number in self._free(queued, lease)]
        if taken and self._listener and self._listener.interested:
            self._listener.moved({run.number: run.last for run in taken if run.number})
        return taken

    def _free(self, queued: Sequence[RunNumber], lease: Lease) -> Sequence[RunNumber]:
        running = Counter(
            (run.tenant, run.agent) for run in self._runs.values() if run.status == "running"
        )
        room = Room(lease, ((*kind, runs) for kind, runs in running.items()))
        free: list[RunNumber] = []
        for number in queued:
            run = self._runs[number]
            may_begin = not (run.in_turn and self._earlier(run))
            if len(free) < lease.limit and may_begin and room.take(run.tenant, run.agent):
                free.append(number)
        return free

    def _take(self, number: RunNumber, lease: Lease) -> Run:
        run = self._runs[number]
        run = self._runs[number] = msgspec.structs.replace(
            run,
            status="running",
            last=run.last + 1,
            attempt=run.attempt + 1,
            holder=lease.holder,
            started=lease.time if run.started is None else run.started,
        )
        self._leases[number] = self._clock.boot() + lease.seconds * 1000
        started = Entry(run.last, run.attempt, lease.time, data=encode_event(lease.started))
        self._entries[number].append(started)
        return run

    async def earlier(self, run: Run, limit: int) -> Sequence[Run]:
        return self._earlier(run)[:limit]

    def _earlier(self, run: Run) -> Sequence[Run]:
        if run.session is None:
            return ()
        return [
            other
            for number, other in self._runs.items()
            if not other.is_finished
            and (other.tenant, other.session) == (run.tenant, run.session)
            and (run.number is None or number < run.number)
        ]

    async def ahead(self, run: Run, limit: int) -> int:
        place = (-run.priority, run.number or 0)
        queued = (
            (-other.priority, number) < place
            for number, other in self._runs.items()
            if other.status == "submitted"
        )
        return min(limit, sum(queued))

    async def crowd(self, besides: str = "") -> Crowd:
        runs = self._runs.values()
        return Crowd(
            Counter(run.tenant for run in runs if run.status == "submitted"),
            Counter(
                (run.tenant, run.agent)
                for run in runs
                if run.status == "running" and run.holder != besides
            ),
        )

    async def held(self, holder: str, limit: int) -> Sequence[Run]:
        return [
            run
            for run in self._runs.values()
            if run.status == "running" and (run.holder or "").startswith(holder)
        ][:limit]

    async def due(self, now: Millis, limit: int) -> Sequence[Run]:
        return [
            run
            for run in self._runs.values()
            if not run.is_finished
            and any(time is not None and time <= now for time in (run.deadline, run.wake))
        ][:limit]

    async def last_attempt_that_spoke(self, run: RunNumber) -> int:
        if run in self._runs and not self._runs[run].durable:
            return 0
        spoke = [
            entry.attempt
            for entry in self._entries.get(run, ())
            if entry.type not in SILENT_TYPES
            and (IN_A_SCOPE not in entry.data or IN_A_NAMED_SCOPE in entry.data)
        ]
        return max(spoke, default=0)

    async def lost(self, limit: int) -> Sequence[Run]:
        now = self._clock.boot()
        return [
            run
            for number, run in self._runs.items()
            if run.status == "running" and self._leases[number] < now
        ][:limit]

    async def delete(self, run: RunId) -> bool:
        number = self._numbers.get(run)
        if number is None:
            return False
        if not self._runs[number].is_finished:
            raise RunUnfinished
        self._forget(number)
        return True

    async def expire(self, now: Millis, limit: int) -> int:
        due = [
            number
            for number, run in self._runs.items()
            if run.expires is not None and run.expires <= now
        ][:limit]
        for number in due:
            self._forget(number)
        self._keys = {
            scope: (key, run)
            for scope, (key, run) in self._keys.items()
            if key.expires > now or run in self._numbers
        }
        return len(due)

    async def read_object(self, run: RunNumber, object_id: str) -> bytes | None:
        return self._objects.get((run, object_id))

    def _forget(self, number: RunNumber) -> None:
        run = self._runs.pop(number)
        del self._numbers[run.id], self._entries[number]
        self._leases.pop(number, None)
        self._objects = {key: data for key, data in self._objects.items() if key[0] != number}

    # --- EventLog -------------------------------------------------------------------------------

    async def read(
        self,
        run: RunNumber,
        *,
        after: int = 0,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        return page(self._entries.get(run, ())[after:], limit, types)

    async def read_many(
        self, cursors: Mapping[RunNumber, int]
    ) -> Mapping[RunNumber, Sequence[Entry]]:
        return {run: await self.read(run, after=after) for run, after in cursors.items()}

    def listen(self, listener: Listener) -> None:
        self._listener = listener


def _standing(log: Sequence[Entry], append: Append) -> int | None:
    """Where these entries stand if they were written before: an attempt's next ones are its own."""
    if append.attempt == CONTROL:
        return None
    expected = append.entries[0]
    own = (each for each in log[expected.number - 1 :] if each.attempt == append.attempt)
    first = next(own, None)
    return first.number if first is not None and first.data == expected.data else None


def _moved(run: Run, append: Append) -> Run:
    status = append.move.after(run.status)
    stays = status == run.status
    return msgspec.structs.replace(
        run,
        last=run.last + len(append.entries),
        status=status,
        reason=append.reason or run.reason,
        finished=append.entries[-1].time if status in FINISHED else None,
        holder=run.holder if stays else None,
        wake=run.wake if stays else append.wake if status == "waiting" else None,
    )


def _scope(key: IdempotencyKey) -> tuple[str, str, str, str]:
    return (key.tenant, key.caller, key.operation, key.key)
