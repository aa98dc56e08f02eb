"""Two processes on one database: the contract of following, without a shared memory."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from forebay.core.ids import RunId, RunNumber, as_uuid
from forebay.testing.database import Database
from forebay.testing.following import Process
from forebay.testing.runs import admission, admit, chunks, new_run, success

_ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 30.0
_COUNT = 40


class SharedDatabase(Database, Protocol):
    """A database that other processes reach too."""

    url: str


class OtherProcess:
    """A process of `tests.contracts.process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line it says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def started(
    verb: str, url: str, run: RunId, number: RunNumber
) -> AsyncGenerator[OtherProcess]:
    """Another process, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.contracts.process",
        *(verb, url, as_uuid(run), str(number), str(_COUNT)),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield OtherProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class TwoProcessesContract:
    """What holds between processes."""

    @pytest.fixture
    async def shared(self) -> SharedDatabase:
        """The database. Every implementation of the contract brings its own."""
        raise NotImplementedError

    async def test_a_follower_sees_what_another_process_writes(
        self, shared: SharedDatabase
    ) -> None:
        run, here = new_run(), Process(await shared.open())
        number = await admit(here.storage, admission(run))
        here.follower.start()
        followers = [await here.attach(run, number) for _ in range(3)]

        async with started("interfere", shared.url, run.id, number) as other:
            assert await other.line() == "ready"
            last = 2
            for text in range(_COUNT):
                last = await here.append(run.id, chunks(number, last + 1, str(text)))
            assert await other.line() == "done"
            last = await here.append(run.id, success(number, last + 1))

        whole = list(range(1, 2 * _COUNT + 4))
        assert last == len(whole)
        assert await asyncio.gather(*followers) == [whole] * 3
        await here.follower.aclose()

    async def test_another_process_follows_what_is_written_here(
        self, shared: SharedDatabase
    ) -> None:
        run, here = new_run(), Process(await shared.open())
        number = await admit(here.storage, admission(run))

        async with started("follow", shared.url, run.id, number) as other:
            assert await other.line() == "ready"
            last = 2
            for text in range(_COUNT):
                last = await here.append(run.id, chunks(number, last + 1, str(text)))
            last = await here.append(run.id, success(number, last + 1))

            assert await other.line() == " ".join(map(str, range(1, last + 1)))
