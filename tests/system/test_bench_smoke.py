"""The benchmark program works, and refuses a wrong answer. Nothing here looks at a time."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.connection import Connection, Line, WrongAnswer, ask
from bench.rows import GROUPS

_ROOT = Path(__file__).resolve().parents[2]
_STREAMS = {"chunks", "paced", "burst", "latency", "replay", "relay"}


@pytest.mark.system
@pytest.mark.timeout(180)
@pytest.mark.parametrize("group", GROUPS)
def test_every_row_of_a_group_has_figures(group: str, tmp_path: Path) -> None:
    told = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", group, "--json", str(told)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(told.read_text())["rows"]
    assert rows
    for row in rows:
        assert row["group"] == group
        assert row["name"] in done.stdout
        assert row["counted"]
        if row["note"].startswith("no PostgreSQL here"):
            assert row["verdict"] == "not available"
            continue
        assert row["figure"] is not None, row["note"]
        assert row["figure"]["low"] <= row["figure"]["median"] <= row["figure"]["high"]
        # An idle process may use less CPU in a moment than the system counts, and a row about
        # models is a difference.
        assert row["figure"]["high"] > 0 or row["figure"]["unit"] == "%" or group == "models"
        if group in _STREAMS:
            assert row["frames"] > 0


class _Wire(asyncio.Transport):
    """Where a connection writes its requests; nobody is at the other end."""

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        assert bytes(data).startswith(b"GET / HTTP/1.1\r\n")

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


def _stream(*frames: bytes) -> bytes:
    chunks = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames]
    return b"".join([b"HTTP/1.1 200 OK\r\n\r\n", *chunks, b"0\r\n\r\n"])


_FRAMES = [b"id: %d\ndata: {}\n\n" % number for number in range(1, 6)]
_ASKED = ask("GET", "/", frames=5, ends_with=(b"id: 5\n",))


async def _received(*pieces: bytes) -> int:
    """The frames that a connection counts in these pieces of an answer."""
    connection = Connection()
    connection.connection_made(_Wire())
    connection.send(_ASKED)
    for piece in pieces:
        connection.data_received(piece)
    async with asyncio.timeout(5):
        await connection.finished
    return connection.frames


async def test_frames_are_counted_wherever_an_answer_is_cut() -> None:
    answer = _stream(*_FRAMES)
    for at in range(1, len(answer)):
        assert await _received(answer[:at], answer[at:]) == 5
    assert await _received(*[bytes([byte]) for byte in answer]) == 5


async def test_several_frames_in_one_chunk_are_counted_one_by_one() -> None:
    assert await _received(_stream(b"".join(_FRAMES))) == 5


async def test_a_line_hears_the_answer_to_each_of_its_questions() -> None:
    connection = Connection()
    connection.connection_made(_Wire())
    line = Line(connection)
    for number in range(3):
        asking = asyncio.ensure_future(line.ask(ask("GET", "/")))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number)
        async with asyncio.timeout(5):
            assert await asking == b"%d" % number


async def test_a_line_raises_when_its_answer_is_wrong() -> None:
    connection = Connection()
    connection.connection_made(_Wire())
    asking = asyncio.ensure_future(Line(connection).ask(ask("GET", "/")))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(WrongAnswer):
        async with asyncio.timeout(5):
            await asking


@pytest.mark.parametrize(
    "frames", [_FRAMES[:4], [*_FRAMES, _FRAMES[4]], [*_FRAMES[:4], b"id: 7\ndata: {}\n\n"]]
)
async def test_a_stream_with_other_frames_than_expected_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(WrongAnswer):
        await _received(_stream(*frames))


async def test_another_status_is_refused() -> None:
    with pytest.raises(WrongAnswer):
        await _received(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
