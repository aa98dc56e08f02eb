"""Calls under way, and what a server asks people in the middle of one."""

import asyncio
import contextvars
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from mcp import types
from mcp.client import ClientRequestContext

from forebay.ports.agent import Context

from . import asking

_IDEMPOTENCY_KEY = "forebay/idempotency-key"


class Calls:
    """The calls over one connection."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._calls: set[_Call] = set()
        self.over = asyncio.Event()
        """Whether none is under way."""
        self.over.set()

    @contextmanager
    def noted(self, ctx: Context, tool: str) -> Generator[types.RequestParamsMeta | None]:
        """A call for as long as it lasts; what is sent beside its arguments."""
        call = _Call(ctx, f"{self._group}.{tool}")
        self._calls.add(call)
        self.over.clear()
        before = _CALL.set(call)
        try:
            yield _meta(ctx)
        finally:
            _CALL.reset(before)
            self._calls.discard(call)
            call.end()
            if not self._calls:
                self.over.set()

    async def ask(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult:
        """Ask a person what the server wants to know."""
        del context
        call = _CALL.get()
        if call is None and len(self._calls) == 1:
            # Over stdio older servers do not tell for which call they ask.
            [call] = self._calls
        return types.ElicitResult(action="decline") if call is None else await call.ask(params)


class _Call:
    """A call under way, and what is asked for it."""

    def __init__(self, ctx: Context, tool: str) -> None:
        self._ctx = ctx
        self._tool = tool
        self._variables = contextvars.copy_context()
        self._questions: set[asyncio.Task[types.ElicitResult]] = set()

    async def ask(self, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Ask a person, where the call was made: elsewhere nobody knows of its run."""
        question = asyncio.get_running_loop().create_task(
            asking.ask(self._ctx, self._tool, params),
            name="mcp-question",
            context=self._variables.copy(),
        )
        self._questions.add(question)
        try:
            await asyncio.wait({question})
        finally:
            self._questions.discard(question)
            question.cancel()
        return types.ElicitResult(action="cancel") if question.cancelled() else question.result()

    def end(self) -> None:
        """Nobody waits for answers any more."""
        for question in self._questions:
            question.cancel()


_CALL: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("forebay_mcp", default=None)


def _meta(ctx: Context) -> types.RequestParamsMeta | None:
    try:
        return cast(types.RequestParamsMeta, {_IDEMPOTENCY_KEY: ctx.idempotency_key})
    except RuntimeError:  # it is called outside steps
        return None
