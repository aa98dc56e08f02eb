"""Runs that ask a model: the client is the provider too, so that its work is never counted."""

import asyncio
import time

from forebay.testing.provider import LoopbackProvider

from .connection import Ask, Target, answer_of
from .measure import Load, read

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 60.0
_OURS = b"event: output.chunk", b"event: run.succeeded"
_DIRECT = b'"content":"one', b"[DONE]"


async def cpu_of_a_reply(target: Target, port: int, asked: Ask, chunks: int) -> Load:
    """The CPU of the server's process while a run hears a reply of so many pieces."""
    provider = LoopbackProvider()
    await provider.start(port)
    try:
        provider.say_much(100)
        await answer_of(target, asked)  # connections and code are warm then
        provider.say_much(chunks)
        before = read(target.pid)
        await answer_of(target, asked)
        return Load(chunks, read(target.pid).since(before))
    finally:
        await provider.aclose()


async def first_pieces(
    target: Target, port: int, through_us: bytes, direct: bytes, rounds: int
) -> tuple[list[float], list[float]]:
    """Milliseconds from a request to the first piece of its reply, through us and without."""
    provider = LoopbackProvider()
    await provider.start(port)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        for _ in range(rounds):
            provider.say("one two")
            ours.append(await _until_seen(target.port, through_us, *_OURS))
            provider.say("one two")
            theirs.append(await _until_seen(port, direct, *_DIRECT))
    finally:
        await provider.aclose()
    return ours[1:], theirs[1:]


async def _until_seen(port: int, request: bytes, sign: bytes, end: bytes) -> float:
    reader, writer = await asyncio.open_connection(_HOST, port)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            seen = b""
            began = time.perf_counter()
            writer.write(request)
            while sign not in seen:
                seen += await _more(reader, seen)
            took = time.perf_counter() - began
            while end not in seen:  # so that nobody is cut off
                seen += await _more(reader, seen)
            return took * 1000
    finally:
        writer.close()


async def _more(reader: asyncio.StreamReader, seen: bytes) -> bytes:
    data = await reader.read(65_536)
    if not data:
        raise AssertionError(f"the stream ended: {seen[-300:]!r}")
    return data
