"""What a follower who stands still costs: a ring, however much is written behind his back."""

from pathlib import Path

from forebay.core.clock import SystemClock
from forebay.core.paging import PAGE_BYTES, PAGE_ENTRIES
from forebay.runs.follow import Topic
from forebay.storage.sqlite.storage import SqliteStorage
from forebay.testing.following import Process
from forebay.testing.runs import admission, admit, chunks, new_run, success


async def test_a_ring_is_bounded_in_count(tmp_path: Path) -> None:
    assert await _most_held(tmp_path, ["x"] * 500) <= 3 * PAGE_ENTRIES


async def test_a_ring_is_bounded_in_bytes(tmp_path: Path) -> None:
    large = ["x" * 10_000] * 20

    assert 10_000 * await _most_held(tmp_path, large) <= 2 * PAGE_BYTES


async def _most_held(folder: Path, texts: list[str]) -> int:
    """How many entries at most were kept for somebody who took one page, and then none."""
    storage = SqliteStorage(folder / "test.db", SystemClock())
    await storage.open()
    here, run = Process(storage), new_run()
    number = await admit(storage, admission(run))
    here.follower.start()
    slow = here.follower.follow(run.id, number, 0)
    seen = [entry.number for entry in (await anext(slow)).entries]
    fast = await here.attach(run, number)

    last, most = 2, 0
    for _ in range(20):
        last = await here.append(run.id, chunks(number, last + 1, *texts))
        most = max(most, len(_topic(here).ring))
    last = await here.append(run.id, success(number, last + 1))

    assert await fast == list(range(1, last + 1))
    seen += [entry.number async for page in slow for entry in page.entries]
    assert seen == list(range(1, last + 1))
    await here.follower.aclose()
    await storage.aclose()
    return most


def _topic(process: Process) -> Topic:
    (topic,) = process.follower._topics.values()  # pyright: ignore[reportPrivateUsage]
    return topic
