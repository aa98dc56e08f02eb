"""A whole server in this process: agents of a test, a storage, a clock, and a client in front."""

import asyncio
import io
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from types import ModuleType
from typing import Any

from forebay.app.application import Application
from forebay.core.clock import Clock
from forebay.ports.storage import Storage
from forebay.settings import Settings
from forebay.storage.memory import MemoryStorage
from forebay.testing.clock import ManualClock

from .asgi import PATIENCE_SECONDS, Client, Exchange, client_of
from .waiting import until

_numbers = count(1)


@contextmanager
def source_of(*agents: object) -> Generator[str]:
    """An agent source with these agents, by the name of a module."""
    module = ModuleType(f"agents_of_a_test_{next(_numbers)}")
    for at, agent in enumerate(agents):
        setattr(module, f"agent_{at}", agent)
    sys.modules[module.__name__] = module
    try:
        yield module.__name__
    finally:
        del sys.modules[module.__name__]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    app: Application
    client: Client
    clock: ManualClock
    log: io.StringIO

    async def run(self, input: object, **rest: object) -> Exchange:
        """Start a run."""
        return await self.client.post("/api/runs", {"input": input, **rest})

    def begin(self, input: object, **rest: object) -> Exchange:
        """Start a run, and do not wait for its answer."""
        return self.client.begin("POST", "/api/runs", body={"input": input, **rest})

    async def show(self, run: str) -> dict[str, Any]:
        """A run as it is now."""
        shown = await self.client.get(f"/api/runs/{run}")
        assert shown.status == 200, shown.body
        return shown.json()

    async def entries(self, run: str) -> list[dict[str, Any]]:
        """A run's log, in pages of JSON."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.client.get(
                f"/api/runs/{run}/events",
                query=f"after={len(found)}",
                headers={"accept": "application/json"},
            )
            assert page.status == 200, page.body
            found += page.json()["events"]
            if page.json()["finished"] or not page.json()["events"]:
                return found

    async def ended(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended."""
        stream = await self.client.get(f"/api/runs/{run}/events")
        assert stream.status == 200, stream.body
        return await self.show(run)


@asynccontextmanager
async def serving(
    *agents: object,
    storage: Storage | None = None,
    clock: ManualClock | None = None,
    sources: Sequence[str] = (),
    **settings: Any,
) -> AsyncGenerator[Server]:
    """A server with these agents, and those of other sources, on memory and a clock that stands
    still."""
    clock = clock or ManualClock()
    log = io.StringIO()
    with source_of(*agents) as source:
        chosen = Settings(
            db_url="memory:",
            agents=((source,) if agents else ()) + tuple(sources),
            log_format="json",
            **settings,
        )
        app = Application(chosen, clock=clock, storage=storage or memory(clock), log_to=log)
    app.start()
    await until(lambda: app.gate.closed_by is None)
    async with client_of(app.edge) as client:
        try:
            yield Server(app, client, clock, log)
        finally:
            await close(app, clock)


async def close(app: Application, clock: ManualClock) -> None:
    """Stop an application; time passes meanwhile, for what tries again after a pause."""
    closing = asyncio.create_task(app.aclose())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not closing.done():
            await asyncio.wait({closing}, timeout=0.01)
            clock.advance(0.01)
        await closing


def memory(clock: Clock) -> MemoryStorage:
    """A storage without a database."""
    return MemoryStorage(clock)
