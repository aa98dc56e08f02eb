"""Reading runs, wherever they are: under way here, ended but not written yet, or stored."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from forebay.core.codec import Entry, restore, unpack
from forebay.core.codec import Object as StoredObject
from forebay.core.errors import ObjectNotFound, RunNotFound
from forebay.core.events import Event
from forebay.core.ids import RunId, RunNumber
from forebay.core.paging import PAGE_ENTRIES, page
from forebay.core.run import Fold, Run
from forebay.ports.storage import Storage
from forebay.ports.store import RunQuery

from .attempt import Attempt
from .commit import Committer
from .follow import Follower, Page, Topic
from .recorder import LightRecorder

_COUNTED_AHEAD = 1_000


class View(NamedTuple):
    """A run, and what its log adds up to."""

    run: Run
    fold: Fold
    position: int | None = None
    """Which of the queued runs it is: 1 is the next. None if it is not queued, or far behind."""


class RunReader:
    """Reads the runs of this database and of this process's memory."""

    def __init__(
        self,
        storage: Storage,
        committer: Committer,
        follower: Follower,
        live: Mapping[RunId, Attempt],
    ) -> None:
        self._storage = storage
        self._committer = committer
        self._follower = follower
        self._live = live

    def live(self, run: RunId) -> Attempt | None:
        """The attempt at this run that is under way in this process."""
        return self._live.get(run)

    async def find(self, run: RunId) -> Run:
        """The run with this id. Raises RunNotFound."""
        attempt = self._live.get(run)
        if attempt is not None and attempt.promotion is not None:
            await asyncio.shield(attempt.promotion)  # it has no number yet
        if attempt is not None and isinstance(attempt.recorder, LightRecorder):
            return attempt.run
        keep = self._committer.keeping(run)
        found = keep.run if keep is not None else await self._storage.find(run)
        if found is None:
            raise RunNotFound
        return found

    async def view(self, run: Run) -> View:
        """The run, with what its log adds up to now."""
        fold = Fold()
        await self.go_on(run, fold)
        return View(run, fold, await self.position(run))

    async def position(self, run: Run) -> int | None:
        """Which of the queued runs it is, if it was one when it was read, and not far behind."""
        if run.status != "submitted":
            return None
        ahead = await self._storage.ahead(run, _COUNTED_AHEAD)
        return ahead + 1 if ahead < _COUNTED_AHEAD else None

    async def go_on(self, run: Run, fold: Fold) -> None:
        """Let a fold take the entries that it has not seen."""
        while entries := await self.read(run, after=fold.last):
            for entry in entries:
                fold.apply(await self._whole(run, entry))

    async def read(
        self,
        run: Run,
        *,
        after: int,
        limit: int = PAGE_ENTRIES,
        types: Sequence[str] | None = None,
    ) -> Sequence[Entry]:
        """A page of a run's entries."""
        light, keep = self.light(run.id), self._committer.keeping(run.id)
        if light is not None:
            return page(light.entries(after), limit, types)
        if keep is not None:
            return page(unpack(keep.log)[after:], limit, types)
        return await self._storage.read(
            await self.number(run), after=after, limit=limit, types=types
        )

    async def follow(
        self, run: Run, after: int, types: Sequence[str] | None = None
    ) -> AsyncGenerator[Page]:
        """Begin to follow a run's entries after a number. Close the generator when done."""
        light, keep = self.light(run.id), self._committer.keeping(run.id)
        if light is not None:
            where = light.topic
        elif keep is not None:
            where = Topic.of(unpack(keep.log))
        else:
            where = await self.number(run)
        return self._follower.follow(run.id, where, after, types)

    async def read_object(self, run: Run, object_id: str) -> bytes:
        """A value that stands beside the run's log, as JSON. Raises ObjectNotFound."""
        near = self.light(run.id) or self._committer.keeping(run.id)
        if near is not None:
            found = next((each.data for each in near.objects if each.id == object_id), None)
        else:
            found = await self._storage.read_object(await self.number(run), object_id)
        if found is None:
            raise ObjectNotFound
        return found

    async def list(self, query: RunQuery) -> Sequence[Run]:
        """A page of runs, newest first; light ones that are not written yet included."""
        here = [  # before the database is asked: meanwhile they may be written
            attempt.run
            for attempt in self._live.values()
            if isinstance(attempt.recorder, LightRecorder)
        ]
        here.extend(keep.run for keep in self._committer.all_keeping())
        stored = await self._storage.list(query)
        known = {run.id for run in stored}
        light = [run for run in here if run.id not in known and query.matches(run)]
        if not light:
            return stored
        merged = sorted([*stored, *light], key=lambda run: run.id, reverse=True)
        return merged[: query.limit]

    async def _whole(self, run: Run, entry: Entry) -> Event:
        event = entry.event
        stored = getattr(event, "stored", None)
        if stored is None:
            return event
        data = await self.read_object(run, stored.object)
        return restore(event, StoredObject(stored.object, data))

    async def number(self, run: Run) -> RunNumber:
        """The number its database knows this run by. Raises RunNotFound."""
        if run.number is not None:
            return run.number
        stored = await self._storage.find(run.id)  # it was light, and has been written since
        if stored is None or stored.number is None:
            raise RunNotFound
        return stored.number

    def light(self, run: RunId) -> LightRecorder | None:
        """The whole log of this run, if it is light and under way here."""
        attempt = self._live.get(run)
        recorder = attempt.recorder if attempt else None
        return recorder if isinstance(recorder, LightRecorder) else None
