"""Running steps: on the event loop for agents that live there, in the same thread for others."""

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from forebay.core.clock import Clock
from forebay.ports.models import Models
from forebay.ports.tools import Tools

from .bridge import Bridge
from .scopes import SCOPE, Scope
from .steps import Call, Kind, Step, Steps, give_up

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Workshop(Protocol):
    """What agents need of the process they are executed in."""

    @property
    def clock(self) -> Clock: ...

    @property
    def threads(self) -> concurrent.futures.Executor: ...

    @property
    def models(self) -> Models: ...

    @property
    def tools(self) -> Tools: ...


class OwnThreads(concurrent.futures.Executor):
    """A thread for each call, which nobody has to wait for. For what is done for code in a thread:
    if all threads of a pool waited for others of the pool, none would ever come."""

    def submit(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        done: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def body() -> None:
            try:
                done.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 -- it is raised where it is waited for
                done.set_exception(error)

        done.set_running_or_notify_cancel()
        threading.Thread(target=body, name="forebay-step", daemon=True).start()
        return done


class LoopSteps:
    """The steps of an agent on the event loop."""

    def __init__(
        self, steps: Steps, workshop: Workshop, threads: concurrent.futures.Executor
    ) -> None:
        self._steps = steps
        self._workshop = workshop
        self._threads = threads
        self._bridge: Bridge | None = None

    async def run(self, call: Call, scope: Scope) -> object:
        """The result of a step, executing it if no attempt has it yet. Raises StepFailed."""
        step = Step(call, scope)
        settled = await self._steps.begin(step)
        if settled is not None:
            return settled.result
        try:
            while True:
                inner = await self._steps.start(step)
                try:
                    result = await self._execute(call, inner)
                except Exception as error:  # noqa: BLE001 -- what a step raises is its outcome
                    pause = self._steps.fail(step, inner, error)
                else:
                    return self._steps.finish(step, inner, result)
                await self._workshop.clock.sleep(pause)
        finally:
            self._steps.end(step)

    async def _execute(self, call: Call, inner: Scope) -> object:
        outer = SCOPE.get()
        SCOPE.set(inner)
        try:
            if call.timeout_seconds is None:
                return await self._call(call, inner)
            return await self._call_in_time(call, inner, call.timeout_seconds)
        except asyncio.CancelledError:
            give_up(inner)
            raise
        finally:
            SCOPE.set(outer)

    async def _call_in_time(self, call: Call, inner: Scope, seconds: float) -> object:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._call(call, inner)
        except TimeoutError as error:
            raise _too_long(seconds) if limit.expired() else error from error

    async def _call(self, call: Call, inner: Scope) -> object:
        if inspect.iscoroutinefunction(call.fn):
            return await call.fn(*call.args, **call.kwargs)
        loop = asyncio.get_running_loop()
        if self._bridge is None:
            self._bridge = Bridge(loop)
        inner.bridge = self._bridge
        variables = contextvars.copy_context()
        result = await loop.run_in_executor(self._threads, lambda: variables.run(_guarded, call))
        inner.bridge = None
        return await result if inspect.isawaitable(result) else result


class ThreadSteps:
    """The steps of an agent in a thread: what is recorded of them is recorded on the loop."""

    def __init__(self, steps: Steps, workshop: Workshop, bridge: Bridge) -> None:
        self._steps = steps
        self._workshop = workshop
        self._bridge = bridge

    def run(self, call: Call, scope: Scope) -> object:
        """The result of a step, executing it if no attempt has it yet. Raises StepFailed."""
        if inspect.iscoroutinefunction(call.fn):
            raise TypeError(f"Step {call.name!r} of a blocking agent has to be a plain function.")
        step = Step(call, scope)
        settled = self._bridge.call(self._steps.begin(step))
        if settled is not None:
            return settled.result
        try:
            while True:
                inner = self._bridge.call(self._steps.start(step))
                try:
                    result = self._execute(call, inner)
                except Exception as error:  # noqa: BLE001 -- what a step raises is its outcome
                    pause = self._bridge.call(self._fail(step, inner, error))
                else:
                    return self._bridge.call(self._finish(step, inner, result))
                self._bridge.call(self._pause(pause))
        finally:
            self._bridge.tell(self._steps.end, step)

    def _execute(self, call: Call, inner: Scope) -> object:
        outer = SCOPE.get()
        SCOPE.set(inner)
        try:
            if call.timeout_seconds is None:
                return call.fn(*call.args, **call.kwargs)
            return _in_time(call, call.timeout_seconds)
        finally:
            SCOPE.set(outer)

    async def _fail(self, step: Step, inner: Scope, error: Exception) -> float:
        return self._steps.fail(step, inner, error)

    async def _finish(self, step: Step, inner: Scope, result: object) -> object:
        return self._steps.finish(step, inner, result)

    async def _pause(self, seconds: float) -> None:
        await self._workshop.clock.sleep(seconds)


def _guarded(call: Call) -> object:
    try:
        return call.fn(*call.args, **call.kwargs)
    except (StopIteration, GeneratorExit) as error:
        # No future can carry these to whoever waits: he would wait for ever, or be torn apart.
        raise RuntimeError(f"the step raised {type(error).__name__}") from error


def _in_time(call: Call, seconds: float) -> object:
    # In a thread of its own: nothing can end it, but one need not wait for it.
    variables = contextvars.copy_context()
    done = OwnThreads().submit(lambda: variables.run(call.fn, *call.args, **call.kwargs))
    try:
        return done.result(seconds)
    except TimeoutError as error:
        raise error if done.done() else _too_long(seconds) from error


def _too_long(seconds: float) -> TimeoutError:
    return TimeoutError(f"It took longer than {seconds:g} s.")


# --- as an agent calls them ---------------------------------------------------------------------


class AsyncCaller:
    """`ctx.step`, `ctx.tool` or `ctx.model` of an agent on the event loop."""

    __slots__ = ("_kind", "_run")

    def __init__(self, kind: Kind, run: Callable[[Call], Awaitable[object]]) -> None:
        self._kind: Kind = kind
        self._run = run

    async def __call__(  # noqa: PLR0913 -- the ways to call a step
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        returns: object = None,
        **kwargs: object,
    ) -> Any:  # what JSON makes of the result, or what `returns` says
        return await self._run(
            Call(
                self._kind, name, fn, args, kwargs, key,
                retries, backoff_seconds, timeout_seconds, returns,
            )
        )  # fmt: skip


class BlockingCaller:
    """`ctx.step`, `ctx.tool` or `ctx.model` of an agent in a thread."""

    __slots__ = ("_kind", "_run")

    def __init__(self, kind: Kind, run: Callable[[Call], object]) -> None:
        self._kind: Kind = kind
        self._run = run

    def __call__(  # noqa: PLR0913 -- the ways to call a step
        self,
        name: str,
        fn: Callable[..., object],
        /,
        *args: object,
        key: str | None = None,
        retries: int = 0,
        backoff_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        returns: object = None,
        **kwargs: object,
    ) -> Any:  # what JSON makes of the result, or what `returns` says
        return self._run(
            Call(
                self._kind, name, fn, args, kwargs, key,
                retries, backoff_seconds, timeout_seconds, returns,
            )
        )  # fmt: skip
