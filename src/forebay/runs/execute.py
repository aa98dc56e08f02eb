"""Execute: call an agent, record what it says, and see that its run ends.

Holds the one broad `except` of the product: whatever an agent raises becomes an event.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Awaitable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, cast

from forebay.core.clock import Clock
from forebay.core.errors import BudgetExceeded, ForebayError, ModelError, ToolError
from forebay.core.events import OutputChunk, RunFailed, RunInterrupted, RunSucceeded
from forebay.core.grant import Grant
from forebay.core.ids import as_uuid
from forebay.ports.models import Models
from forebay.ports.tools import Tools

from .attempt import Attempt, Parting
from .context import RunContext, ThreadContext
from .raised import message_of, traceback_of
from .recorder import SMALL_CHARACTERS
from .scopes import SCOPE

log = logging.getLogger("forebay.runs")

_TURN_EVERY = 64  # pieces of an answer after which others get their turn on the event loop
_GRACE_SECONDS = 3.0  # for blocking code that was asked to end

_TOLD_IN_A_LINE = (ModelError, ToolError)  # they say what is wrong, and it is not the agent's code

Ending: TypeAlias = RunSucceeded | RunFailed | Parting


@dataclass(frozen=True, slots=True)
class Execution:
    """How agents are called in this process."""

    clock: Clock
    threads: ThreadPoolExecutor
    models: Models
    tools: Tools
    show_tracebacks: bool = False

    async def __call__(self, attempt: Attempt) -> Ending:
        """Call the agent, and tell how its run ends. Never raises."""
        if attempt.parting is not None:
            return attempt.parting
        attempt.has_begun = True
        limit = self._time_left(attempt)
        failed: BaseException | None = None
        try:
            if limit is None:
                await self._call(attempt)
            else:
                async with limit:
                    await self._call(attempt)
        except BaseException as error:  # noqa: BLE001 -- an agent may raise anything, SystemExit too
            failed = error
        if attempt.parting is not None:
            if attempt.task is not None:
                attempt.task.uncancel()  # it may be a request's task, which goes on to answer
            return attempt.parting
        if limit is not None and limit.expired():
            return past_deadline(attempt.order.grant)
        return self._success(attempt) if failed is None else self._failure(attempt, failed)

    def _time_left(self, attempt: Attempt) -> asyncio.Timeout | None:
        deadline = attempt.order.run.deadline
        if deadline is None:
            return None
        return asyncio.timeout(max(0.0, (deadline - self.clock.now()) / 1000))

    def _success(self, attempt: Attempt) -> Ending:
        try:
            for event in attempt.journal.leftovers():
                attempt.recorder.record(event)
        except BudgetExceeded as error:  # its agent went on all the same
            return RunFailed(error.reason, error.message)
        except ForebayError as error:
            return RunFailed(error.code, error.message)
        return RunSucceeded()

    async def _call(self, attempt: Attempt) -> None:
        order = attempt.order
        match order.agent.style:
            case "async generator":
                await self._stream(attempt)
            case "async function":
                ctx = RunContext(attempt, self)
                ctx.give(await cast(Awaitable[object], order.agent.call(ctx, order.value)))
            case "generator" | "function":
                loop = asyncio.get_running_loop()
                variables = contextvars.copy_context()
                ctx = ThreadContext(attempt, self, loop)
                body = loop.run_in_executor(
                    self.threads, lambda: variables.run(_call_blocking, attempt, ctx)
                )
                body.add_done_callback(_take_note)
                try:
                    await asyncio.shield(body)
                except asyncio.CancelledError:
                    ctx.release()
                    # It is told by `ctx.cancelled` and by whatever it says next. When it does not
                    # listen it is left alone: its run has ended, and nobody hears it any more.
                    await asyncio.wait({body}, timeout=_GRACE_SECONDS)
                    raise

    async def _stream(self, attempt: Attempt) -> None:
        order = attempt.order
        ctx = RunContext(attempt, self)
        pieces = cast(AsyncGenerator[object], order.agent.call(ctx, order.value))
        is_first = attempt.order.run.attempt == 1  # nothing was said before: nearly always
        count = 0
        try:
            async for piece in pieces:
                if (
                    is_first
                    and type(piece) is str
                    and 0 < len(piece) <= SMALL_CHARACTERS
                    and SCOPE.get() is None
                ):
                    attempt.recorder.piece(OutputChunk(piece))
                else:
                    ctx.give(piece)
                count += 1
                if count % _TURN_EVERY == 0:
                    await self.clock.sleep(0)
                    await attempt.make_room()
        except BaseException:
            await pieces.aclose()
            raise

    def _failure(self, attempt: Attempt, error: BaseException) -> Ending:
        if isinstance(error, asyncio.CancelledError):
            return RunInterrupted("cancelled", "the agent cancelled itself")
        exceeded = attempt.journal.exceeded
        if exceeded is not None:
            return RunFailed(exceeded.reason, exceeded.message)
        run = as_uuid(attempt.order.run.id)
        log.error(
            "run %s: agent %s raised %s: %s",
            run, attempt.order.run.agent, type(error).__name__, message_of(error),
            exc_info=None if isinstance(error, _TOLD_IN_A_LINE) else error, extra={"run": run},
        )  # fmt: skip
        return RunFailed(
            "agent_error",
            message_of(error),
            error=type(error).__name__,
            traceback=traceback_of(error) if self.show_tracebacks else None,
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


def _take_note(body: "asyncio.Future[None]") -> None:
    # Of blocking code that outlives its run: what it raises then concerns nobody.
    if not body.cancelled():
        body.exception()


def past_deadline(grant: Grant) -> RunFailed:
    """How the log of a run ends that took too long."""
    return RunFailed("deadline", f"The run took longer than {grant.deadline_seconds or 0:g} s.")
