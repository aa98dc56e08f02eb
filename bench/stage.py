"""What every group of rows is handed: how much to measure, a folder, clients, and servers."""

import sys
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from . import servers
from .servers import Client, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one measurement under saturating load."""
    paced_streams: int
    paced_seconds: float
    burst_events: int
    paced_events: int
    latency_seconds: float
    latency_rounds: int
    replay_events: int
    followers: int
    idle_seconds: float
    pickups: int
    queued_runs: int
    napping_runs: int
    stepping_runs: int
    steps_each: int
    steps_alone: int
    recoveries: int
    model_chunks: int
    first_pieces: int


FULL = Sizes(
    rounds=5,
    seconds=0.5,
    paced_streams=100,
    paced_seconds=2.5,
    burst_events=10_000,
    paced_events=4_000,
    latency_seconds=4.0,
    latency_rounds=3,
    replay_events=100_000,
    followers=2_000,
    idle_seconds=10.0,
    pickups=300,
    queued_runs=3_000,
    napping_runs=500,
    stepping_runs=100,
    steps_each=200,
    steps_alone=1_500,
    recoveries=3,
    model_chunks=20_000,
    first_pieces=150,
)

QUICK = Sizes(
    rounds=1,
    seconds=0.1,
    paced_streams=5,
    paced_seconds=0.3,
    burst_events=500,
    paced_events=50,
    latency_seconds=0.4,
    latency_rounds=1,
    replay_events=2_000,
    followers=30,
    idle_seconds=0.5,
    pickups=5,
    queued_runs=40,
    napping_runs=10,
    stepping_runs=5,
    steps_each=10,
    steps_alone=30,
    recoveries=1,
    model_chunks=500,
    first_pieces=3,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the benchmark program."""

    sizes: Sizes
    folder: Path
    client: Client
    second_client: Client
    _numbers: "count[int]"

    def ceiling(self) -> AbstractContextManager[Server]:
        """The raw ASGI applications."""
        return servers.ceiling(self.folder)

    def forebay(
        self, settings: Mapping[str, str] | None = None, *, more_routes: int = 0
    ) -> AbstractContextManager[Server]:
        """Our server on a SQLite file of its own."""
        return servers.forebay(
            self.folder, str(self.new_database()), settings, more_routes=more_routes
        )

    def new_database(self) -> Path:
        """A file that does not exist yet."""
        return self.folder / f"bench-{next(self._numbers)}.db"

    def tell(self, what: str) -> None:
        """Say what is being measured."""
        print(f"· {what}", file=sys.stderr, flush=True)


@contextmanager
def stage(sizes: Sizes, folder: Path) -> Generator[Stage]:
    """A stage with its clients; they end with it."""
    with ExitStack() as stack:
        clients = [Client() for _ in range(2)]
        for client in clients:
            stack.callback(client.close)
        yield Stage(sizes, folder, clients[0], clients[1], count(1))
