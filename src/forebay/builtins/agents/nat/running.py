"""Running: one run of a workflow, under NAT's runner."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, aclosing, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from forebay.core.json import Json
from forebay.ports.agent import Context

from .asking import asks
from .building import Builders
from .converting import Answer, check_input, read_input
from .entries import Entry
from .origin import Headers, HttpRequest, Origin, origin_of, user_of
from .steps import Steps
from .toolkit import (
    AnyWorkflow,
    ContextState,
    RequestAttributes,
    RequestData,
    Runner,
    result_of,
    stream_of,
)

_T = TypeVar("_T")

_LAST_PIECES = 1_000  # of a stream that is to end, and says them without waiting for anything


async def run_workflow(
    builders: Builders, entry: Entry, ctx: Context, value: Json
) -> AsyncGenerator[Json]:
    """Run it, and yield its answer. Raises InvalidInput, BuildError, and what it raises itself."""
    origin = origin_of(ctx)
    user = user_of(ctx.caller, origin)
    with builders.secrets.hidden():
        async with builders.workflow(entry.function, user) as workflow:
            with _said_to_nat(ctx, origin, user):
                async with workflow.run(read_input(ctx.agent, workflow, value)) as runner:
                    check_input(ctx.agent, workflow, runner, runner.context.input_message)
                    async with aclosing(_answer(ctx, origin, workflow, runner)) as parts:
                        async for part in parts:
                            yield part


async def _answer(
    ctx: Context, origin: Origin, workflow: AnyWorkflow, runner: Runner
) -> AsyncGenerator[Json]:
    answer = Answer()
    with Steps(ctx) as steps:
        if _streams(workflow, origin):
            stream = stream_of(runner)
            async with aclosing(stream):
                try:
                    async for piece in stream:
                        if type(piece) is str and piece.isascii():  # nearly always
                            yield piece
                        else:
                            for part in answer.parts(piece):
                                yield part
                except GeneratorExit:
                    await _cancel_within(stream)
                    raise
        else:
            for part in answer.parts(await result_of(runner)):
                yield part
        answer.say_usage(steps)


def _streams(workflow: AnyWorkflow, origin: Origin) -> bool:
    if workflow.has_streaming_output and origin.output != "single":
        return True
    if not workflow.has_single_output:
        raise ValueError("Cannot get a single output value for streaming workflows")
    return False


async def _cancel_within(stream: AsyncGenerator[object]) -> None:
    """Let the innermost of NAT's generators hear of the end, where it next awaits something.

    The outer ones do not close those inside them: they would be closed some time later, in a
    task and a context that are not theirs.
    """
    task = asyncio.current_task()
    assert task is not None, "a generator of an agent is closed by a task"
    before = task.cancelling()
    signal = asyncio.get_running_loop().call_soon(task.cancel)
    left = _LAST_PIECES
    try:
        async for _ in stream:
            left -= 1
            if left == 0:
                break
    except asyncio.CancelledError:
        pass
    finally:
        signal.cancel()
        if task.cancelling() > before:
            task.uncancel()


# --- what the workflow may ask of its context ---------------------------------------------------


@contextmanager
def _said_to_nat(ctx: Context, origin: Origin, user: str | None) -> Generator[None]:
    state = ContextState.get()
    with ExitStack() as said:
        _say(said, state.user_input_callback, asks(ctx))
        _say(said, state.conversation_id, ctx.session)
        _say(said, state.user_message_id, origin.user_message_id)
        _say(said, state.user_id, user)
        _say(said, state.workflow_run_id, origin.run_id or ctx.run_id)
        _say(said, state.workflow_trace_id, origin.trace)
        _say(said, state.workflow_parent_id, origin.parent_id)
        _say(said, state.workflow_parent_name, origin.parent_name)
        _say(said, state.metadata, _Attributes(origin.request))
        yield


def _say(said: ExitStack, variable: ContextVar[_T], value: _T) -> None:
    said.callback(variable.reset, variable.set(value))


class _Attributes(RequestAttributes):
    """The request, as a workflow asks for it."""

    def __init__(self, request: HttpRequest | None) -> None:
        super().__init__()
        if request is not None:
            self._request = RequestData(
                method=request.method,
                url_path=request.url_path,
                url_port=request.url_port,
                url_scheme=request.url_scheme,
                headers=Headers(request.headers),
                query_params=request.query_params,
                path_params=request.path_params,
                client_host=request.client_host,
                client_port=request.client_port,
                cookies=request.cookies,
                payload=request.payload if isinstance(request.payload, dict) else None,
            )
