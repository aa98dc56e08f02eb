"""Execute: call an agent, record what it says, and see that its run ends.

Holds the one broad `except` of the product: whatever an agent raises becomes an event.
"""

import asyncio
import contextvars
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, cast

from forebay.core.clock import Clock
from forebay.core.errors import ForebayError
from forebay.core.events import RunFailed, RunInterrupted, RunSucceeded
from forebay.core.ids import as_uuid

from .attempt import Attempt
from .context import RunContext, ThreadContext
from .recorder import SMALL_CHARACTERS

log = logging.getLogger("forebay.runs")

_TURN_EVERY = 64  # pieces of an answer after which others get their turn on the event loop
_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 20_000

Ending: TypeAlias = RunSucceeded | RunFailed | RunInterrupted


@dataclass(frozen=True, slots=True)
class Execution:
    """How agents are called in this process."""

    clock: Clock
    threads: ThreadPoolExecutor
    show_tracebacks: bool = False

    async def __call__(self, attempt: Attempt) -> Ending:
        """Call the agent, and tell how its run ends. Never raises."""
        if attempt.interruption is not None:
            return attempt.interruption
        attempt.has_begun = True
        deadline = attempt.order.grant.deadline_seconds
        limit = None if deadline is None else asyncio.timeout(deadline)
        failed: BaseException | None = None
        try:
            if limit is None:
                await self._call(attempt)
            else:
                async with limit:
                    await self._call(attempt)
        except BaseException as error:  # noqa: BLE001 -- an agent may raise anything, SystemExit too
            failed = error
        if attempt.interruption is not None:
            if attempt.task is not None:
                attempt.task.uncancel()  # it may be a request's task, which goes on to answer
            return attempt.interruption
        if limit is not None and limit.expired():
            return RunFailed("deadline", f"The run took longer than {deadline:g} s.")
        if isinstance(failed, asyncio.CancelledError):
            return RunInterrupted("cancelled", "the agent cancelled itself")
        return RunSucceeded() if failed is None else self._failure(attempt, failed)

    async def _call(self, attempt: Attempt) -> None:
        order = attempt.order
        match order.agent.style:
            case "async generator":
                await self._stream(attempt)
            case "async function":
                ctx = RunContext(attempt)
                ctx.give(await cast(Awaitable[object], order.agent.call(ctx, order.value)))
            case "generator" | "function":
                loop = asyncio.get_running_loop()
                variables = contextvars.copy_context()
                ctx = ThreadContext(attempt, loop)
                await loop.run_in_executor(
                    self.threads, lambda: variables.run(_call_blocking, attempt, ctx)
                )

    async def _stream(self, attempt: Attempt) -> None:
        order = attempt.order
        ctx = RunContext(attempt)
        pieces = cast(AsyncGenerator[object], order.agent.call(ctx, order.value))
        count = 0
        try:
            async for piece in pieces:
                if type(piece) is str and 0 < len(piece) <= SMALL_CHARACTERS:  # nearly all of them
                    attempt.recorder.chunk(piece)
                else:
                    ctx.give(piece)
                count += 1
                if count % _TURN_EVERY == 0:
                    await self.clock.sleep(0)
                    await attempt.make_room()
        except BaseException:
            await pieces.aclose()
            raise

    def _failure(self, attempt: Attempt, error: BaseException) -> RunFailed:
        run = as_uuid(attempt.order.run.id)
        log.error(
            "run %s: agent %s raised %s", run, attempt.order.run.agent, type(error).__name__,
            exc_info=error, extra={"run": run},
        )  # fmt: skip
        return RunFailed(
            "agent_error",
            _message(error) or type(error).__name__,
            error=type(error).__name__,
            traceback=_text(error) if self.show_tracebacks else None,
        )


def _call_blocking(attempt: Attempt, ctx: ThreadContext) -> None:
    try:
        result = attempt.order.agent.call(ctx, attempt.order.value)
        if attempt.order.agent.style == "generator":
            _take_all(cast(Generator[object], result), ctx)
        else:
            ctx.give(result)
    except (StopIteration, GeneratorExit) as error:
        # No future can carry these to whoever waits: he would wait for ever, or be torn apart.
        raise RuntimeError(f"the agent raised {type(error).__name__}") from error


def _take_all(pieces: Generator[object], ctx: ThreadContext) -> None:
    try:
        for piece in pieces:
            ctx.give(piece)
    finally:
        pieces.close()


def _message(error: BaseException) -> str:
    try:
        text = error.message if isinstance(error, ForebayError) else str(error)
    except Exception:  # noqa: BLE001 -- an error of an agent may fail to say what it is
        return ""
    return _writable(text[:_MESSAGE_CHARACTERS])


def _text(error: BaseException) -> str:
    return _writable("".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:])


def _writable(text: str) -> str:
    # File names, for one, may hold what is no Unicode and cannot be written as JSON.
    return text.encode("utf-8", "replace").decode()
