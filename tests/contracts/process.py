"""Another process on a database: it writes into a run's log, or follows it, and says what it saw.

python -m tests.contracts.process interfere URL RUN NUMBER COUNT
python -m tests.contracts.process follow URL RUN NUMBER 0
"""

import asyncio
import sys
from contextlib import aclosing

from forebay.app.database import open_storage
from forebay.core.clock import SystemClock
from forebay.core.ids import RunNumber, parse_run_id
from forebay.runs.follow import Follower
from forebay.settings import Settings
from forebay.testing.runs import cancel, written


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _main(verb: str, url: str, run: str, number: str, count: str) -> None:
    clock = SystemClock()
    storage = open_storage(Settings(db_url=url), clock)
    await storage.open()
    if verb == "follow":
        follower = Follower(storage, clock)
        follower.start()
        seen: list[int] = []
        pages = follower.follow(parse_run_id(run), RunNumber(int(number)), 0)
        async with aclosing(pages):
            async for page in pages:
                if not seen:
                    _tell("ready")
                seen += [entry.number for entry in page.entries]
        await follower.aclose()
        _tell(" ".join(map(str, seen)))
    else:
        _tell("ready")
        for at in range(int(count)):
            await written(storage, cancel(RunNumber(int(number)), at + 3))
        _tell("done")
    await storage.aclose()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
