"""Steps: what NAT tells while a workflow runs becomes events, in their order.

Calls are counted, not named as NAT names them: a run that begins again says the same again.
"""

import asyncio
import threading
from types import TracebackType
from typing import NamedTuple, Self

from forebay.core.errors import ForebayError
from forebay.core.events import (
    AgentEvent,
    ModelChunk,
    ModelFinished,
    ModelStarted,
    ToolFinished,
    ToolStarted,
    Usage,
)
from forebay.ports.agent import Context

from .plain import plain, plain_text
from .toolkit import IntermediateStep, listen

_ROOT = "root"


class _Open(NamedTuple):
    """A step that has begun."""

    call: str
    kind: str
    name: str


class Steps:
    """Listens to the workflow that is run within it. Raises what the log has refused."""

    def __init__(self, ctx: Context) -> None:
        self.has_models = False
        """Whether a model was called."""
        self._ctx = ctx
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._task = asyncio.current_task()
        self._open: dict[str, _Open] = {}
        self._count = 0
        self._refused: ForebayError | None = None
        self._cancelling: asyncio.Handle | None = None
        self._is_over = False

    def __enter__(self) -> Self:
        self._listen_no_more = listen(self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        del kind, where
        self._is_over = True  # a thread may still have told something
        self._listen_no_more()
        if self._refused is None:
            return
        if self._cancelling is not None:
            self._cancelling.cancel()
        if isinstance(error, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
        raise self._refused

    def say(self, event: AgentEvent) -> None:
        """Emit an event. If the log takes no more, the workflow is cancelled."""
        if self._is_over or self._refused is not None or self._ctx.cancelled:
            return
        try:
            self._ctx.emit(event)
        except ForebayError as error:
            self._refused = error
            if self._task is not None:
                self._cancelling = self._loop.call_soon(self._task.cancel)

    def new_call(self) -> str:
        """A name for the next call."""
        self._count += 1
        return f"nat-{self._count}"

    # --- what NAT tells -------------------------------------------------------------------------

    def _hear(self, step: IntermediateStep) -> None:
        if threading.get_ident() == self._thread:
            self._take(step)
        else:
            self._loop.call_soon_threadsafe(self._take, step)

    def _take(self, step: IntermediateStep) -> None:
        category, _, state = step.payload.event_type.partition("_")
        if category in ("LLM", "TOOL") or (category == "FUNCTION" and not _is_shown(step)):
            match state:
                case "START":
                    self._begin(step, category)
                case "END":
                    self._end(step)
                case _:
                    self._add(step)

    def _begin(self, step: IntermediateStep, category: str) -> None:
        payload = step.payload
        name = payload.name or payload.UUID
        around = self._open.get(step.parent_id)
        if category == "FUNCTION" and around and around[1:] == ("TOOL", name):
            return  # the same call, told by the framework before
        opened = _Open(self.new_call(), category, name)
        self._open[payload.UUID] = opened
        given = payload.data.input if payload.data else None
        if category == "LLM":
            self.has_models = True
            count = len(given) if isinstance(given, list) else None  # pyright: ignore[reportUnknownArgumentType] -- of anything
            self.say(ModelStarted(opened.call, name, count, payload.framework or ""))
        else:
            self.say(ToolStarted(opened.call, name, plain(given)))

    def _add(self, step: IntermediateStep) -> None:
        opened = self._open.get(step.payload.UUID)
        chunk = step.payload.data.chunk if step.payload.data else None
        if opened is not None and chunk:
            self.say(ModelChunk(opened.call, plain_text(chunk)))

    def _end(self, step: IntermediateStep) -> None:
        payload = step.payload
        opened = self._open.pop(payload.UUID, None)
        if opened is None:
            return
        if opened.kind == "LLM":
            self.say(ModelFinished(opened.call, _usage_of(step)))
        else:
            self.say(
                ToolFinished(opened.call, plain(payload.data.output if payload.data else None))
            )


def _is_shown(step: IntermediateStep) -> bool:
    # The outermost function is the run itself.
    return step.function_ancestry.parent_id in (None, _ROOT)


def _usage_of(step: IntermediateStep) -> Usage | None:
    if step.payload.usage_info is None:
        return None
    used = step.payload.usage_info.token_usage
    return Usage(used.prompt_tokens, used.completion_tokens) if used.total_tokens else None
